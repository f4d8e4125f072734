"""Evidence from the environment's side: how an agent uses the environment, and how it predicts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from nchain_agents.check.finding import Finding
from nchain_agents.check.recorder import Recorder
from nchain_agents.study.failure import Failure
from nchain_env import TabularEnv, TabularMDP, chain_mdp
from nchain_env.mdp import FloatArray, IntArray

Make = Callable[[Any, int], Any]

# An agent that takes an action at random in every 20th step explores little, and is correct.
_LEAST_EPSILON = 0.05
# A correct agent may do by chance what happens this rarely.
_CHANCE = 1e-6
# How often an observation is predicted; so an exploration of _LEAST_EPSILON does not stay hidden.
_CALLS = 200

_AUTORESET = "Gymnasium, Env.step and Env.reset"
_SB3 = "stable-baselines3, BaseAlgorithm.learn and BaseAlgorithm.predict"


class Problem(NamedTuple):
    """A table without chance, so that all chance is the agent's, and how its episodes end."""

    mdp: TabularMDP
    time_limit: int | None
    where: str


def _always_terminating(mdp: TabularMDP) -> TabularMDP:
    ends = np.ones_like(mdp.terminated)
    return TabularMDP(mdp.next_state, mdp.probability, mdp.reward, ends, mdp.initial)


_CHAIN = chain_mdp(n=3, slip=0.0, small=1.0, large=3.0)
TIME_LIMIT = 20
LIMITED = Problem(_CHAIN, TIME_LIMIT, f"With a time limit of {TIME_LIMIT} steps, ")
ENDLESS = Problem(_CHAIN, None, "In an environment whose episodes never end, ")
ONE_STEP = Problem(
    _always_terminating(_CHAIN), None, "In an environment in which every step terminates, "
)


def behaviour(make: Make, seed: int, steps: int) -> list[Finding]:
    """Return what an agent does wrong with an environment, and in its predictions.

    It learns five times, on tables of three states and two actions without chance: twice with the
    same seed, once with another one, and for a quarter of the steps where episodes never end and
    where every step terminates. It is stopped where it goes on after twice the steps.

    Args:
        make: A function of an environment and a seed that returns an agent with the methods
            `learn(total_timesteps=...)` and `predict(observation, deterministic=True)`, which
            returns an action and a state.
        seed: The seed of the agent, at least 0; the next one is used, too.
        steps: The number of steps to learn for, at least 1. Whether it explores can be judged from
            about 600 steps on.

    Returns:
        The findings, each of another name; mistakes and remarks. Exceptions of the agent are
        findings.
    """
    with _global_numbers(0):
        found: dict[str, Finding] = {}
        for finding in _findings(make, seed, steps):
            found.setdefault(finding.name, finding)
        return list(found.values())


