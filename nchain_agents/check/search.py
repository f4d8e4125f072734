"""Finds tables that tell explanations apart: `python -m nchain_agents.check.search [SECONDS]`.

Random tables are drawn. Printed are the two of them, one with actions that terminate and one
without, on which the values of any two explanations differ most; and, one after the other, the
tables on which the best actions of most other pairs of explanations differ.
"""

from __future__ import annotations

import sys
import time
from typing import Any, NamedTuple

import numpy as np

from nchain_agents.check.experience import Experience
from nchain_agents.check.explanations import EXPLANATIONS, q_learning
from nchain_agents.check.problems import Problem
from nchain_agents.check.recorder import Recorder
from nchain_agents.check.values import Backup
from nchain_env.mdp import FloatArray, IntArray
from nchain_env.planning import value_iteration

_STATES, _ACTIONS = 4, 2
_GAMMA = 0.9
# Steps with random actions, on which explanations are compared.
_STEPS = 1_500
# No optimal value may be larger, so that networks learn them in few steps.
_LARGEST_VALUE = 5.0
# A distance between values, and a difference between actions, that is large enough to be seen.
_FAR, _GAP = 0.15, 0.25
# The tables of each kind that are kept for the choice of two.
_KEPT = 60
# The parameter of explanations that have one.
PARAMETERS: dict[str, Any] = {
    "epsilon-greedy target": 0.6,
    "reward scaled": 1.25,
    "reward shifted": 0.5,
    "another gamma": 0.65,
    "n-step returns, uncorrected": 3,
    "states confused": (0, 1),
}
# A random policy has the mean of the next values as its own, and nothing resets by itself.
_LEFT_OUT = ("on-policy target", "learns from ghost steps")


class Found(NamedTuple):
    """The values of explanations in a problem.

    Args:
        problem: The problem.
        values: (E, S, A) the values of the correct update and of each of E - 1 explanations.
        distance: (E, E) how far the values of one are from the mean targets of another one.
    """

    problem: Problem
    values: FloatArray
    distance: FloatArray

    @property
    def choices(self) -> IntArray:
        """(E, S) the best actions; -1 where the other one is nearly as good."""
        best = np.sort(self.values, axis=2)
        clear = best[..., -1] - best[..., -2] > _GAP
        return np.where(clear, self.values.argmax(axis=2), -1)

    @property
    def differ(self) -> IntArray:
        """(E, E) the number of states in which the best actions differ."""
        one, other = self.choices[:, None], self.choices[None]
        return np.asarray(((one >= 0) & (other >= 0) & (one != other)).sum(axis=2))


def names() -> list[str]:
    """Return the names of what is compared, the correct update first."""
    return ["correct", *(one.name for one in EXPLANATIONS if one.name not in _LEFT_OUT)]


def compared(problem: Problem, steps: int = _STEPS, gamma: float = _GAMMA) -> Found:
    """Return the values of all explanations after random actions in a problem."""
    x = _random_actions(problem, steps)
    updates = [q_learning(x, gamma)]
    for one in EXPLANATIONS:
        if one.name not in _LEFT_OUT:
            updates.append(one.changed(x, updates[0], PARAMETERS.get(one.name)))
    backups = [Backup.of(x, update) for update in updates]
    initial = np.zeros((x.num_states, x.num_actions))
    values = np.array([backup.fixed_point(initial, sweeps=1_000) for backup in backups])
    size = np.sqrt(np.maximum((values**2).mean(axis=(1, 2)), (x.reward**2).mean()))
    errors = np.array([[backup.targets(q, initial) - q for backup in backups] for q in values])
    distance = np.sqrt((errors**2).mean(axis=(2, 3))) / size[:, None]
    return Found(problem, values, distance)


def _random_actions(problem: Problem, steps: int) -> Experience:
    env, rng = Recorder(problem.make()), np.random.default_rng(0)
    env.reset(seed=0)
    for action in rng.integers(problem.mdp.num_actions, size=steps).tolist():
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return env.experience


def _drawn(rng: np.random.Generator, ending: bool) -> Problem:
    shape = (_STATES, _ACTIONS)
    terminates = np.argwhere(rng.random(shape) < 0.3) if ending else np.empty((0, 2), dtype=int)
    return Problem(
        "found",
        tuple(map(tuple, rng.integers(_STATES, size=shape).tolist())),
        tuple(map(tuple, rng.choice(np.arange(-4, 5) / 2, size=shape).tolist())),
        tuple((int(s), int(a)) for s, a in terminates),
        int(rng.integers(2, 5)),
    )


def _search(seconds: float) -> None:
    rng, end = np.random.default_rng(), time.monotonic() + seconds
    kept: dict[bool, list[Found]] = {True: [], False: []}
    while time.monotonic() < end:
        ending = bool(rng.integers(2))
        problem = _drawn(rng, ending)
        if np.abs(value_iteration(problem.mdp, _GAMMA)).max() <= _LARGEST_VALUE:
            kept[ending].append(compared(problem))
    far = {
        kind: sorted(found, key=lambda one: -np.minimum(one.distance, _FAR).mean())[:_KEPT]
        for kind, found in kept.items()
    }
    others = ~np.eye(len(names()), dtype=np.bool_)
    least, one, two = max(
        (
            (float(np.maximum(a.distance, b.distance)[others].min()), a, b)
            for a in far[True]
            for b in far[False]
        ),
        key=lambda entry: entry[0],
    )
    print(f"the least distance of two explanations is {least:.3f} on\n{one.problem}\n{two.problem}")
    told = (one.differ + two.differ) > 0
    while True:
        best = max(
            (*kept[True], *kept[False]), key=lambda found: ((found.differ > 0) & ~told).sum()
        )
        more = (best.differ > 0) & ~told
        if not more.any():
            break
        told |= more
        print(f"the choices of {more.sum() // 2} more pairs differ on\n{best.problem}")
    for i, j in np.argwhere(np.triu(~told & others)):
        print(f"the choices do not differ: {names()[i]}, {names()[j]}")


if __name__ == "__main__":
    _search(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
