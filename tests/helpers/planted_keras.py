"""KerasDQN with one deliberate mistake in its targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops
from planted import EPSILON, GAMMA, SCALE, SHIFT

from nchain_agents import KerasDQN
from nchain_agents.deep.backend import backend

DISCOUNT = 0.9


def largest(values: Any) -> Any:
    return ops.max(values, axis=1)


def mean(values: Any) -> Any:
    return ops.mean(values, axis=1)


def least(values: Any) -> Any:
    return ops.min(values, axis=1)


# Of KERAS_MISTAKES: the target of rewards (B,), discounts (B,), which
# are 0 after a terminal step, and next values (B, A).
TARGETS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "": lambda r, d, v: r + d * largest(v),
    "epsilon-greedy target": lambda r, d, v: (
        r + d * ((1 - EPSILON) * largest(v) + EPSILON * mean(v))
    ),
    "reward clipped": lambda r, d, v: ops.clip(r, -1.0, 1.0) + d * largest(v),
    "reward scaled": lambda r, d, v: SCALE * r + d * largest(v),
    "reward shifted": lambda r, d, v: r + SHIFT + d * largest(v),
    "gamma squared": lambda r, d, v: r + d * d * largest(v),
    "gamma left out": lambda r, d, v: r + ops.sign(d) * largest(v),
    "no bootstrap": lambda r, d, v: r,
    "another gamma": lambda r, d, v: r + GAMMA * ops.sign(d) * largest(v),
    "mean of the next values": lambda r, d, v: r + d * mean(v),
    "minimum of the next values": lambda r, d, v: r + d * least(v),
}


def planted_keras(mistake: str, env: Any, seed: int) -> KerasDQN:
    """Make an agent; its mistake is that of all that are compiled later in this process."""

    def targets(rewards: Any, discounts: Any, next_values: Any, chooser: Any = None) -> Any:
        return ops.stop_gradient(TARGETS[mistake](rewards, discounts, next_values))

    vars(backend())["targets"] = targets
    return KerasDQN(
        env,
        seed=seed,
        gamma=DISCOUNT,
        learning_rate=3e-3,
        learning_starts=100,
        batch_size=32,
        train_freq=4,
        target_update_interval=200,
        exploration_fraction=0.3,
        exploration_final_eps=0.3,
        net_arch=[32],
    )
