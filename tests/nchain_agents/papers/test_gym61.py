"""The exact moments of a return, the phases of a training, and the page."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from command import nchain

from nchain_agents import QLearning
from nchain_agents.papers import gym61
from nchain_agents.presets import Preset, Problem, problem
from nchain_env import chain_mdp


@pytest.mark.parametrize("action", [0, 1])
def test_the_moments_are_those_of_all_sequences_of_slips(action: int) -> None:
    returns, chances = [], []
    for slips in product([False, True], repeat=6):
        state = total = 0
        for slip in slips:
            if action == int(slip):  # forward
                total += 10 if state == 4 else 0
                state = min(state + 1, 4)
            else:
                total += 2
                state = 0
        returns.append(total)
        chances.append(0.2 ** sum(slips) * 0.8 ** (6 - sum(slips)))
    mean = np.dot(chances, returns)
    deviation = np.sqrt(np.dot(chances, (np.array(returns) - mean) ** 2))
    found = gym61.exact_moments(chain_mdp(), np.full(5, action), 6)
    assert found == pytest.approx((mean, deviation))


@pytest.mark.parametrize(("action", "mean", "error"), [(0, 721.435, 1.24), (1, 320.7504, 0.1124)])
def test_the_published_means_are_the_exact_ones_within_their_errors(
    action: int, mean: float, error: float
) -> None:
    """The errors are the published deviations by 100, the root of 10,000 episodes."""
    exact, deviation = gym61.exact_moments(chain_mdp(), np.full(5, action), 200)
    assert abs(mean - exact) < 2 * error
    assert deviation == pytest.approx(100 * error, rel=0.02)
    assert gym61.PUBLISHED[action].mean == mean
    played = gym61.play(action, 2000, 0)
    assert abs(played.mean - exact) < 3 * deviation / np.sqrt(2000)
    assert played.deviation == pytest.approx(deviation, rel=0.06)
    assert played.smallest < exact - 2 * deviation
    assert played.largest > exact + 2 * deviation


class Backward:
    """A learner of another library: it always goes backward."""

    def __init__(self, env: gym.Env[int, int]) -> None:
        self.env = env

    def learn(self, total_timesteps: int) -> None:
        self.env.reset(seed=0)
        for _ in range(total_timesteps):
            _, _, terminated, truncated, _ = self.env.step(1)
            if terminated or truncated:
                self.env.reset()


def test_a_phase_is_an_episode_of_the_training() -> None:
    preset = problem("nchain").preset("q-learning")
    agent = QLearning("NChain-v0", **preset.parameters, seed=4).learn(8000)
    assert gym61.phases(preset, 4) == tuple(agent.episode_returns)
    found = gym61.phases(Preset("backward", Backward), 0)
    assert len(found) == 8
    # always backward has 1,603.19, and a deviation of about 25
    assert np.mean(found) == pytest.approx(1603.19, abs=4 * 25 / np.sqrt(8))
    assert len(set(found)) > 1


@pytest.mark.slow
def test_the_command_writes_a_row_for_every_agent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ("reward-sum", "posterior-sampling")
    chain = problem("nchain")
    few = Problem("nchain", chain.env, {}, 1, {name: chain.preset(name) for name in names})
    monkeypatch.setattr(gym61, "problem", lambda name: few)
    options = ("--paper", "gym61", "--quick", "--seeds", "3", "--jobs", "1")
    assert nchain(monkeypatch, "reproduce", *options, "--out", str(tmp_path)) == 0
    data: dict[str, Any] = json.loads((tmp_path / "gym61.json").read_text())
    assert data["command"] == "nchain reproduce --paper gym61 --quick --seeds 3 --seed 0"
    assert data["seeds"] == [0, 1, 2]
    assert data["optimal"] == pytest.approx(3665.83, abs=0.005)
    assert [one["published"]["largest"] for one in data["fixed_actions"]] == [1238, 360]
    page = (tmp_path / "gym61.md").read_text()
    for name in names:
        rewards = np.array(data["phases"][name])
        assert rewards.shape == (3, 8)
        assert rewards[0].tolist() == list(gym61.phases(few.preset(name), 0))
        means = rewards.mean(axis=0)[[0, 1, 7]]
        errors = 2 * rewards.std(axis=0, ddof=1)[[0, 1, 7]] / np.sqrt(3)
        cells = [f"{m:,.0f} ± {e:,.0f}" for m, e in zip(means, errors, strict=True)]
        assert f"| {name} | {' | '.join(cells)} |" in page
    assert "| exact: optimal | 3,666 | 3,666 | 3,666 |" in page
    assert "| always forward, published | 721.435 | 124.025 | 338 | 1,238 | -0.7 |" in page
    captured = capsys.readouterr()
    assert "always backward, exact" in captured.out
    assert captured.err.endswith(f"written to {tmp_path}: gym61.json, gym61.md\n")
