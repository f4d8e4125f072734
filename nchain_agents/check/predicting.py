"""Evidence from deterministic predictions: what they must be, and what they must not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from nchain_agents.check.finding import Finding
from nchain_agents.check.trial import Trial
from nchain_agents.study.failure import Failure
from nchain_env.mdp import FloatArray, IntArray

# How often each state is predicted: an agent that explores with epsilon = 0.05 returns the same
# actions for three states with probability 0.975 ** 600 = 3e-7.
CALLS = 200
_SOURCE = "stable-baselines3, BaseAlgorithm.predict"


def predictions(trial: Trial) -> Iterator[Finding]:
    """Yield what is wrong with the deterministic predictions of an agent that has learned."""
    recorder, before = trial.recorder, _values(trial)
    used = np.array([recorder.steps, len(recorder.seeds)])
    try:
        actions = _actions(trial, deterministic=True)
    except (Exception, SystemExit) as error:
        failure = Failure.of(error, "predict(observation, deterministic=True): ")
        yield Finding("cannot predict", failure.reason, source=_SOURCE, traceback=failure.traceback)
        return
    steps, resets = np.array([recorder.steps, len(recorder.seeds)]) - used
    if steps or resets:
        yield Finding(
            "predict uses the environment",
            f"Predictions took {steps} steps and {resets} resets.",
            "`env.step` or `env.reset` in `predict`",
            _SOURCE,
        )
    yield from _illegal(trial, actions)
    after = _values(trial)
    changing = np.flatnonzero((actions != actions[0]).any(axis=0))
    if (
        before is not None
        and after is not None
        and not np.array_equal(before, after, equal_nan=True)
    ):
        yield Finding(
            "predict learns",
            f"{CALLS} predictions of each state changed the values by up to "
            f"{np.abs(after - before).max():.3g}.",
            "an update in `predict`",
            _SOURCE,
        )
    elif len(changing):
        yield _exploring(int(changing[0]), actions[:, changing[0]])
    else:
        yield from _batch(trial, actions[0], after)


def draws(trial: Trial) -> bool:
    """Return whether predictions that need not be deterministic differ from call to call."""
    try:
        actions = _actions(trial, deterministic=False)
    except Exception:  # it may predict deterministically only
        return False
    return bool((actions != actions[0]).any())


def _illegal(trial: Trial, actions: IntArray) -> Iterator[Finding]:
    wrong = actions[(actions < 0) | (actions >= trial.problem.mdp.num_actions)]
    if len(wrong):
        yield Finding(
            "illegal prediction",
            f"predict(observation, deterministic=True) returned the action {wrong[0]}, which is "
            f"not in {trial.recorder.action_space}.",
            "the maximum over another axis",
            _SOURCE,
        )


def _exploring(state: int, actions: IntArray) -> Finding:
    often = Counter(actions.tolist())
    return Finding(
        "predict explores",
        f"{len(actions)} calls of predict({state}, deterministic=True) returned "
        + " and ".join(f"action {action} {often[action]} times" for action in sorted(often))
        + ".",
        "`deterministic` that is not read; ties that are broken by chance; counts of visits that "
        "`predict` changes",
        _SOURCE,
    )


def _batch(trial: Trial, single: IntArray, values: FloatArray | None) -> Iterator[Finding]:
    """Yield whether a batch is predicted as its observations are, if batches are taken at all."""
    states = np.arange(len(single))
    try:
        actions, _ = trial.agent.predict(states, deterministic=True)
        batch = np.asarray(actions)
        wrong = batch != single
        if values is not None:  # of equal values, but for rounding, either action is right
            wrong &= ~np.isclose(values[states, batch], values[states, single])
    except Exception:
        return
    if batch.shape == single.shape and wrong.any():
        yield Finding(
            "a batch is predicted otherwise",
            f"predict returned the actions {batch.tolist()} for the states {states.tolist()} "
            f"together, and {single.tolist()} for one after the other.",
            "the maximum over another axis; only the first observation of a batch",
            _SOURCE,
        )


def _actions(trial: Trial, deterministic: bool) -> IntArray:
    """Return the actions of many predictions, (CALLS, S)."""
    states = range(trial.problem.mdp.num_states)
    return np.array(
        [[_action(trial.agent, s, deterministic) for s in states] for _ in range(CALLS)]
    )


def _action(agent: Any, state: int, deterministic: bool) -> int:
    """Return the action for an observation; an agent may take it in a batch of one only."""
    try:
        action, _ = agent.predict(state, deterministic=deterministic)
    except Exception as error:
        try:
            action, _ = agent.predict(np.array([state]), deterministic=deterministic)
        except Exception:
            raise error from None
    given = np.asarray(action)
    if given.size != 1 or given.item() != int(given.item()):
        raise ValueError(f"it must return one integer for one observation, got {action!r}")
    return int(given.item())


def _values(trial: Trial) -> FloatArray | None:
    """Return the values of the actions, (S, A), None if there are none."""
    states = range(trial.problem.mdp.num_states)
    try:
        values = np.array([np.ravel(trial.agent.q_values(s)) for s in states], dtype=np.float64)
    except Exception:  # there is no such method, or it takes something else
        return None
    return values if values.shape[1:] == (trial.problem.mdp.num_actions,) else None
