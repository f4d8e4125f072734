"""A table stands in for an environment only where the environment is known to sample it."""

import functools
from pathlib import Path
from types import MethodType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text import CliffWalkingEnv, FrozenLakeEnv, TaxiEnv
from gymnasium.wrappers import OrderEnforcing, RecordEpisodeStatistics, TimeLimit, TransformReward

from nchain_agents import PosteriorSampling, QLearning
from nchain_agents.model_env import ModelEnv
from nchain_env import NChainEnv, TabularMDP, chain_mdp
from nchain_env.known_tables import known_table
from nchain_env.planning import policy_iteration

pytest.importorskip("numba", reason="needs the agents extra")


class Taxed(NChainEnv):
    """Going forward costs 5."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reached, reward, terminated, truncated, info = super().step(action)
        return reached, reward - 5 * (action == 0), terminated, truncated, info


class Toll(FrozenLakeEnv):
    """Each step costs 0.1."""

    def step(self, a: Any) -> Any:
        reached, reward, terminated, truncated, info = super().step(a)  # type: ignore[no-untyped-call]
        return reached, reward - 0.1, terminated, truncated, info


class Later(FrozenLakeEnv):
    """Starts in another state than its table says."""

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        self.s = 8
        return 8, {}


class Drifting(FrozenLakeEnv):
    """What `step` reads is worked out anew each time."""

    @property
    def P(self) -> Any:  # noqa: N802
        return self.table

    @P.setter
    def P(self, table: Any) -> None:  # noqa: N802
        self.table = table


class Sideways:
    def reset(self, **_: Any) -> Any:
        raise NotImplementedError


class Mixed(Sideways, FrozenLakeEnv):
    """Another class's reset comes first."""


class Between(gym.Env[Any, Any]):
    def reset(self, **_: Any) -> Any:
        raise NotImplementedError


class Interposed(FrozenLakeEnv, Between):  # type: ignore[misc]
    """Another class's reset is what `super().reset` means."""


def stepped_by_hand(env: Any) -> Any:
    """Pay 1 more, as a function put over the environment's own."""
    inner = env.step

    @functools.wraps(inner)
    def step(self: Any, action: Any) -> Any:
        reached, reward, *rest = inner(action)
        return reached, reward + 1.0, *rest

    env.step = MethodType(step, env)
    return env


def patched_lake() -> Any:
    env = gym.make("FrozenLake-v1")
    stepped_by_hand(env.unwrapped)
    return env


UNKNOWN = {
    "step": (lambda: TimeLimit(Taxed(), 1000), "Taxed.step"),
    "toy-text's step": (lambda: TimeLimit(Toll(), 100), "Toll.step"),
    "reset": (lambda: TimeLimit(Later(), 100), "Later.reset"),
    "what step reads": (lambda: TimeLimit(Drifting(), 100), "Drifting.P"),
    "another class's reset": (lambda: TimeLimit(Mixed(), 100), "Mixed.reset"),
    "a class between": (lambda: TimeLimit(Interposed(), 100), "Interposed"),
    "an instance's step": (patched_lake, "FrozenLakeEnv.step"),
    "a wrapper's step": (lambda: stepped_by_hand(gym.make("FrozenLake-v1")), "TimeLimit.step"),
    "a wrapper": (
        lambda: TransformReward(gym.make("FrozenLake-v1"), lambda reward: -float(reward)),
        "env wears TransformReward, which may change what is seen",
    ),
}


@pytest.mark.parametrize(("make", "named"), UNKNOWN.values(), ids=list(UNKNOWN))
def test_what_does_not_surely_sample_its_table_is_stepped(make: Any, named: str) -> None:
    if named != "Mixed.reset" and named != "Interposed":  # those cannot be reset at all
        auto, stepped = (QLearning(make(), seed=3, compiled=how) for how in ("auto", False))
        auto.learn(3_000)
        stepped.learn(3_000)
        assert auto.q.tobytes() == stepped.q.tobytes()
        assert auto.episode_returns == stepped.episode_returns
    for refused in (
        lambda: QLearning(make(), compiled=True),
        lambda: PosteriorSampling(make(), rewards="known"),
    ):
        with pytest.raises(ValueError, match=r"^env") as told:
            refused()
        assert named in str(told.value)


def test_a_taxed_chain_is_learned_with_its_tax() -> None:
    # forward in the first state is worth -5 + what follows, which never makes up for 5 a step
    agent = QLearning(
        TimeLimit(Taxed(), 1000), visit_power=0.6, learning_rate=1.0, epsilon=0.5, seed=0
    )
    agent.learn(20_000)
    mdp = chain_mdp()
    reward = mdp.reward - 5.0 * (np.arange(2) == 0)[None, :, None]
    taxed = TabularMDP(mdp.next_state, mdp.probability, reward, mdp.terminated, mdp.initial)
    policy, _ = policy_iteration(taxed, 0.95)
    actions, _ = agent.predict(np.arange(5), deterministic=True)
    assert policy[0] == 1
    assert actions[0] == 1


