"""The chain's trajectories, recorded before its environments were made of outcome tables.

`python tests/nchain_env/test_recorded_traces.py` records them anew.
"""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_env import NChainEnv, NChainVectorEnv

FILE = Path(__file__).with_name("recorded") / "chain.json"
CHAINS: list[dict[str, Any]] = [
    {},
    {"n": 1, "slip": 0.5},
    {"n": 70, "slip": 0.02, "small": -1.5, "large": 0.1},
]
# Gymnasium 1.0 has one mode only.
MODES = ["NextStep", "SameStep", "Disabled"][: 3 if hasattr(gym.vector, "AutoresetMode") else 1]


def scalar_trace(chain: dict[str, Any]) -> Any:
    env = NChainEnv(**chain)
    actions = np.random.default_rng(3).integers(0, 2, 60).tolist()
    trace: list[Any] = [env.reset(seed=11)]
    trace += [env.step(action) for action in actions[:40]]
    trace.append(env.reset(options={"state": env.n - 1}))
    trace += [env.step(action) for action in actions[40:]]
    trace.append(env.np_random.random())
    return plain(trace)


def vector_trace(chain: dict[str, Any], mode: str) -> Any:
    env = NChainVectorEnv(3, max_episode_steps=7, autoreset_mode=mode, **chain)
    actions = np.random.default_rng(5).integers(0, 2, (20, 3))
    trace: list[Any] = [env.reset(seed=13)]
    for i, row in enumerate(actions):
        step = env.step(row)
        trace.append(step)
        over = step[3]
        if mode == "Disabled" and over.any():
            trace.append(env.reset(options={"reset_mask": over.copy()}))
        if i == 10:
            mask = np.array([False, True, False])
            trace.append(env.reset(options={"reset_mask": mask, "state": 0}))
    trace.append(env.np_random.random())
    return plain(trace)


def plain(value: Any) -> Any:
    """Return a value as JSON keeps it; the types of arrays are kept as text."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    return value


def traces() -> dict[str, Any]:
    return {
        "scalar": [scalar_trace(chain) for chain in CHAINS],
        **{mode: [vector_trace(chain, mode) for chain in CHAINS] for mode in MODES},
    }


@pytest.mark.parametrize("number", range(len(CHAINS)))
def test_the_chain_is_as_it_was_recorded(number: int) -> None:
    recorded = json.loads(FILE.read_text())
    assert json.loads(json.dumps(scalar_trace(CHAINS[number]))) == recorded["scalar"][number]
    for mode in MODES:
        trace = json.loads(json.dumps(vector_trace(CHAINS[number], mode)))
        assert trace == recorded[mode][number]


if __name__ == "__main__":
    FILE.write_text(json.dumps(traces(), separators=(",", ":")) + "\n")
