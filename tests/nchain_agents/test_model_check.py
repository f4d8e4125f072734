"""A table that does not describe its environment is found out; one that does is used."""

import re
import warnings
from collections.abc import Callable
from math import comb, exp
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text import FrozenLakeEnv
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit, TransformReward

from nchain_agents import QLearning, score
from nchain_agents.evaluation import EpisodeEvaluator, ExactEvaluator, evaluator_of
from nchain_agents.model_check import LEVEL, check_model, evidence
from nchain_env import NChainEnv, TabularMDP, chain_mdp
from nchain_env.planning import optimal_return, policy_return


class Own(gym.Env[Any, Any]):
    """An environment of somebody's own that samples one table and may offer another."""

    def __init__(self, does: TabularMDP, offers: TabularMDP | None = None) -> None:
        self.does = does
        self.P, self.initial_state_distrib = (offers or does).P, (offers or does).initial
        self.observation_space = gym.spaces.Discrete(does.num_states)
        self.action_space = gym.spaces.Discrete(does.num_actions)

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = int(self.np_random.choice(self.does.num_states, p=self.does.initial))
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        at = (self.state, action)
        k = self.np_random.choice(len(self.does.probability[at]), p=self.does.probability[at])
        self.state = int(self.does.next_state[at][k])
        reward = float(self.does.reward[at][k])
        return self.state, reward, bool(self.does.terminated[at][k]), False, {}


def random_process(seed: int, states: int = 6, actions: int = 3, outcomes: int = 3) -> TabularMDP:
    rng = np.random.default_rng(seed)
    shape = (states, actions, outcomes)
    return TabularMDP(
        next_state=rng.integers(states, size=shape),
        probability=rng.dirichlet(np.ones(outcomes), size=shape[:2]),
        reward=rng.normal(size=shape).round(2),
        terminated=rng.random(shape) < 0.1,
        initial=rng.dirichlet(np.ones(states)),
    )


def changed(mdp: TabularMDP, **arrays: Any) -> TabularMDP:
    names = ("next_state", "probability", "reward", "terminated", "initial")
    return TabularMDP(*(arrays.get(name, getattr(mdp, name)) for name in names))


def limited(env: gym.Env[Any, Any], steps: int = 100) -> gym.Env[Any, Any]:
    return TimeLimit(env, steps)


def test_an_own_environment_that_does_what_its_table_says_is_scored_on_it() -> None:
    mdp = random_process(1)
    measure = evaluator_of(limited(Own(mdp)))
    assert isinstance(measure, ExactEvaluator)
    assert measure.checked >= 2_000
    assert measure.how == "computed exactly on the model, with which 2,000 steps agreed"
    assert measure.optimal == optimal_return(mdp, 100)


def test_right_tables_pass() -> None:
    for seed in range(10):
        mdp = random_process(seed)
        assert check_model(limited(Own(mdp)), mdp, 100).difference is None


def test_the_chances_of_a_false_alarm_are_what_they_are_said_to_be() -> None:
    # E[exp(evidence)] = 1 by the table: its mean over all counts, weighed by the multinomial
    p, total = np.array([0.3, 0.7]), 12
    mean = sum(
        comb(total, k)
        * p[0] ** k
        * p[1] ** (total - k)
        * exp(evidence(p, np.array([k, total - k])))
        for k in range(total + 1)
    )
    assert mean == pytest.approx(1)
    assert LEVEL == 1e-6


MDP = chain_mdp()
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a reward": (
        lambda: Own(changed(MDP, reward=MDP.reward + (np.arange(5) == 4)[:, None, None]), MDP),
        r"action . in state 4 led to state \d with reward",
    ),
    "a state": (
        lambda: Own(changed(MDP, next_state=np.roll(MDP.next_state, 1, axis=0)), MDP),
        "by its table to state",
    ),
    "an end": (
        lambda: Own(changed(MDP, terminated=MDP.next_state == 4), MDP),
        "and the end of the episode",
    ),
    "a start": (
        lambda: Own(changed(MDP, initial=np.full(5, 0.2)), MDP),
        "an episode began in state",
    ),
    "how often it starts where": (
        lambda: Own(
            changed(MDP, initial=np.array([0.9, 0.1, 0, 0, 0])),
            changed(MDP, initial=np.array([0.1, 0.9, 0, 0, 0])),
        ),
        "the start states came with frequencies",
    ),
    "a slip everywhere": (lambda: Own(chain_mdp(slip=0.3), MDP), "outcomes of 2 kinds came with"),
    "a slip in one place": (
        lambda: Own(
            changed(
                MDP,
                probability=np.where(
                    (np.arange(5) == 2)[:, None, None], [0.8, 0.2], MDP.probability
                ),
            ),
            MDP,
        ),
        "outcomes of action . in state 2 came with frequencies",
    ),
    "the time limit": (lambda: TimeLimit(Own(MDP), 7), "cut off after 7 steps, and its time limit"),
    "its observations": (
        lambda: gym.wrappers.TransformObservation(
            Own(MDP), lambda state: 4 - state, gym.spaces.Discrete(5)
        ),
        "an episode began in state 4",
    ),
    "the form of its observations": (
        lambda: gym.wrappers.FlattenObservation(Own(MDP)),
        "its observations are Box",
    ),
}


