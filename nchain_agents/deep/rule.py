"""The arithmetic of DQN in `keras.ops`, for all backends."""

from __future__ import annotations

from typing import Any

from keras import ops


def targets(rewards: Any, discounts: Any, next_values: Any, chooser: Any = None) -> Any:
    """Return the targets of the values of the actions, (B,).

    Args:
        rewards: (B,) the rewards until the next observation.
        discounts: (B,) of the next value: gamma^steps, 0 after a terminal step.
        next_values: (B, A) the target network's values of the next observation.
        chooser: (B, A) the learning network's, for double Q-learning; None takes the maximum.

    Source: Mnih et al. 2015, Human-level control through deep reinforcement learning, Nature 518;
        van Hasselt et al. 2016, Deep Reinforcement Learning with Double Q-learning, equation 4.
    """
    if chooser is None:
        best = ops.max(next_values, axis=1)
    else:
        best = chosen(next_values, ops.argmax(chooser, axis=1))
    return ops.stop_gradient(rewards + discounts * best)


def chosen(values: Any, actions: Any) -> Any:
    """Return the values of the actions, (B,), out of those of all, (B, A)."""
    # a sum over a mask compiles to faster code than a gather, above all for the gradient
    mask = ops.one_hot(ops.cast(actions, "int32"), values.shape[-1], dtype=values.dtype)
    return ops.sum(values * mask, axis=1)


def mean_loss(loss: str, errors: Any) -> Any:
    """Return the mean loss of the TD errors, (B,): e^2, or Huber's with its bend at 1.

    Source: Huber 1964, Robust Estimation of a Location Parameter; torch's `smooth_l1_loss`.
    """
    if loss == "mse":
        return ops.mean(errors * errors)
    size = ops.abs(errors)
    return ops.mean(ops.where(size < 1.0, 0.5 * errors * errors, size - 0.5))


def clipped(gradients: list[Any], max_norm: float) -> list[Any]:
    """Return the gradients scaled so that their common norm is at most `max_norm`.

    Source: Pascanu et al. 2013, On the difficulty of training recurrent neural networks; the
        1e-6 is that of torch's `clip_grad_norm_`.
    """
    norm = ops.sqrt(sum(ops.sum(gradient * gradient) for gradient in gradients))
    scale = ops.minimum(max_norm / (norm + 1e-6), 1.0)
    return [gradient * scale for gradient in gradients]


def polyak(target: Any, source: Any, tau: Any) -> Any:
    """Return (1 - tau) target + tau source.

    Source: Polyak averaging, as in Lillicrap et al. 2016, Continuous control with deep
        reinforcement learning, algorithm 1.
    """
    return (1.0 - tau) * target + tau * source
