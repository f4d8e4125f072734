"""The report of a comparison: one HTML page that needs nothing else."""

from __future__ import annotations

import json
import platform
from importlib.resources import files as package_files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from nchain_agents.files import write_text
from nchain_agents.report import pictures
from nchain_agents.report.overview import interval_text, number, overviews
from nchain_agents.report.sections import Section, Table
from nchain_agents.study.comparison import TELLING_SEEDS, Comparison
from nchain_agents.study.recipe import AGENTS_FILE, recipe

# The colours of the pictures in the dark, in their order.
_AT_NIGHT = (
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
    """Write the report of a comparison; equal studies give equal bytes.

    So speeds are not in it: `timing.csv` has them.

    Args:
        path: The file.
        comparison: What it reports.
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
        overall=_overall(comparison),
        failures=[*zip(comparison.failures, comparison.tracebacks, strict=True)],
        recipe=recipe(study),
        agents_file=AGENTS_FILE,
        machine=f"{platform.system()} {platform.machine()}",
        agents=[
            (agent.name, agent.path, json.dumps(agent.parameters, default=str)[1:-1])
            for agent in study.agents
        ],
        days=pictures.COLOURS,
        nights=_AT_NIGHT,
        telling_seeds=TELLING_SEEDS,
    )
    write_text(path, page)


def _title(comparison: Comparison) -> str:
    study = comparison.study
    agents = "1 agent" if len(study.agents) == 1 else f"{len(study.agents)} agents"
    envs = {env.id for env in study.envs}
    where = study.envs[0].label if len(study.envs) == 1 else " and ".join(sorted(envs))
    return f"{agents} on {where}"


def _overall(comparison: Comparison) -> Table | None:
    """Return the scores in all environments side by side, where they are several."""
    summary = comparison.summary
    if len(summary["envs"]) == 1:
        return None
    rows = []
    for agent in comparison.study.agents:
        here = [section["agents"].get(agent.name) for section in summary["envs"]]
        scores = [number(about and about["score"]["iqm"], ".2f") for about in here]
        everywhere = summary["agents"].get(agent.name, {"score": {"iqm": None, "interval": None}})
        score = everywhere["score"]
        rows.append(
            (agent.name, *scores, number(score["iqm"], ".2f"), interval_text(score["interval"]))
        )
    labels = [env.label for env in comparison.study.envs]
    return Table(("agent", *labels, "all together", "95 % interval"), rows)
