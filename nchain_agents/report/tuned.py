"""The table and the picture of tuning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from nchain_agents.env_argument import as_text
from nchain_agents.files import whole_file
from nchain_agents.report.pictures import COLOURS, MUTED, STYLE, Picture, add_legend, rounded
from nchain_agents.report.table import Table
from nchain_agents.search.result import Trial, Tuning
from nchain_agents.search.space import Choices
from nchain_agents.study.plan import FIRST_TUNING_SEED, Study
from nchain_env.mdp import FloatArray

_COLUMNS = 3


def table(tuning: Tuning) -> Table:
    """Return the best hyperparameters and their value beside those before."""
    problem, best, before = tuning.problem, tuning.best, tuning.before
    present = {} if problem.before is None else problem.before
    found = {} if best is None else best.parameters
    rows: list[tuple[str, ...]] = [
        (name, as_text(present[name]) if name in present else "-", as_text(found.get(name)))
        for name in problem.space
    ]
    values = ("-" if one is None else _value(one) for one in (before, best))
    rows.append((problem.objective, *values))
    counted = f"{len(tuning.trials)} trials"
    for state, number in (
        ("stopped early", sum(trial.stopped for trial in tuning.trials)),
        ("FAILED", sum(trial.failure is not None for trial in tuning.trials)),
    ):
        counted += f", {number} of them {state}" if number else ""
    of_best = "best" if best is None else f"trial {best.number}"
    note = (
        f"{counted}; {problem.objective}: mean of the tuning seeds {problem.seeds[0]} to "
        f"{problem.seeds[-1]}, which no comparison has; that of the best trial is biased, because "
        "the trial was chosen by it, so compare on other seeds"
    )
    if best is not None and best == before:
        note += "; no trial was better than the agent as it was"
    return Table(_title(tuning), ("parameter", "before", of_best), rows, note=note)


def _title(tuning: Tuning) -> str:
    study = tuning.problem.study
    where = ", ".join(env.label for env in study.envs)
    number = tuning.problem.number_of_seeds
    seeds = f"{number} seed{'s' if number > 1 else ''}"
    return f"{tuning.problem.agent.name} tuned on {where}: {study.steps:,} steps, {seeds} a trial"


def _value(trial: Trial) -> str:
    if trial.value is not None:
        return f"{trial.value:,.2f}"
    return "stopped" if trial.stopped else "FAILED"


def write_picture(path: Path, tuning: Tuning) -> None:
    """Write the picture of the trials."""
    with style.context(STYLE), whole_file(path) as partial:
        picture(tuning).figure.savefig(partial, dpi=150, metadata={"Software": None})


def picture(tuning: Tuning) -> Picture:
    """Draw the objective over the trials, and over each hyperparameter."""
    space, objective = tuning.problem.space, tuning.problem.objective
    rows = math.ceil(len(space) / _COLUMNS)
    title = _title(tuning)
    with style.context(STYLE):
        figure = Figure(figsize=(8, 3.2 + 2.2 * rows), layout="constrained")
        figure.suptitle(title, fontsize=11)
        parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.8, 2.2 * rows])
        upper, lower = parts[:, 0]
        axes = upper.subplots()
        _draw_trials(axes, tuning)
        panels = lower.subplots(rows, _COLUMNS, squeeze=False, sharey=True).ravel()
        for panel, name in zip(panels, space, strict=False):
            _draw_parameter(panel, tuning, name)
        for panel in panels[::_COLUMNS]:
            panel.set_ylabel(objective)
        for panel in panels[len(space) :]:
            panel.set_visible(False)
        add_legend(figure, [axes], width=110)
    best = tuning.best
    text = f"{len(tuning.trials)} trials. "
    if best is not None and best.value is not None:
        found = ", ".join(f"{name} = {as_text(v)}" for name, v in best.parameters.items())
        text += f"The best is trial {best.number}: {objective} {rounded(best.value)} with {found}."
    return Picture(figure, title, text)


def _draw_trials(axes: Axes, tuning: Tuning) -> None:
    objective = tuning.problem.objective
    for label, marker, chosen in (
        ("finished", "o", [one for one in tuning.trials if one.value is not None]),
        ("stopped early", "x", [one for one in tuning.trials if one.stopped and one.reports]),
    ):
        if chosen:
            numbers, values = [one.number for one in chosen], [one.reports[-1] for one in chosen]
            colour = COLOURS[0] if marker == "o" else MUTED
            axes.plot(numbers, values, marker, color=colour, label=label, markersize=4.5)
    finished = [one for one in tuning.trials if one.value is not None]
    if finished:
        pick = np.maximum if objective == "score" else np.minimum
        best: FloatArray = pick.accumulate([one.reports[-1] for one in finished])
        numbers = [*(one.number for one in finished), len(tuning.trials) - 1]
        axes.step(numbers, [*best, best[-1]], where="post", color=COLOURS[1], label="best so far")
    if tuning.before is not None and tuning.before.value is not None:
        axes.axhline(tuning.before.value, color=MUTED, linestyle=":", linewidth=1, label="before")
    axes.set(xlabel="trial", ylabel=objective)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_parameter(axes: Axes, tuning: Tuning, name: str) -> None:
    values = tuning.problem.space[name]
    finished = [one for one in tuning.trials if one.value is not None]
    x: list[Any] = [one.parameters[name] for one in finished]
    if isinstance(values, Choices):
        names = list(values.values)
        x = [names.index(values.name(value)) for value in x]
        axes.set_xticks(range(len(names)), [text.replace('"', "") for text in names])
        axes.tick_params(axis="x", labelrotation=30 if max(map(len, names)) > 6 else 0)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif values.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.plot(x, [one.reports[-1] for one in finished], "o", color=COLOURS[0], markersize=4)
    if tuning.best is not None:
        i = finished.index(tuning.best)
        axes.plot(x[i], tuning.best.reports[-1], "o", color=COLOURS[1], markersize=6)
    axes.set_xlabel(name)


def of_study(study: Study) -> Table | None:
    """Return what the agents of a study were tuned to before it, None if they were not."""
    tuned = study.tuned
    if tuned is None:
        return None
    rows = []
    for agent in study.agents:
        if agent.name in tuned.parameters:
            chosen = (
                f"{name} = {as_text(agent.parameters[name])}"
                for name in tuned.parameters[agent.name]
            )
            rows.append((agent.name, ", ".join(chosen)))
        else:
            rows.append((agent.name, "not tuned"))
    note = (
        "before the comparison, each agent that has a search space was tuned with "
        f"{tuned.trials} trial{'s' if tuned.trials > 1 else ''} of "
        f"{tuned.seeds} seed{'s' if tuned.seeds > 1 else ''}, {FIRST_TUNING_SEED} and those after "
        "it, none of which is compared here"
    )
    columns = ("agent", "hyperparameters")
    return Table("Tuned before", columns, rows, align="left", long=columns[1:], note=note)