def _findings(make: Make, seed: int, steps: int) -> Iterator[Finding]:
    first = _trial(make, LIMITED, seed, steps)
    yield from _conduct(first)
    if first.agent is None or first.failed:
        return
    yield from _no_exploration(first)
    yield from _global_state(first)
    yield from _predictions(first)
    # Other global numbers, so that an agent that draws from them does not repeat itself.
    again = _trial(make, LIMITED, seed, steps, global_seed=2)
    other = _trial(make, LIMITED, seed + 1, steps)
    yield from _conduct(again)
    yield from _conduct(other)
    if not (again.failed or other.failed):
        yield from _seeding(first, again, other)
    for problem in (ENDLESS, ONE_STEP):
        yield from _conduct(_trial(make, problem, seed, max(steps // 4, 1)))


class _UnusableError(Exception):
    """There is nothing to learn or predict with."""


class _Stopped(BaseException):
    """Ends a training that goes on for too long; no Exception, which the agent may handle."""


@dataclass
class _Trial:
    """A training, and what is left of it."""

    problem: Problem
    seed: int
    asked: int
    recorder: Recorder
    agent: Any = None
    failure: Failure | None = None
    stopped: bool = False
    # The global generators that it used
    global_numbers: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the training did not come to its own end."""
        return self.failure is not None or self.stopped

    @property
    def steps(self) -> int:
        """The number of steps that were taken."""
        return self.recorder.steps

    @property
    def rollout(self) -> int:
        """The number of steps that the agent takes at a time, as stable-baselines3's agents do."""
        every = getattr(self.agent, "train_freq", 1)
        sizes = [getattr(self.agent, "n_steps", 1), getattr(every, "frequency", every)]
        largest = max(size if isinstance(size, int) else 1 for size in sizes)
        if getattr(getattr(every, "unit", None), "value", "step") == "episode":
            largest *= TIME_LIMIT
        return max(largest, 1)


def _trial(make: Make, problem: Problem, seed: int, steps: int, global_seed: int = 1) -> _Trial:
    env: gym.Env[Any, Any] = TabularEnv(problem.mdp)
    if problem.time_limit is not None:
        env = TimeLimit(env, problem.time_limit)

    def stop(taken: int) -> None:
        if taken >= 2 * steps + trial.rollout + TIME_LIMIT:
            raise _Stopped

    trial = _Trial(problem, seed, steps, Recorder(env, stop))
    with _global_numbers(global_seed) as used:
        try:
            trial.agent = _made(make, trial.recorder, seed)
            trial.agent.learn(total_timesteps=steps)
        except _Stopped:
            trial.stopped = True
        except _UnusableError as error:
            trial.failure = Failure(str(error))
        except (Exception, SystemExit) as error:
            trial.failure = Failure.of(error)
        trial.global_numbers = used()
    return trial


def _made(make: Make, env: Recorder, seed: int) -> Any:
    agent = make(env, seed)
    for name in ("learn", "predict"):
        if not callable(getattr(agent, name, None)):
            raise _UnusableError(f"{type(agent).__name__} has no method `{name}`.")
    return agent


def _conduct(trial: _Trial) -> Iterator[Finding]:
    """Yield how a training broke the rules of environments and of `learn`."""
    recorder, failure, where = trial.recorder, trial.failure, trial.problem.where
    if recorder.illegal:
        yield Finding(
            "illegal action",
            f"{where}it took the action {recorder.illegal[0]!r}, which is not in "
            f"{recorder.action_space}.",
            "an action that is no integer of the action space: an array of length 1, a float, the "
            "index of another axis",
            _AUTORESET,
            traceback=None if failure is None else failure.traceback,
        )
    elif failure is not None and failure.traceback is None:
        yield Finding("cannot be used", failure.reason, "the names of its methods", _SB3)
    elif failure is not None:
        yield Finding("raises an exception", where + failure.reason, traceback=failure.traceback)
    yield from _number_of_steps(trial)
    if recorder.past_the_end:
        yield Finding(
            "steps past the end",
            f"{where}it took {recorder.past_the_end} of {trial.steps} steps after the end of an "
            "episode, without a reset.",
            "a loop that ends at `terminated` alone, or at `truncated` alone; `reset` must follow "
            "both",
            _AUTORESET,
        )
    if trial.problem is LIMITED and recorder.abandoned:
        yield Finding(
            "resets early",
            f"{where}it reset the environment {recorder.abandoned} times before the end of an "
            "episode.",
            "a time limit of its own; what follows such a step must not be dropped",
            "Pardo et al. 2018, Time Limits in Reinforcement Learning",
            mistake=False,
        )
    given = [one for one in recorder.seeds if one is not None]
    number, count = Counter(given).most_common(1)[0] if given else (None, 0)
    if count >= 3:
        yield Finding(
            "equal seeds",
            f"{where}{count} of {len(recorder.seeds)} resets had the seed {number}, so that these "
            "episodes have the same chance events.",
            "`env.reset(seed=seed)` within the loop; only the first reset is seeded",
            "Gymnasium, Env.reset",
        )


def _number_of_steps(trial: _Trial) -> Iterator[Finding]:
    taken, asked, where = trial.steps, trial.asked, trial.problem.where
    said = f"{where}learn(total_timesteps={asked}) took {taken} steps"
    if trial.stopped:
        yield Finding(
            "does not stop",
            f"{said} and was stopped there.",
            "a loop over episodes that counts no steps, or that waits for the end of an episode",
            _SB3,
        )
    elif trial.failed:
        return
    elif taken == 0:
        yield Finding(
            "takes no steps",
            f"{said}.",
            "an environment other than the one that it was given: a copy, or one made anew",
            _SB3,
        )
    elif taken < asked:
        yield Finding("takes fewer steps", f"{said}.", "a loop that is left too early", _SB3)
    elif taken >= asked + trial.rollout:
        rest = taken < asked + TIME_LIMIT
        yield Finding(
            "takes more steps",
            f"{said}{', the last episode to its end' if rest else ''}.",
            "a count of episodes, or of updates, in place of steps",
            _SB3,
            mistake=not rest,
        )


def _no_exploration(trial: _Trial) -> Iterator[Finding]:
    """Yield the actions that were never tried, where a little exploration would have tried them."""
    visits = trial.recorder.experience.visits
    total, untried = visits.sum(axis=1), (visits == 0).sum(axis=1)
    actions = visits.shape[1]
    chance = float(np.prod((1 - _LEAST_EPSILON * untried / actions) ** total))
    if chance > _CHANCE:
        return
    never = [
        f"action {a} in the {total[s]} visits of state {s}"
        for s in np.argsort(-total)
        for a in np.flatnonzero(visits[s] == 0)
        if total[s] > 0
    ]
    yield Finding(
        "no exploration",
        f"{trial.problem.where}it never took {', nor '.join(never)}. With epsilon = "
        f"{_LEAST_EPSILON:g} the chance of that is {chance:.1g}.",
        "actions that are always greedy; an epsilon that is 0, or that decays within a few steps",
        "Sutton & Barto 2018, section 2.2",
    )


def _seeding(first: _Trial, again: _Trial, other: _Trial) -> Iterator[Finding]:
    """Yield whether the seed, and nothing else, decides on the actions."""
    actions = [trial.recorder.experience.action for trial in (first, again, other)]
    at = _difference(actions[0], actions[1])
    if at is not None:
        yield Finding(
            "not repeatable",
            f"Two agents with the seed {first.seed} differ from step {at + 1} of "
            f"{len(actions[0])} on, in an environment without chance.",
            "a generator that the seed does not reach: `random`, `numpy.random`, torch's, or "
            "`env.action_space.sample()` without `env.action_space.seed(seed)`",
            "Henderson et al. 2018, Deep Reinforcement Learning that Matters",
        )
    elif _difference(actions[0], actions[2]) is None:
        draws = _draws(first)
        rest = "though its predictions draw" if draws else "it makes no random choice, or ignores"
        yield Finding(
            "another seed, the same actions",
            f"With the seeds {first.seed} and {other.seed} it took the same {len(actions[0])} "
            f"actions: {rest}" + (" random numbers." if draws else " the seed."),
            "a generator with a constant seed",
            "Henderson et al. 2018, Deep Reinforcement Learning that Matters",
            mistake=draws,
        )


def _difference(one: IntArray, two: IntArray) -> int | None:
    """Return the first index at which two sequences differ, None if they are equal."""
    common = min(len(one), len(two))
    differ = np.flatnonzero(one[:common] != two[:common])
    if len(differ):
        return int(differ[0])
    return None if len(one) == len(two) else common


def _draws(trial: _Trial) -> bool:
    """Return whether predictions that need not be deterministic differ from call to call."""
    try:
        many = _repeated(trial, deterministic=False)
    except Exception:  # `predict` may be deterministic only
        return False
    return bool((many != many[0]).any())


def _predictions(trial: _Trial) -> Iterator[Finding]:
    """Yield what is wrong with the deterministic predictions of an agent that has learned."""
    agent, recorder = trial.agent, trial.recorder
    used = recorder.steps, len(recorder.seeds)
    before = _values(trial)
    try:
        many = _repeated(trial, deterministic=True)
    except Exception as error:
        failure = Failure.of(error, "predict(observation, deterministic=True): ")
        yield Finding("cannot predict", failure.reason, source=_SB3, traceback=failure.traceback)
        return
    after = _values(trial)
    calls = f"{_CALLS} calls of predict(observation, deterministic=True) for each state"
    taken = recorder.steps - used[0], len(recorder.seeds) - used[1]
    if any(taken):
        yield Finding(
            "predict uses the environment",
            f"{calls} took {taken[0]} steps and {taken[1]} resets.",
            "`env.step` or `env.reset` in `predict`",
            _SB3,
        )
    legal = (many >= 0) & (many < trial.problem.mdp.num_actions)
    if not legal.all():
        yield Finding(
            "illegal prediction",
            f"predict returned the action {many[~legal][0]}, which is not in "
            f"{recorder.action_space}.",
            "the maximum over another axis",
            _SB3,
        )
    if before is not None and after is not None and not np.array_equal(before, after):
        yield Finding(
            "predict learns",
            f"{calls} changed the values by up to {np.abs(after - before).max():.3g}.",
            "an update, or a count of visits, in `predict`",
            _SB3,
        )
        return
    changing = np.flatnonzero((many != many[0]).any(axis=0))
    if len(changing):
        s = changing[0]
        often = Counter(many[:, s].tolist())
        counts = ", ".join(f"action {a} {often[a]} times" for a in sorted(often))
        yield Finding(
            "deterministic predictions differ",
            f"{_CALLS} calls of predict({s}, deterministic=True) returned {counts}.",
            "`deterministic` that is not read, so that it explores; ties that are broken by chance",
            _SB3,
        )
        return
    yield from _batch(agent, many[0], after)


def _batch(agent: Any, single: IntArray, values: FloatArray | None) -> Iterator[Finding]:
    """Yield whether a batch is predicted as its observations are; not every agent takes batches."""
    try:
        actions, _ = agent.predict(np.arange(len(single)), deterministic=True)
        batch = np.asarray(actions)
    except Exception:
        return
    if batch.shape != single.shape:
        return
    wrong = batch != single
    if values is not None and values.ndim == 2 and ((batch >= 0) & (batch < values.shape[1])).all():
        # Two actions of the same value, but for rounding, may change places.
        rows = np.arange(len(single))
        wrong &= ~np.isclose(values[rows, batch.astype(int)], values[rows, single])
    if wrong.any():
        yield Finding(
            "a batch is predicted otherwise",
            f"predict returned {batch.tolist()} for all states together, and {single.tolist()} "
            "for one after the other.",
            "the maximum over another axis, or only the first of a batch",
            _SB3,
        )


def _repeated(trial: _Trial, deterministic: bool) -> IntArray:
    """Return predictions, (calls, S); each state is predicted after other ones, too."""
    states = range(trial.problem.mdp.num_states)
    return np.array([[_one(trial.agent, s, deterministic) for s in states] for _ in range(_CALLS)])


def _one(agent: Any, state: int, deterministic: bool) -> int:
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
        raise ValueError(f"predict must return one integer for one observation, got {action!r}")
    return int(given.item())


def _values(trial: _Trial) -> FloatArray | None:
    """Return the action values, (S, A), None if there are none."""
    states = np.arange(trial.problem.mdp.num_states)
    for ask in (
        lambda agent: agent.q_values(states),
        lambda agent: [agent.q_values(int(s)) for s in states],
    ):
        try:
            return np.array(ask(trial.agent), dtype=np.float64)
        except Exception:
            continue
    return None


def _global_state(trial: _Trial) -> Iterator[Finding]:
    if trial.global_numbers:
        yield Finding(
            "global random numbers",
            f"It changes the global state of {' and '.join(trial.global_numbers)}, and so the "
            "random numbers of the rest of the program.",
            "`random.seed`, `numpy.random.seed` or draws from them; a `numpy.random.Generator` of "
            "its own has no such effect",
            "NumPy, Random Generator",
            mistake=False,
        )


# The generators that the rest of a program shares are NumPy's legacy ones.
@contextmanager
def _global_numbers(seed: int) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Seed the global generators, yield a function that names those used since, restore them."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002

    def states() -> dict[str, Any]:
        legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
        key, position = legacy["state"]["key"], legacy["state"]["pos"]
        return {"random": random.getstate(), "numpy.random": (key.tobytes(), position)}

    seeded = states()
    try:
        yield lambda: tuple(name for name, now in states().items() if now != seeded[name])
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
