"""The policies of agents in each state, over the seeds, beside the optimal ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nchain_agents.study.comparison import Results
from nchain_agents.study.uncertainty import interquartile_mean
from nchain_env.mdp import BoolArray, FloatArray

# With more states, the page shows counts in place of single states.
SHOWN_STATES = 30
_FORWARD, _BACKWARD = 0, 1


class Cell(NamedTuple):
    """The action of a policy in one state."""

    sign: str  # an arrow, or empty
    text: str  # the number of seeds, as "4/5"
    kind: str  # "forward", "backward" or "optimal": the seeds that are counted
    share: float  # the fraction of the seeds, from 0 to 1
    words: str  # a description


class Row(NamedTuple):
    """The actions of an agent, or of the optimal policy, in every state."""

    name: str
    cells: Sequence[Cell]


class AgreementRow(NamedTuple):
    """The number of states in which an agent's policy is optimal."""

    name: str
    states: str  # interquartile mean of the seeds
    share: str


def arrows(entries: Sequence[Results], optimal: Mapping[float, FloatArray]) -> list[Row]:
    """Return the policies as arrows along the chain: the optimal ones, then each agent's.

    Args:
        entries: The runs of each agent, all with policies.
        optimal: Q* for each discount factor.
    """
    rows = []
    for gamma, q in optimal.items():
        best = _optimal_actions(q)
        cells = [_optimal_arrow(s, allowed) for s, allowed in enumerate(best)]
        rows.append(Row(f"optimal (gamma = {gamma:g})", cells))
    for results in entries:
        chosen = _policies(results)  # (seeds, S)
        forward = (chosen == _FORWARD).sum(axis=0)
        rows.append(
            Row(
                results.agent,
                [_arrow(s, int(count), len(chosen)) for s, count in enumerate(forward)],
            )
        )
    return rows


def agreement(entries: Sequence[Results], optimal: Mapping[float, FloatArray]) -> list[Row]:
    """Return for each state the number of seeds whose action is optimal for the agent's gamma."""
    rows = []
    for results in entries:
        right = _right(results, optimal)
        if right is None:
            continue
        seeds = len(right)
        cells = [
            Cell(
                "",
                f"{count}/{seeds}",
                "optimal",
                count / seeds,
                f"state {s}: optimal on {count} of {seeds}",
            )
            for s, count in enumerate(right.sum(axis=0).tolist())
        ]
        rows.append(Row(results.agent, cells))
    return rows


def counted(entries: Sequence[Results], optimal: Mapping[float, FloatArray]) -> list[AgreementRow]:
    """Return the number of states in which each agent's action is optimal."""
    rows = []
    for results in entries:
        right = _right(results, optimal)
        if right is not None:
            states = interquartile_mean(right.sum(axis=1))
            total = right.shape[1]
            share = f"{states / total:.1%}"
            rows.append(AgreementRow(results.agent, f"{states:,.0f} of {total:,}", share))
    return rows


def _right(results: Results, optimal: Mapping[float, FloatArray]) -> BoolArray | None:
    """Return whether each seed's action is optimal in each state, (seeds, S)."""
    gamma = results.runs[0].gamma
    if gamma is None:
        return None
    best, chosen = _optimal_actions(optimal[gamma]), _policies(results)
    return np.asarray(best[np.arange(len(best)), chosen], dtype=np.bool_)


def _policies(results: Results) -> FloatArray:
    return np.array([run.policy for run in results.runs])


def _optimal_actions(q: FloatArray) -> BoolArray:
    """Return which actions are optimal, (S, A), up to rounding errors."""
    best = q.max(axis=1, keepdims=True)
    return np.asarray(q >= best - 1e-9 * np.maximum(1.0, abs(best)), dtype=np.bool_)


def _optimal_arrow(state: int, allowed: BoolArray) -> Cell:
    if allowed.all():
        return Cell("↔", "", "optimal", 0.0, f"state {state}: either")
    forward = bool(allowed[_FORWARD])
    return _pointing(state, forward, "", 1.0, "forward" if forward else "backward")


def _arrow(state: int, forward: int, seeds: int) -> Cell:
    most = max(forward, seeds - forward)
    ahead = 2 * forward >= seeds
    name = "forward" if ahead else "backward"
    return _pointing(state, ahead, f"{most}/{seeds}", most / seeds, f"{name} on {most} of {seeds}")


def _pointing(state: int, forward: bool, text: str, share: float, words: str) -> Cell:
    kind = "forward" if forward else "backward"
    return Cell("→" if forward else "←", text, kind, share, f"state {state}: {words}")
