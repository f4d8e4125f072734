"""Evidence from the environment's side: what an agent does while it learns and predicts."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from nchain_agents.check.finding import Finding
from nchain_agents.check.predicting import draws, predictions
from nchain_agents.check.trial import (
    ENDLESS,
    LIMITED,
    ONE_STEP,
    TIME_LIMIT,
    Make,
    Trial,
    global_generators,
    train,
)

# An agent that acts at random in every 20th step explores little, and is correct.
_LEAST_EPSILON = 0.05
# What happens to a correct agent with a smaller probability is taken for a mistake.
_CHANCE = 1e-6
# How many more seeds are tried where two give the same actions, and for how many steps.
_SEEDS, _FEW_STEPS = 20, 200

NO_EXPLORATION = "no exploration"
_ENV = "Gymnasium, Env.step and Env.reset"
_LEARN = "stable-baselines3, BaseAlgorithm.learn"
_REPEATABLE = "Henderson et al. 2018, Deep Reinforcement Learning that Matters"


def behaviour(make: Make, seed: int, steps: int) -> list[Finding]:
    """Return what an agent does wrong with an environment, and in its predictions.

    It learns five times, on tables of three states and two actions without chance: twice with the
    same seed, once with another one; and for a quarter of the steps where episodes never end, and
    where every step terminates. It is stopped where it goes on for twice the steps. Where two seeds
    give the same actions, 20 more agents learn for at most 200 steps each.

    Args:
        make: A function of an environment and a seed that returns an agent with the methods
            `learn(total_timesteps=...)` and `predict(observation, deterministic=True)`, which
            returns an action and a state.
        seed: The seed of the agent, at least 0; the next ones are used, too.
        steps: The number of steps to learn for, at least 1. From about 600 steps on, an agent that
            does not explore is told from one that explores little.

    Returns:
        The findings, each of another name; mistakes and remarks. Exceptions of the agent are
        findings, too.
    """
    found: dict[str, Finding] = {}
    with global_generators(0):
        for finding in _findings(make, seed, steps):
            known = found.setdefault(finding.name, finding)
            if finding.mistake and not known.mistake:
                found[finding.name] = finding
    return list(found.values())


def _findings(make: Make, seed: int, steps: int) -> Iterator[Finding]:
    first = train(make, LIMITED, seed, steps)
    yield from _conduct(first)
    if not first.finished or first.steps == 0:
        return
    yield from _no_exploration(first)
    # With other global numbers, an agent that draws from them does not repeat itself.
    again = train(make, LIMITED, seed, steps, global_seed=1)
    other = train(make, LIMITED, seed + 1, steps)
    yield from _conduct(again)
    yield from _conduct(other)
    if again.finished and other.finished:
        yield from _not_repeatable(first, again)
        if _same_actions(first, other) and _same_actions(first, again):
            yield from _seed_ignored(make, first)
    yield from _global_generators(again)
    yield from predictions(first)
    for problem in (ENDLESS, ONE_STEP):
        yield from _conduct(train(make, problem, seed, max(steps // 4, 1)))


def _conduct(trial: Trial) -> Iterator[Finding]:
    """Yield how a training broke the rules of environments and of `learn`."""
    recorder, where = trial.recorder, trial.problem.where
    yield from _failure(trial)
    yield from _number_of_steps(trial)
    if recorder.past_the_end:
        yield Finding(
            "steps past the end",
            f"{where} the agent took {recorder.past_the_end} of {trial.steps} steps after an "
            "episode's end, without a reset.",
            "a loop that ends at `terminated` alone, or at `truncated` alone; `reset` must follow "
            "both",
            _ENV,
        )
    if trial.problem is LIMITED and recorder.abandoned:
        yield Finding(
            "resets early",
            f"{where} the agent reset the environment {recorder.abandoned} times before the "
            "end of an episode.",
            "a time limit of its own; what follows such a step must not be dropped",
            "Pardo et al. 2018, Time Limits in Reinforcement Learning",
            mistake=False,
        )
    seeds = [seed for seed in recorder.seeds if seed is not None]
    number, count = Counter(seeds).most_common(1)[0] if seeds else (None, 0)
    if count >= 3:
        yield Finding(
            "equal seeds",
            f"{where} {count} of {len(recorder.seeds)} resets had the seed {number}: the chance "
            "events of these episodes are the same.",
            "`env.reset(seed=seed)` within the loop; only the first reset has a seed",
            "Gymnasium, Env.reset",
        )


def _failure(trial: Trial) -> Iterator[Finding]:
    recorder, failure, where = trial.recorder, trial.failure, trial.problem.where
    traceback = None if failure is None else failure.traceback
    if recorder.illegal:
        yield Finding(
            "illegal action",
            f"{where} the agent took the action {reprlib.repr(recorder.illegal[0])}, which is "
            f"not in {recorder.action_space}.",
            "an array of length 1 or a float in place of an integer; the index of another axis",
            _ENV,
            traceback=traceback,
        )
    elif failure is not None and traceback is None:
        yield Finding("cannot be used", failure.reason, "the names of its methods", _LEARN)
    elif failure is not None:
        name = "raises an exception"
        if trial.problem is not LIMITED:
            name += f" {where[0].lower()}{where[1:-1]}"
        yield Finding(name, f"{where} {failure.reason}", traceback=traceback)


def _number_of_steps(trial: Trial) -> Iterator[Finding]:
    taken, asked = trial.steps, trial.asked
    said = f"{trial.problem.where} learn(total_timesteps={asked}) took {taken} steps"
    if trial.stopped:
        yield Finding(
            "does not stop",
            f"{said} and was stopped there.",
            "a loop over episodes that counts no steps, or that waits for the end of an episode",
            _LEARN,
        )
    elif not trial.finished:
        return
    elif taken == 0:
        yield Finding(
            "takes no steps",
            f"{said}.",
            "another environment than the one that was given: a copy, or one made anew",
            _LEARN,
        )
    elif taken < asked:
        yield Finding("takes fewer steps", f"{said}.", "a loop that is left too early", _LEARN)
    elif taken >= asked + trial.rollout:
        whole = trial.problem is LIMITED and taken < asked + TIME_LIMIT
        whole = whole and bool(trial.recorder.experience.ended[-1])
        yield Finding(
            "takes more steps",
            f"{said}, the last episode to its end." if whole else f"{said}.",
            "a count of episodes, or of updates, in place of steps",
            _LEARN,
            mistake=not whole,
        )


def _no_exploration(trial: Trial) -> Iterator[Finding]:
    """Yield the actions that were never taken, where a little exploration would have taken them."""
    visits = trial.recorder.experience.visits
    total, never = visits.sum(axis=1), visits == 0
    each = _LEAST_EPSILON / visits.shape[1]
    chance = float(np.prod((1 - each * never.sum(axis=1)) ** total))
    if chance < _CHANCE:
        pairs = [(s, a) for s, a in np.argwhere(never) if total[s]]
        said = ", ".join(f"action {a} in state {s} (visited {total[s]} times)" for s, a in pairs)
        yield Finding(
            NO_EXPLORATION,
            f"{trial.problem.where} the agent never took {said}; with epsilon = {_LEAST_EPSILON:g} "
            f"the probability of that is {chance:.1g}.",
            "actions that are always greedy; an epsilon that is 0, or that decays too fast",
            "Sutton & Barto 2018, section 2.2",
        )


def _not_repeatable(first: Trial, again: Trial) -> Iterator[Finding]:
    """Yield whether two agents with the same seed differ."""
    if not _same_actions(first, again):
        yield Finding(
            "not repeatable",
            f"Two agents with the seed {first.seed} took other actions from step "
            f"{_first_difference(first, again)} on, in an environment without chance.",
            "a generator that the seed does not reach: `random`, `numpy.random`, torch's, or "
            "`env.action_space.sample()` without `env.action_space.seed(seed)`",
            _REPEATABLE,
        )


def _seed_ignored(make: Make, first: Trial) -> Iterator[Finding]:
    """Yield whether agents with many seeds do the same.

    Two may, where chance decides on ties only. Many agents that explore a little do not, in a few
    steps each.
    """
    steps = min(first.asked, _FEW_STEPS)
    if (1 - _LEAST_EPSILON / 2) ** (_SEEDS * steps) > _CHANCE:
        return
    last = first.seed + _SEEDS
    trials = (train(make, LIMITED, seed, steps) for seed in range(first.seed + 1, last + 1))
    one = next(trials)
    if all(_same_actions(one, trial) for trial in trials):
        random = draws(first)
        why = "though it draws random numbers" if random else "it draws none, or ignores its seed"
        yield Finding(
            "another seed, the same actions",
            f"With each of the seeds {one.seed} to {last} the agent took the same {one.steps} "
            f"actions; {why}.",
            "a generator that has the same seed in each agent",
            _REPEATABLE,
            mistake=random,
        )


def _same_actions(one: Trial, two: Trial) -> bool:
    return np.array_equal(one.recorder.experience.action, two.recorder.experience.action)


def _first_difference(one: Trial, two: Trial) -> int:
    """Return the number, from 1, of the first step in which the actions differ."""
    actions = zip_longest(*(trial.recorder.experience.action.tolist() for trial in (one, two)))
    return next(i for i, (a, b) in enumerate(actions, start=1) if a != b)


def _global_generators(trial: Trial) -> Iterator[Finding]:
    if trial.global_generators:
        yield Finding(
            "global random numbers",
            f"The agent changes the state of the global generators of "
            f"{' and '.join(trial.global_generators)}, on which other code may depend.",
            "`random.seed`, `numpy.random.seed`, or draws from these; a `numpy.random.Generator` "
            "belongs to one object",
            "NumPy, Random Generator",
            mistake=False,
        )
