from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import QLearning, evaluation, score
from nchain_agents.evaluation import EpisodeEvaluator, evaluator_of, max_episode_steps
from nchain_env import NChainEnv, planning


class Fixed:
    """A policy that is written down."""

    def __init__(self, *actions: int) -> None:
        self.actions = np.array(actions)

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        assert deterministic
        return self.actions[observation], None


# Returns of the default chain from its known values: optimal 3665.83, random 1311.25
@pytest.mark.parametrize(
    ("policy", "expected"),
    [((0,) * 5, 99.91), ((1,) * 5, 12.40)],
)
def test_the_score_of_a_policy_is_its_return_between_random_and_optimal(
    policy: tuple[int, ...], expected: float
) -> None:
    assert score(Fixed(*policy), "NChain-v0") == pytest.approx(expected, abs=0.005)


def test_an_agent_is_scored_on_any_environment_with_a_model() -> None:
    lake = gym.make("FrozenLake-v1", is_slippery=False)
    down, right, anything = 1, 2, 0
    # down, down, right, right, down, right: the shortest way round the holes
    way = {0: down, 4: down, 8: right, 9: right, 10: down, 14: right}
    model = Fixed(*(way.get(s, anything) for s in range(16)))
    assert score(model, lake) == pytest.approx(100)


def test_a_policy_can_be_worse_than_chance() -> None:
    assert score(Fixed(0, 0, 0, 0, 1), "NChain-v0") < 0


def test_where_all_policies_earn_the_same_there_is_no_score() -> None:
    assert np.isnan(score(Fixed(0, 0), gym.make("NChain-v0", n=2, slip=0.5)))


class Leaning:
    """Pushes the cart to where the pole falls."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return np.asarray(int(observation[2] + 0.5 * observation[3] > 0)), None


class Backing:
    """Always pushes to the left: the pole falls after 8 to 11 steps."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return np.asarray(0), None


def test_without_a_model_episodes_are_played_and_the_reward_threshold_scores_100() -> None:
    measure = evaluator_of(gym.make("CartPole-v1"), episodes=50)
    assert isinstance(measure, EpisodeEvaluator)
    assert measure.optimal == 475.0
    # a random policy keeps it up for some 22 steps
    assert 18 < measure.random < 27
    good, bad = measure.evaluate(Leaning()), measure.evaluate(Backing())
    assert good.mean > 200
    assert 8 <= bad.mean <= 11
    assert 0 < bad.standard_error < 0.3
    assert measure.evaluate(Backing()) == bad  # the same episodes again
    expected = 100 * (bad.mean - measure.random) / (475 - measure.random)
    assert score(Backing(), "CartPole-v1", episodes=50) == pytest.approx(expected)


def test_the_standard_error_is_that_of_the_mean() -> None:
    class Drawn(gym.Env[Any, Any]):
        """One step an episode, with the next of these rewards."""

        rewards = iter([1.0, 2.0, 6.0, 7.0])

        def __init__(self) -> None:
            self.observation_space = self.action_space = gym.spaces.Discrete(2)

        def reset(self, **_: Any) -> Any:
            return 0, {}

        def step(self, action: int) -> Any:
            return 0, next(self.rewards), True, False, {}

    # mean 4; deviations -3, -2, 2, 3: variance 26 / 3, over 4 episodes
    worth = EpisodeEvaluator(Drawn(), 4).evaluate(Fixed(1))
    assert worth == pytest.approx((4.0, (26 / 3 / 4) ** 0.5))


def test_an_environment_that_says_not_what_is_good_or_when_it_ends_has_no_score() -> None:
    with pytest.raises(ValueError, match=r"must have a model .* or a reward threshold"):
        score(Fixed(0), "Pendulum-v1")
    with pytest.raises(ValueError, match="episodes must be an integer of at least 2, got 1"):
        score(Fixed(0), "CartPole-v1", episodes=1)
    env = gym.make("NChain-v0").unwrapped
    env.spec = None
    with pytest.raises(ValueError, match="time limit"):
        score(Fixed(0), env)


def test_the_time_limit_is_the_smallest_wrapper_the_registered_one_or_the_presets() -> None:
    wrapped = gym.wrappers.TimeLimit(gym.make("NChain-v0", max_episode_steps=50), 70)
    assert max_episode_steps(wrapped) == 50
    assert max_episode_steps(gym.wrappers.TimeLimit(NChainEnv(), 30)) == 30
    assert max_episode_steps(gym.make("NChain-v0")) == 1000
    assert max_episode_steps(gym.make("NChain-v0").unwrapped) is None
    assert max_episode_steps(gym.make("CliffWalking-v1")) == 200
    assert max_episode_steps(gym.make("CliffWalking-v1", max_episode_steps=30)) == 30
    assert max_episode_steps(NChainEnv()) is None
    assert max_episode_steps(gym.make("NChain-v0", max_episode_steps=-1)) is None
    forward = Fixed(0, 0, 0, 0, 0)
    short = gym.wrappers.TimeLimit(NChainEnv(), 30)
    assert score(forward, short) == score(forward, gym.make("NChain-v0", max_episode_steps=30))


class Endless(gym.Env[Any, Any]):
    """Never ends of itself."""

    def __init__(self) -> None:
        self.observation_space = self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, **_: Any) -> Any:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: int) -> Any:
        return 0, 1.0, False, False, {}


def test_episodes_without_a_time_limit_do_not_go_on_for_ever() -> None:
    with pytest.raises(ValueError, match=r"time limit, .* an episode went on for 100,000 steps"):
        EpisodeEvaluator(Endless(), 2).evaluate(Fixed(1, 1))
    env = Endless()
    env.spec = gym.envs.registration.EnvSpec("Endless-v0", max_episode_steps=40)
    assert EpisodeEvaluator(env, 2).evaluate(Fixed(1, 1)) == (40.0, 0.0)
    env.spec = gym.envs.registration.EnvSpec("CliffWalking-v1")  # as the presets have it
    assert EpisodeEvaluator(env, 2).evaluate(Fixed(1, 1)) == (200.0, 0.0)


def test_sb3_evaluates_our_agents() -> None:
    evaluation = pytest.importorskip(
        "stable_baselines3.common.evaluation", reason="needs the sb3 extra"
    )
    agent = QLearning("NChain-v0", seed=0)
    agent.q[:, 0] = 1.0  # always forward
    env = gym.make("NChain-v0")
    env.reset(seed=0)
    mean, _ = evaluation.evaluate_policy(agent, env, n_eval_episodes=20, warn=False)
    # 3663.69 with a standard deviation of about 276 an episode: 62 over 20 episodes
    assert mean == pytest.approx(3663.69, abs=5 * 62)


def test_equal_policies_of_many_models_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[Any] = []

    def counting(mdp: Any, policy: Any, horizon: int) -> float:
        evaluated.append(policy)
        return planning.policy_return(mdp, policy, horizon)

    monkeypatch.setattr(evaluation, "policy_return", counting)
    policies = [(0,) * 5, (1,) * 5, (0, 0, 0, 0, 1)]
    models = [Fixed(*policies[i % 3]) for i in range(300)]
    scores = score(models, "NChain-v0")
    assert len(evaluated) == 3 + 1  # and the uniformly random one
    assert scores.shape == (300,)
    assert scores[:3] == pytest.approx([score(Fixed(*one), "NChain-v0") for one in policies])
    np.testing.assert_array_equal(scores.reshape(100, 3), np.tile(scores[:3], (100, 1)))
    assert score([], "NChain-v0").shape == (0,)
