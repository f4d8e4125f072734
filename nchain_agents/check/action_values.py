"""The action values of an agent of any class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nchain_env.mdp import FloatArray


def action_values(
    model: Any, q_values: Callable[[Any, Any], Any] | None = None
) -> Callable[[int], FloatArray] | None:
    """Return a function from the number of states to the values, (S, A); None if there are none.

    Args:
        model: The agent. It has values if it has a method `q_values(observations)`, or if it is one
            of stable-baselines3's that has a `q_net` (DQN) or a `quantile_net` (QR-DQN).
        q_values: A function of the model and of observations, in place of these.
    """
    if q_values is not None:
        given = q_values
        return lambda states: _table(lambda observations: given(model, observations), states)
    if callable(getattr(model, "q_values", None)):
        return lambda states: _table(model.q_values, states)
    if hasattr(getattr(model, "policy", None), "obs_to_tensor"):
        for name in ("q_net", "quantile_net"):
            net = getattr(model, name, None)
            if callable(net):
                return lambda states: _of_torch(model, net, states)
    return None


def _table(values: Callable[[Any], Any], states: int) -> FloatArray:
    """Return the values of all states, asked for together, or one by one if that is refused."""
    try:
        found = np.asarray(values(np.arange(states)), dtype=np.float64)
    except Exception:
        found = np.array([np.asarray(values(s), dtype=np.float64).ravel() for s in range(states)])
    if found.ndim != 2 or len(found) != states:
        raise ValueError(
            f"q_values must return one row of action values for each of {states} observations, got "
            f"the shape {found.shape}"
        )
    return found


def _of_torch(model: Any, net: Any, states: int) -> FloatArray:
    import torch

    with torch.no_grad():
        observations, _ = model.policy.obs_to_tensor(np.arange(states))
        found = net(observations).cpu().numpy().astype(np.float64)
    # quantiles have the shape (S, N, A)
    return np.asarray(found.mean(axis=1) if found.ndim == 3 else found)
