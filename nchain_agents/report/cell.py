"""Comparisons and checks in the output of a notebook's cell: HTML without scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from nchain_agents.check.verdict import Verdict
from nchain_agents.report import check_page, pictures, scaling, tables
from nchain_agents.report.overview import overviews
from nchain_agents.report.pictures import Picture
from nchain_agents.report.sections import Figure, Section
from nchain_agents.report.svg import inline
from nchain_agents.report.templates import CELL_COLOURS, rendered
from nchain_agents.study.comparison import Comparison


def of_comparison(comparison: Comparison) -> str:
    """Return the headlines, the table and the curves; for several environments, what spans them."""
    study, shown = comparison.study, overviews(comparison)
    sections = [
        Section(comparison, env, i, overview)
        for i, (env, overview) in enumerate(zip(study.envs, shown, strict=True))
    ]
    if len(sections) > 1:
        figures = scaling.pictures(comparison)
    else:
        measures = (pictures.RETURN, pictures.EXPECTED_REGRET)
        drawn = (pictures.curves(comparison, study.envs[0], one) for one in measures)
        figures = ((one, one.title) for one in drawn if one is not None)
    return rendered(
        "comparison_cell.html.j2",
        sections=sections,
        tables=tables.of_all_environments(comparison) or shown,
        failures=tables.failures(comparison),
        figures=_drawn(figures),
    )


def of_verdict(verdict: Verdict) -> str:
    """Return the findings, the values beside those of the explanations, and the explanations."""
    figures = _drawn(check_page.pictures(verdict))
    return rendered("check_cell.html.j2", report=verdict, figures=figures)


def _drawn(figures: Iterable[tuple[Picture, str]]) -> list[Figure]:
    """Return pictures as SVG; ids must be unique in a notebook, and equal for equal pictures."""
    return [
        Figure(inline(picture, f"nchain-{_digest(picture)}", CELL_COLOURS), caption)
        for picture, caption in figures
    ]


def _digest(picture: Picture) -> str:
    return hashlib.sha256(f"{picture.title}\n{picture.text}".encode()).hexdigest()[:12]
