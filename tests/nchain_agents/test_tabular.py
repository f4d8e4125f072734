import json
import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import Agent, QLearning, RewardSum, load

Transition = tuple[int, int, float, int, bool]


class Script(gym.Env[int, int]):
    """Plays back (reached, reward, terminated, truncated) from state 0, whatever is done."""

    observation_space = gym.spaces.Discrete(3)  # type: ignore[assignment]
    action_space = gym.spaces.Discrete(2)  # type: ignore[assignment]

    def __init__(self, *steps: tuple[int, float, bool, bool]) -> None:
        self._steps = iter(steps)

    def reset(self, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reached, reward, terminated, truncated = next(self._steps)
        return reached, reward, terminated, truncated, {}


def learner(*steps: tuple[int, float, bool, bool], **parameters: Any) -> QLearning:
    agent = QLearning(Script(*steps), gamma=0.5, epsilon=0.0, **parameters)
    # state 0 prefers action 1; state 2 is worth 8
    agent.q[:] = [[0.0, 4.0], [0.0, 0.0], [8.0, 6.0]]
    return agent


def test_q_learning_moves_towards_the_reward_plus_the_discounted_best_that_follows() -> None:
    agent = learner((2, 1.0, False, False), learning_rate=0.25).learn(1)
    # 4 + 0.25 (1 + 0.5 x 8 - 4) = 4.25
    assert agent.q.tolist() == [[0.0, 4.25], [0.0, 0.0], [8.0, 6.0]]


def test_a_terminated_episode_is_worth_its_reward_and_a_truncated_one_goes_on() -> None:
    terminated = learner((2, 1.0, True, False), learning_rate=0.25).learn(1)
    assert terminated.q[0, 1] == 3.25  # 4 + 0.25 (1 - 4)
    truncated = learner((2, 1.0, False, True), learning_rate=0.25).learn(1)
    assert truncated.q[0, 1] == 4.25


def test_step_sizes_fall_with_the_visits() -> None:
    steps = [(0, 0.0, True, False)] * 3
    agent = learner(*steps, learning_rate=0.5, visit_power=1.0).learn(3)
    # 4 (1 - 0.5) (1 - 0.5 / 2) (1 - 0.5 / 3) = 1.25
    assert agent.q[0, 1] == pytest.approx(1.25, abs=1e-15)
    assert agent.visits.tolist() == [[0, 3], [0, 0], [0, 0]]


def test_reward_sum_adds_up_rewards_and_takes_the_larger_sum() -> None:
    script = Script((1, 2.0, False, False), (0, 3.0, False, False), (0, 4.0, False, False))
    agent = RewardSum(script)
    agent.q[:] = [[5.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    agent.learn(3)
    assert agent.q.tolist() == [[11.0, 1.0], [0.0, 4.0], [0.0, 0.0]]


def test_q_learning_with_falling_step_sizes_approaches_the_exact_values() -> None:
    agent = QLearning("NChain-v0", visit_power=0.6, learning_rate=1.0, epsilon=1.0, seed=0)
    agent.learn(100_000)
    # Q* of the default chain at gamma 0.95, from the exact solution of its linear equations
    exact = [
        [61.3795, 60.5778],
        [64.8913, 61.4557],
        [69.5121, 62.6109],
        [75.5921, 64.1309],
        [83.5921, 66.1309],
    ]
    assert np.abs(agent.q - exact).max() < 3.0


def test_bootstrapping_through_truncation_keeps_the_values_of_short_episodes() -> None:
    env = gym.make("NChain-v0", max_episode_steps=10)
    agent = QLearning(env, visit_power=0.6, learning_rate=1.0, epsilon=1.0, seed=0)
    agent.learn(100_000)
    assert len(agent.episode_returns) == 10_000
    # were truncation the end, no value could exceed ten steps' worth
    assert agent.q[0, 0] == pytest.approx(61.3795, abs=3.0)


def test_equal_seeds_learn_equal_tables_and_others_do_not() -> None:
    first, again, other = (QLearning("NChain-v0", seed=s).learn(3000).q for s in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_learning_in_two_calls_equals_learning_in_one() -> None:
    whole = QLearning("NChain-v0", seed=3, epsilon={"initial": 0.5, "decay": 0.9}).learn(2500)
    parts = QLearning("NChain-v0", seed=3, epsilon={"initial": 0.5, "decay": 0.9})
    parts.learn(700).learn(1800)
    assert whole.q.tobytes() == parts.q.tobytes()
    assert whole.episode_returns == parts.episode_returns


def test_the_agent_and_the_environment_do_not_share_their_random_numbers() -> None:
    agent = QLearning("NChain-v0", seed=0).learn(1)
    draws = agent.np_random.random(100)
    assert not np.isin(draws, agent.env.unwrapped.np_random.random(200)).any()


def test_a_callback_sees_each_episode_and_may_stop() -> None:
    seen: list[int] = []

    def stop_after_three(agent: Agent) -> bool:
        seen.append(agent.num_timesteps)
        return len(seen) < 3

    agent = QLearning("NChain-v0", seed=0).learn(10_000, callback=stop_after_three)
    assert seen == [1000, 2000, 3000]
    assert agent.num_timesteps == 3000


def test_predict_takes_one_observation_or_a_batch() -> None:
    agent = QLearning("NChain-v0", seed=0, epsilon=0.0)
    agent.q[:] = [[1, 0], [0, 1], [0, 1], [1, 0], [2, 2]]
    assert agent.predict(1, deterministic=True) == (1, None)
    actions, state = agent.predict(np.array([0, 1, 4]), state="kept", deterministic=True)
    assert actions.tolist() == [0, 1, 0]
    assert state == "kept"
    assert {agent.predict(4)[0] for _ in range(50)} == {0, 1}
    assert agent.q_values(2).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("observation", [5, -1, 0.5, "0", [[0]], [0, 9]])
def test_an_observation_outside_the_table_is_refused(observation: Any) -> None:
    with pytest.raises(ValueError, match=r"observation must be one or a batch of integers in"):
        QLearning("NChain-v0").predict(observation)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": 1.5}, r"gamma must be a number in \[0, 1\], got 1.5"),
        ({"gamma": float("nan")}, "gamma"),
        ({"learning_rate": 0.0}, r"learning_rate must be a number in \(0, 1\], got 0.0"),
        ({"learning_rate": 2}, "learning_rate"),
        ({"visit_power": 0.3}, r"visit_power must be 0 or in \(0.5, 1\], got 0.3"),
        ({"epsilon": -0.1}, "epsilon"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QLearning("NChain-v0", **parameters)


@pytest.mark.parametrize("steps", [0, -5, 2.5, "10", True])
def test_a_bad_number_of_steps_is_refused(steps: Any) -> None:
    agent = QLearning("NChain-v0", seed=0)
    with pytest.raises(ValueError, match="total_timesteps must be an integer of at least 1"):
        agent.learn(steps)
    assert agent.num_timesteps == 0


def test_continuous_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match="discrete observations"):
        QLearning("CartPole-v1")
    with pytest.raises(ValueError, match="discrete observations"):
        RewardSum(gym.make("Blackjack-v1"))


@pytest.mark.parametrize("kind", [QLearning, RewardSum])
def test_a_saved_agent_comes_back_the_same(kind: type[Agent], tmp_path: Path) -> None:
    agent = kind(gym.make("NChain-v0", n=7), gamma=0.9, seed=0).learn(2500)
    agent.save(tmp_path / "agent.npz")
    for loaded in (kind.load(tmp_path / "agent.npz"), load(tmp_path / "agent.npz")):
        assert type(loaded) is kind
        assert loaded.gamma == 0.9
        assert loaded.num_timesteps == 2500
        assert loaded.episode_returns == agent.episode_returns
        assert loaded.np_random.bit_generator.state == agent.np_random.bit_generator.state
        states = np.arange(7)
        assert loaded.q_values(states).tobytes() == agent.q_values(states).tobytes()
        loaded.learn(10)


def test_a_failed_save_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.npz"
    path.write_text("before")
    agent = QLearning("NChain-v0")

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        agent.save(path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["agent.npz"]


def test_files_that_are_no_saved_agents_are_refused(tmp_path: Path) -> None:
    agent = QLearning("NChain-v0", seed=0)
    path = tmp_path / "agent.npz"
    agent.save(path)
    whole = path.read_bytes()

    def refused(content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(path)

    refused(b"", "is not a saved agent")
    refused(b"nonsense", "is not a saved agent")
    refused(whole[: len(whole) // 2], "is not a saved agent")

    def with_header(**changes: Any) -> bytes:
        path.write_bytes(whole)
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop("header"))) | changes
        with path.open("wb") as target:
            np.savez(target, header=np.array(json.dumps(header)), **arrays)
        return path.read_bytes()

    refused(with_header(format=99), "has format 99; this version reads up to 1")
    refused(with_header(**{"class": "os.system"}), "no agent of this version")
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="holds a QLearning, not a RewardSum"):
        RewardSum.load(path)
    with pytest.raises(ValueError, match="must have a table of shape"):
        QLearning.load(path, gym.make("NChain-v0", n=3))


def test_a_pickle_inside_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "agent.npz"
    ran = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(ran),)

    with path.open("wb") as file:
        np.savez(file, header=np.array([Attack()], dtype=object))
    with pytest.raises(ValueError, match="is not a saved agent"):
        load(path)
    assert not ran.exists()


def test_a_progress_bar_shows_the_steps_and_the_return(capsys: pytest.CaptureFixture[str]) -> None:
    agent = QLearning("NChain-v0", seed=0).learn(2000, progress_bar=True)
    shown = capsys.readouterr().out
    assert "2000/2000" in shown
    assert f"{agent.episode_returns[-1]:,.1f}" in shown
