"""The scalar env, the vector env and a model of a few lines, driven side by side."""

import copy
import pickle
from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded
from gymnasium.wrappers import TimeLimit
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nchain_env import NChainEnv, NChainVectorEnv
from nchain_env.vector_env import AutoresetMode

FORWARD, BACKWARD = 0, 1


class Model:
    """The game as its rules say it, with the number that decides a step handed in."""

    def __init__(self, n: int, slip: float, small: float, large: float) -> None:
        self.n, self.slip, self.small, self.large = n, slip, small, large
        self.state = 0

    def step(self, action: int, number: float) -> tuple[int, float, bool]:
        slipped = number < self.slip
        if (action == BACKWARD) != slipped:
            self.state, reward = 0, self.small
        elif self.state == self.n - 1:
            reward = self.large
        else:
            self.state, reward = self.state + 1, 0.0
        return self.state, reward, slipped


class Fed:
    """Stands in for a generator: gives the numbers it was fed, and fails where there are none."""

    def __init__(self) -> None:
        self.numbers: deque[float] = deque()

    def random(self) -> float:
        return self.numbers.popleft()


class SideBySide(RuleBasedStateMachine):
    """`vector` against one `scalar` and one `model` for each of its environments."""

    @initialize(
        num_envs=st.integers(1, 4),
        limit=st.none() | st.integers(1, 4),
        mode=st.sampled_from(AutoresetMode),
        n=st.integers(1, 7) | st.just(70),
        slip=st.floats(0, 1),
        small=st.floats(-20, 20),
        large=st.floats(-20, 20),
        seed=st.integers(0, 2**64),
    )
    def begin(
        self, num_envs: int, limit: int | None, mode: AutoresetMode, seed: int, **game: Any
    ) -> None:
        self.n, self.limit, self.mode = game["n"], limit, mode
        self.vector = NChainVectorEnv(
            num_envs, max_episode_steps=limit, autoreset_mode=mode, **game
        )
        self.models = [Model(**game) for _ in range(num_envs)]
        self.scalars: list[gym.Env[Any, Any]] = []
        self.fed = [Fed() for _ in range(num_envs)]
        for fed in self.fed:
            env: gym.Env[Any, Any] = NChainEnv(**game)
            env.np_random = fed  # type: ignore[assignment]
            self.scalars.append(env if limit is None else TimeLimit(env, limit))
        self.elapsed = [0] * num_envs
        self.over = [False] * num_envs
        with pytest.raises(ResetNeeded):
            self.vector.step([0] * num_envs)
        self.reset(seed=seed, state=None, mask=[True] * num_envs)

    @rule(
        seed=st.none() | st.integers(0, 100),
        state=st.none() | st.integers(0, 69),
        mask=st.none() | st.lists(st.booleans(), min_size=4, max_size=4),
    )
    def reset(self, seed: int | None, state: int | None, mask: list[bool] | None) -> None:
        count = len(self.models)
        options: dict[str, Any] = {} if state is None else {"state": state % self.n}
        chosen = [True] * count
        if mask is not None:
            chosen = mask[:count] if any(mask[:count]) else chosen
            options["reset_mask"] = np.array(chosen)
        if seed is not None:
            self.stream = np.random.default_rng(seed)
        observations, infos = self.vector.reset(seed=seed, options=options)
        options.pop("reset_mask", None)
        for i in np.flatnonzero(chosen).tolist():
            self.restart(i, self.stream.random(), options)
        assert observations.tolist() == [model.state for model in self.models]
        assert infos["prob"].tolist() == [float(yes) for yes in chosen]
        assert not infos["slipped"].any()
        assert infos["_prob"].tolist() == infos["_slipped"].tolist() == chosen

    def restart(self, i: int, number: float, options: dict[str, Any]) -> None:
        self.models[i].state = options.get("state", 0)
        self.elapsed[i], self.over[i] = 0, False
        self.fed[i].numbers.append(number)
        info = {"prob": 1.0, "slipped": False}
        assert self.scalars[i].reset(options=options) == (self.models[i].state, info)

    @rule(rows=st.lists(st.tuples(*[st.integers(0, 1)] * 4), min_size=1, max_size=6))
    def steps(self, rows: list[tuple[int, ...]]) -> None:
        for actions in rows:
            if not (self.mode is AutoresetMode.DISABLED and any(self.over)):
                self.step(actions)
                self.the_generator_has_given_what_the_rules_say()

    def step(self, actions: tuple[int, ...]) -> None:
        count = len(self.models)
        observations, rewards, terminations, truncations, infos = self.vector.step(actions[:count])
        numbers = self.stream.random(count).tolist()
        assert not terminations.any()
        for i in range(count):
            if self.over[i]:  # its turn to begin anew, under NEXT_STEP
                self.restart(i, numbers[i], {})
                assert (rewards[i], truncations[i]) == (0.0, False)
                assert (infos["prob"][i], infos["slipped"][i]) == (1.0, False)
                continue
            state, reward, slipped = self.models[i].step(actions[i], numbers[i])
            self.elapsed[i] += 1
            self.over[i] = self.elapsed[i] == self.limit
            probability = self.models[i].slip if slipped else 1 - self.models[i].slip
            info = {"prob": probability, "slipped": slipped}
            self.fed[i].numbers.append(numbers[i])
            expected = (state, reward, False, self.over[i], info)
            assert self.scalars[i].step(actions[i]) == expected
            assert (rewards[i], truncations[i]) == (reward, self.over[i])
            told = infos
            if self.mode is AutoresetMode.SAME_STEP and self.over[i]:
                assert (infos["prob"][i], infos["slipped"][i]) == (1.0, False)
                told = infos["final_info"]
                assert infos["final_obs"][i] == state
                assert (infos["_final_obs"][i], infos["_final_info"][i]) == (True, True)
                self.restart(i, self.stream.random(), {})
            assert (told["prob"][i], told["slipped"][i]) == (probability, slipped)
            assert (told["_prob"][i], told["_slipped"][i]) == (True, True)
        assert observations.tolist() == [model.state for model in self.models]
        assert infos["_prob"].all()
        assert infos["_slipped"].all()
        assert ("final_obs" in infos) == (
            self.mode is AutoresetMode.SAME_STEP and truncations.any()
        )

    @precondition(lambda self: self.mode is AutoresetMode.DISABLED and any(self.over))
    @rule()
    def step_an_ended_one(self) -> None:
        with pytest.raises(ResetNeeded, match="reset_mask"):
            self.vector.step([0] * len(self.models))

    @rule(action=st.sampled_from([2, -1, 0.5, "0", None]))
    def step_badly(self, action: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="actions"):
            self.vector.step([action] * len(self.models))
        with pytest.raises((TypeError, ValueError), match="actions"):
            self.vector.step([0] * (len(self.models) + 1))
        with pytest.raises(ValueError, match="action"):
            self.scalars[0].unwrapped.step(action)

    @rule(bad=st.sampled_from([{"state": -1}, {"state": 70}, {"state": 0.0}, {"start": 0}]))
    def reset_badly(self, bad: dict[str, Any]) -> None:
        for env in (self.vector, self.scalars[0].unwrapped):
            with pytest.raises(ValueError, match="options"):
                env.reset(seed=1, options=bad)
            with pytest.raises(Error, match="Seed"):
                env.reset(seed=-1)
        for mask in (np.zeros(len(self.models), np.bool_), np.ones(len(self.models)), [True]):
            with pytest.raises((TypeError, ValueError), match="reset_mask"):
                self.vector.reset(seed=1, options={"reset_mask": mask})

    @rule()
    def go_on_with_a_copy(self) -> None:
        self.vector = copy.deepcopy(self.vector)

    @rule()
    def go_on_after_pickling(self) -> None:
        self.vector = pickle.loads(pickle.dumps(self.vector))

    @invariant()
    def the_generator_has_given_what_the_rules_say(self) -> None:
        ours = self.vector.np_random.bit_generator.state
        assert ours == self.stream.bit_generator.state
        assert not any(fed.numbers for fed in self.fed)


TestSideBySide = SideBySide.TestCase
TestSideBySide.settings = settings(
    deadline=None, derandomize=True, max_examples=100, stateful_step_count=40
)
