from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import QLearning, score


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


def test_an_environment_without_a_model_or_a_time_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="has no `P`"):
        score(Fixed(0), "CartPole-v1")
    env = gym.make("NChain-v0").unwrapped
    env.spec = None
    with pytest.raises(ValueError, match="time limit"):
        score(Fixed(0), env)


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