@pytest.mark.parametrize(("make", "told"), WRONG.values(), ids=list(WRONG))
def test_a_table_that_says_something_else_is_found_out(make: Any, told: str) -> None:
    env = make()
    check = check_model(env, TabularMDP.from_env(env), 100)
    assert check.difference is not None
    assert re.search(told, check.difference), check.difference


def test_an_environment_that_raises_is_not_trusted() -> None:
    class Broken(Own):
        def step(self, action: int) -> Any:
            raise RuntimeError("out of order")

    check = check_model(Broken(MDP), MDP, 100)
    assert check.difference == "a step raised RuntimeError: out of order"


class Shaped(FrozenLakeEnv):
    """The goal pays 5 and each step costs 0.01."""

    def step(self, a: Any) -> Any:
        reached, reward, terminated, truncated, info = super().step(a)  # type: ignore[no-untyped-call]
        return reached, 5 * reward - 0.01, terminated, truncated, info


def as_given(kind: Any) -> Any:
    return kind  # Gymnasium's type of an entry point takes any keyword, and no class does


class Always:
    def __init__(self, *actions: int) -> None:
        self.actions = np.array(actions)

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return self.actions[observation], None


WAY = Always(*({0: 1, 4: 1, 8: 2, 9: 2, 10: 1, 14: 2}.get(s, 0) for s in range(16)))


@pytest.mark.parametrize("how", ["subclass", "wrapper"])
def test_a_shaped_lake_is_learned_and_scored_on_its_shaped_rewards(how: str) -> None:
    def make() -> gym.Env[Any, Any]:
        if how == "subclass":
            return gym.make("Shaped-v0", is_slippery=False)
        lake = gym.make("FrozenLake-v1", is_slippery=False)
        return TransformReward(lake, lambda reward: 5 * float(reward) - 0.01)

    gym.register("Shaped-v0", as_given(Shaped), max_episode_steps=100, reward_threshold=0.7)
    try:
        agent = QLearning(make(), seed=0, gamma=0.9, learning_rate=0.5, epsilon=0.5).learn(20_000)
        # six steps, the last of which is paid
        worth = 0.9**5 * 5 - 0.01 * (1 - 0.9**6) / (1 - 0.9)
        assert agent.q[0].max() == pytest.approx(worth)
        with pytest.warns(UserWarning, match="its model does not describe it: action") as said:
            earned = score(WAY, make(), episodes=10)
        assert "estimated by 10 episodes" in str(said[0].message)
        assert str(said[0].filename) == __file__
        measure = EpisodeEvaluator(make(), 10)
        assert measure.evaluate(WAY).mean == pytest.approx(5 - 0.06)
        assert earned == 100 * (measure.evaluate(WAY).mean - measure.random) / (
            0.7 - measure.random
        )
        with pytest.warns(UserWarning, match="does not describe it"):
            assert score(agent, make(), episodes=10) == pytest.approx(earned)
    finally:
        del gym.registry["Shaped-v0"]


def test_where_neither_the_table_nor_a_threshold_helps_the_error_says_why() -> None:
    class Taxed(NChainEnv):
        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
            reached, reward, terminated, truncated, info = super().step(action)
            return reached, reward - 5 * (action == 0), terminated, truncated, info

    forward = Always(0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="or a reward threshold; its model does not describe it"):
        score(forward, limited(Taxed(), 1000))
    measure = evaluator_of(limited(Taxed(), 1000), episodes=20)
    assert isinstance(measure, EpisodeEvaluator)
    # 5 less in each of 1,000 steps than the 3663.69 of always forward
    mean, standard_error = measure.evaluate(forward)
    assert abs(mean - (3663.69 - 5000)) < 5 * standard_error


