"""The report of a comparison as one self-contained HTML page."""

from __future__ import annotations

from importlib.resources import files as package_files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from nchain_agents.files import write_text
from nchain_agents.report import pictures, tables
from nchain_agents.report.overview import overviews
from nchain_agents.report.sections import Section
from nchain_agents.study.comparison import TELLING_SEEDS, Comparison
from nchain_agents.study.study_file import NAME, only_in_program, text_of

# The colours of the pictures in dark mode, in the order of `pictures.COLOURS`.
_DARK_COLOURS = (
    "#4ba3e0",
    "#f5874f",
    "#2ec495",
    "#e39ac4",
    "#9ad4f5",
    "#f5bc45",
    "#f2f2f2",
    "#dd7398",
    "#c9c95c",
    "#a397f2",
)


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the report of a comparison.

    Equal studies give equal bytes, so the page has no times; they are in `timing.csv`.

    Args:
        path: The file.
        comparison: The comparison that the page reports.
    """
    text = package_files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    template = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).from_string(text)
    study = comparison.study
    sections = [
        Section(comparison, env, i, overview)
        for i, (env, overview) in enumerate(zip(study.envs, overviews(comparison), strict=True))
    ]
    page = template.render(
        title=_title(comparison),
        study=study,
        sections=sections,
        overall=tables.overall(comparison),
        failures=tables.failures(comparison),
        study_file=NAME,
        study_text=text_of(study),
        only_in_program=only_in_program(study),
        colours=pictures.COLOURS,
        dark_colours=_DARK_COLOURS,
        telling_seeds=TELLING_SEEDS,
    )
    write_text(path, page)


def _title(comparison: Comparison) -> str:
    study = comparison.study
    agents = "1 agent" if len(study.agents) == 1 else f"{len(study.agents)} agents"
    envs = {env.id for env in study.envs}
    where = study.envs[0].label if len(study.envs) == 1 else " and ".join(sorted(envs))
    return f"{agents} on {where}"