class Drawn(NChainEnv):
    """Says other things of itself and draws itself otherwise, but samples its `mdp`."""

    def __init__(self) -> None:
        super().__init__(n=7)
        self.visits = 0

    @property
    def P(self) -> Any:  # noqa: N802
        return {0: {0: [(1.0, 0, 99.0, False)]}}

    def render(self) -> Any:
        return "drawn"

    def count(self) -> int:
        return self.visits


@pytest.mark.parametrize(
    "make",
    [
        lambda: gym.make("NChain-v0"),
        lambda: gym.make("FrozenLake-v1", is_slippery=False),
        lambda: gym.make("CliffWalking-v1"),
        lambda: gym.make("Taxi-v4"),
        lambda: TimeLimit(OrderEnforcing(Drawn()), 50),
        NChainEnv,
        FrozenLakeEnv,
        CliffWalkingEnv,
        TaxiEnv,
    ],
)
def test_ours_and_toy_texts_are_known(make: Any) -> None:
    env = make()
    mdp = known_table(env)
    told = env.unwrapped.mdp.P if isinstance(env.unwrapped, NChainEnv) else env.unwrapped.P
    assert told == mdp.P
    stepped, compiled = (QLearning(make(), seed=3, compiled=how) for how in (False, True))
    stepped.learn(2_000)
    compiled.learn(2_000)
    assert stepped.q.tobytes() == compiled.q.tobytes()


def test_a_changed_dictionary_is_the_table_that_is_sampled() -> None:
    def make() -> Any:
        env = gym.make("FrozenLake-v1")
        model: Any = env.unwrapped
        model.mdp = TabularMDP.from_env(env)  # what nobody samples any more
        model.P[14][2] = [(p, s, 7.0 * r, end) for p, s, r, end in model.P[14][2]]
        return env

    stepped, compiled = (QLearning(make(), seed=1, compiled=how) for how in (False, True))
    assert known_table(make()).reward.max() == 7.0
    assert stepped.learn(20_000).q.tobytes() == compiled.learn(20_000).q.tobytes()
    assert max(stepped.episode_returns) == 7.0


def test_a_chain_given_another_table_samples_that_from_then_on() -> None:
    agents = [QLearning(TimeLimit(NChainEnv(), 50), seed=1, compiled=how) for how in (False, True)]
    for agent in agents:
        agent.learn(500)
        agent.env.unwrapped.mdp = chain_mdp(slip=0.7, large=3.0)  # type: ignore[attr-defined]
        agent.learn(500)
    assert agents[0].q.tobytes() == agents[1].q.tobytes()


def test_a_function_put_over_toy_texts_class_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    step: Any = FrozenLakeEnv.step

    @functools.wraps(step)
    def shaped(self: Any, a: Any) -> Any:
        reached, reward, *rest = step(self, a)
        return reached, reward - 0.5, *rest

    monkeypatch.setattr(FrozenLakeEnv, "step", shaped)
    env = gym.make("FrozenLake-v1")
    with pytest.raises(ValueError, match=r"FrozenLakeEnv\.step"):
        known_table(env)
    assert max(QLearning(env, seed=0).learn(1_000).episode_returns) < 0


def test_a_fickle_passenger_is_not_in_the_table() -> None:
    with pytest.raises(ValueError, match=r"^env has a fickle passenger, who is not in its table$"):
        known_table(gym.make("Taxi-v4", fickle_passenger=True))
    assert known_table(gym.make("Taxi-v4", is_rainy=True)).num_states == 500


def test_what_is_drawn_is_known_but_must_be_stepped() -> None:
    env = gym.make("FrozenLake-v1", render_mode="ansi")
    assert known_table(env).num_states == 16
    with pytest.raises(ValueError, match=r"^env has a render mode, and what is not stepped is not"):
        ModelEnv(env)


def test_the_place_is_saved_only_where_the_environment_is_known(tmp_path: Path) -> None:
    kinds: dict[str, Any] = {"Toll-v0": Toll, "Plain-v0": FrozenLakeEnv}
    for name, kind in kinds.items():
        gym.register(name, kind, max_episode_steps=100)
    try:
        for name, goes_on in (("Toll-v0", False), ("Plain-v0", True)):
            agent = QLearning(name, seed=5, compiled=False, epsilon=1.0)
            while len(agent.episode_returns) == 0 or agent.env.unwrapped.s == 0:  # type: ignore[attr-defined]
                agent.learn(1)
            agent.save(tmp_path / "agent")
            again = QLearning.load(tmp_path / "agent")
            for one in (agent, again):
                one.learn(200)
            assert (agent.q.tobytes() == again.q.tobytes()) is goes_on
    finally:
        del gym.registry["Toll-v0"], gym.registry["Plain-v0"]


def test_recording_wrappers_are_stepped_through() -> None:
    env = RecordEpisodeStatistics(gym.make("FrozenLake-v1"))
    agent = QLearning(env, seed=0).learn(2_000)
    assert env.episode_count > 0
    assert len(agent.episode_returns) > 0
