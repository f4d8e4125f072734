"""The report of a comparison as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from nchain_agents.files import write_text
from nchain_agents.report import tables, tuned
from nchain_agents.report.overview import overviews
from nchain_agents.report.pictures import SHOWN_SEEDS
from nchain_agents.report.sections import Section, of_all_runs
from nchain_agents.report.templates import rendered
from nchain_agents.study.best import LEVEL
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.study_file import NAME, only_in_program, text_of


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the report of a comparison.

    Equal studies give equal bytes, so the page has no times; they are in `timing.csv`.

    Args:
        path: The file.
        comparison: The comparison that the page reports.
    """
    study = comparison.study
    sections = [
        Section(comparison, env, i, overview)
        for i, (env, overview) in enumerate(zip(study.envs, overviews(comparison), strict=True))
    ]
    page = rendered(
        "report.html.j2",
        title=_title(comparison),
        study=study,
        sections=sections,
        overall=tables.of_all_environments(comparison),
        of_all_runs=of_all_runs(comparison) if len(study.envs) > 1 else (),
        failures=tables.failures(comparison),
        tuned=tuned.of_study(study),
        study_file=NAME,
        study_text=text_of(study),
        only_in_program=only_in_program(study),
        level=LEVEL,
        shown_seeds=SHOWN_SEEDS,
    )
    write_text(path, page)


def _title(comparison: Comparison) -> str:
    study = comparison.study
    agents = "1 agent" if len(study.agents) == 1 else f"{len(study.agents)} agents"
    envs = {env.id for env in study.envs}
    where = study.envs[0].label if len(study.envs) == 1 else " and ".join(sorted(envs))
    return f"{agents} on {where}"