@pytest.mark.parametrize(
    "wrap",
    [
        RecordEpisodeStatistics,
        lambda env: TransformReward(env, lambda reward: reward),
        lambda env: gym.wrappers.RecordEpisodeStatistics(TransformReward(env, float)),
    ],
)
def test_wrappers_that_change_nothing_leave_the_exact_score(wrap: Any) -> None:
    forward = Always(0, 0, 0, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score(forward, wrap(gym.make("NChain-v0"))) == score(forward, "NChain-v0")


def test_sb3s_monitor_leaves_the_exact_score() -> None:
    monitor = pytest.importorskip("stable_baselines3.common.monitor", reason="needs the sb3 extra")
    forward = Always(0, 0, 0, 0, 0)
    env = monitor.Monitor(gym.make("NChain-v0"))
    assert score(forward, env) == score(forward, "NChain-v0")
    assert env.get_total_steps() == 0


def test_a_check_leaves_the_environment_where_it_was() -> None:
    env = RecordEpisodeStatistics(gym.make("FrozenLake-v1"))
    env.reset(seed=3)
    env.step(2)
    model: Any = env.unwrapped
    before = model.s, model.np_random.bit_generator.state
    assert isinstance(evaluator_of(env), ExactEvaluator)
    assert (model.s, model.np_random.bit_generator.state) == before
    assert env.episode_count == 0


def test_what_was_changed_in_the_instance_is_what_is_checked() -> None:
    class Bonus(FrozenLakeEnv):
        bonus = 0.0

        def step(self, a: Any) -> Any:
            reached, reward, *rest = super().step(a)  # type: ignore[no-untyped-call]
            return reached, reward + self.bonus, *rest

    gym.register("Bonus-v0", as_given(Bonus), max_episode_steps=100)
    try:
        env = gym.make("Bonus-v0")
        assert isinstance(evaluator_of(env), ExactEvaluator)
        env.unwrapped.bonus = 1.0  # type: ignore[attr-defined]
        assert isinstance(evaluator_of(env), EpisodeEvaluator)
    finally:
        del gym.registry["Bonus-v0"]


def test_what_cannot_be_copied_is_checked_itself() -> None:
    class Uncopied(Own):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("a file is open")

    env = limited(Uncopied(MDP))
    assert check_model(env, MDP, 100).difference is None
    assert env.unwrapped.state is not None  # type: ignore[attr-defined]


def test_rare_places_are_visited() -> None:
    class Jackpot(FrozenLakeEnv):
        """Only the goal of the large lake pays otherwise, where chance hardly ever comes."""

        def step(self, a: Any) -> Any:
            reached, reward, *rest = super().step(a)  # type: ignore[no-untyped-call]
            return reached, 10 * reward, *rest

    env = limited(Jackpot(map_name="8x8"), 200)
    check = check_model(env, TabularMDP.from_env(env), 200)
    assert check.difference is not None
    assert "to state 63 with reward 10 and the end" in check.difference


def test_an_environment_that_would_draw_itself_is_checked_undrawn() -> None:
    class Drawn(Own):
        metadata = {"render_modes": ["human"]}  # noqa: RUF012
        render_mode = "human"

        def step(self, action: int) -> Any:
            assert self.render_mode is None
            return super().step(action)

    env = Drawn(MDP)
    assert check_model(env, MDP, 100).difference is None
    assert env.render_mode == "human"


def test_a_model_without_a_start_distribution_is_not_used() -> None:
    class Half(Own):
        def __init__(self) -> None:
            super().__init__(MDP)
            del self.initial_state_distrib

    measure = evaluator_of(limited(Half()), 2)
    assert isinstance(measure, EpisodeEvaluator)
    assert "its model cannot be read" in measure.how
    assert "Half has no `initial_state_distrib`" in measure.how


def test_a_checked_table_gives_its_own_returns() -> None:
    mdp = random_process(3)
    policy = Always(0, 1, 2, 0, 1, 2)
    measure = evaluator_of(limited(Own(mdp), 30))
    assert measure.evaluate(policy) == (policy_return(mdp, policy.actions, 30), 0.0)
    estimate = EpisodeEvaluator(limited(Own(mdp), 30), 400).evaluate(policy)
    assert abs(estimate.mean - measure.evaluate(policy).mean) < 5 * estimate.standard_error
