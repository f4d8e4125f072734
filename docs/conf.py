"""The settings of Sphinx, and the extensions of this site."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from typing import Any, ClassVar

import latex2mathml.converter
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import nchain_env

project = "NChain-v0"
author = copyright = "The NChain developers"
version = release = nchain_env.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"  # notebooks are committed with their outputs, and tests run them
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# MyST-NB writes the notebooks that it shows beside the built pages
exclude_patterns = ["_build", "jupyter_execute"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "NChain-v0"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "github-dark"

# In the docstrings, single backticks mark code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_use_ivar = True
napoleon_use_rtype = False
# Types that are shown by their alias, not as the union that it stands for.
_arrays = ["BoolArray", "FloatArray", "IntArray", "Strata", "npt.ArrayLike"]
_envs = ["Env", "EnvLike"]
_others = ["Callback", "Compiled", "EpsilonLike", "InitialQ", "Model", "TransitionDict"]
autodoc_type_aliases = {name: name for name in _arrays + _envs + _others}
nitpicky = True
# MyST does not know the names in the reference; tests/docs/test_links.py checks these links.
suppress_warnings = ["myst.xref_missing"]
# Types of other packages, whose links need the network, and types without a page of their own.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(np|npt|numpy|functools|gym|gymnasium|os|pathlib|typing|collections|array|keras)\..*",
    ),
    (r"py:.*", "|".join(map(re.escape, autodoc_type_aliases))),
    (r"py:class", r"nchain_agents\.check\.(judge\.Judgement|choices\.Agreement|lesson\.Lesson)"),
    (
        r"py:class",
        r"nchain_agents\.(presets\.Preset|search\.problem\.Problem|study\.(plan\.Study|run\.Run))",
    ),
    (
        r"py:class",
        r"(Any|Path|Self|Generator|PathLike|ndarray|Space|Discrete|AutoresetMode|Figure|Rule|Preset|Study|Run|EnvChoice)",
    ),
    (r"py:(class|exc)", r"(ResetNeeded|DependencyNotInstalled|EpisodeOverError)"),
    (r"py:exc", r"gymnasium\.error\..*"),
]


def write_formula(writer: Any, node: Any) -> None:
    """Write a formula as MathML, which browsers draw without scripts or network access."""
    block = isinstance(node, nodes.math_block)
    formula = latex2mathml.converter.convert(node.astext(), display="block" if block else "inline")
    writer.body.append(f'<div class="math">{formula}</div>' if block else formula)
    raise nodes.SkipNode


class Docstring(SphinxDirective):  # type: ignore[misc]
    """The directive `{docstring} module.name`: the Markdown sections of a docstring."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections as nodes."""
        module, _, name = self.arguments[0].rpartition(".")
        text = inspect.getdoc(getattr(import_module(module), name)) or ""
        sections = text[text.index("## ") :]  # a summary would be moved behind them
        parent = nodes.section()
        lines = StringList(sections.splitlines(), source=self.arguments[0])
        self.state.nested_parse(lines, 0, parent, match_titles=True)
        children: list[nodes.Node] = parent.children
        return children


class Help(SphinxDirective):  # type: ignore[misc]
    """The directive `{help} nchain compare`: the help of a command."""

    required_arguments, final_argument_whitespace = 1, True
    environment: ClassVar = {"TERM": "dumb", "COLUMNS": "86", "NO_COLOR": "1"}

    def run(self) -> list[nodes.Node]:
        """Return the output of the command as a node."""
        program, *words = self.arguments[0].split()
        code = f"from nchain_agents.cli import app; app(prog_name={program!r})"
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "--help"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        said = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
        return [nodes.literal_block(said, said, language="text")]


class Explanations(SphinxDirective):  # type: ignore[misc]
    """The directive `{explanations}`: a table of what `nchain check` knows."""

    def run(self) -> list[nodes.Node]:
        """Return the table as nodes."""
        from nchain_agents.check.explanations import EXPLANATIONS

        rows = [("explanation", "what the learner does", "in the code, look for"), ("---",) * 3]
        for one in EXPLANATIONS:  # parameters are shown by their names
            says = re.sub(r"\{([^}:]+)[^}]*\}", r"*\1*", one.says)
            rows.append((one.name, says, one.look_for))
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        parent = nodes.section()
        self.state.nested_parse(StringList(lines, source="explanations"), 0, parent)
        children: list[nodes.Node] = parent.children
        return children


_properties: dict[str, list[str]] = {}


def as_restructured_text(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Escape the characters of a docstring that are markup to Sphinx, as in |q - q*|."""
    if "## Description" in lines:  # these sections are on a page of their own
        del lines[lines.index("## Description") :]
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([|*]|_\b)", r"\\\1", part) for part in parts[::2]]
        lines[i] = "`".join(parts)
    if what == "property":  # Napoleon would take the text before a colon for the type
        _properties[name] = lines[:]
        lines.clear()


def with_properties(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Restore the docstrings of properties after Napoleon."""
    lines.extend(_properties.pop(name, []))


def with_names_of_types(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str]:
    """Replace `TypeAliasForwardRef('Env') | str`, as in Sphinx 9, by `Env | str`."""
    short = [
        text and re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"\1", text)
        for text in (signature, returns)
    ]
    return short[0], short[1]


def setup(app: Sphinx) -> None:
    """Register the directives and handlers."""
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.add_directive("docstring", Docstring)
    app.add_directive("help", Help)
    app.add_directive("explanations", Explanations)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)
    app.connect("autodoc-process-docstring", with_properties, priority=900)
    app.connect("autodoc-process-signature", with_names_of_types)
