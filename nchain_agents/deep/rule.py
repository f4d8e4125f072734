"""The arithmetic of DQN in `keras.ops`, for all backends."""

from __future__ import annotations

from typing import Any

from keras import ops


def targets(rewards: Any, discounts: Any, next_values: Any, chooser: Any = None) -> Any:
    """Return the targets of the values of the actions, (B,), or (B, K) for K members.

    Args:
        rewards: (B,) or (B, 1) the rewards until the next observation.
        discounts: (B,) or (B, 1) of the next value: gamma^steps, 0 after a terminal step.
        next_values: (B, A) or (B, K, A) the target network's values of the next observation.
        chooser: The same of the learning network, for double Q-learning; None takes the maximum.

    Source: Mnih et al. 2015, Human-level control through deep reinforcement learning, Nature 518;
        van Hasselt et al. 2016, Deep Reinforcement Learning with Double Q-learning, equation 4.
    """
    if chooser is None:
        best = ops.max(next_values, axis=-1)
    else:
        best = chosen(next_values, ops.argmax(chooser, axis=-1))
    return ops.stop_gradient(rewards + discounts * best)


def chosen(values: Any, actions: Any) -> Any:
    """Return the values of the actions, (B,) or (B, K), out of those of all, (..., A)."""
    # a sum over a mask compiles to faster code than a gather, above all for the gradient
    mask = ops.one_hot(ops.cast(actions, "int32"), values.shape[-1], dtype=values.dtype)
    return ops.sum(values * mask, axis=-1)


def mean_loss(loss: str, errors: Any, masks: Any = 1.0) -> Any:
    """Return the mean loss of the TD errors: e^2, or Huber's with its bend at 1.

    Args:
        loss: "mse" or "huber".
        errors: (B,); or (B, K), for the sum over K members, none of which sees another's errors.
        masks: 0 for errors that do not count.

    Source: Huber 1964, Robust Estimation of a Location Parameter; torch's `smooth_l1_loss`.
    """
    size = ops.abs(errors)
    huber = ops.where(size < 1.0, 0.5 * errors * errors, size - 0.5)
    each = errors * errors if loss == "mse" else huber
    return ops.sum(ops.mean(masks * each, axis=0))


def clipped(gradients: list[Any], max_norm: float, members: int = 0) -> list[Any]:
    """Return the gradients scaled so that their common norm is at most `max_norm`.

    With members, which are the first axis of each gradient, the norm is that of each member.

    Source: Pascanu et al. 2013, On the difficulty of training recurrent neural networks; the
        1e-6 is that of torch's `clip_grad_norm_`.
    """
    first = 1 if members else 0
    squares = (
        ops.sum(gradient * gradient, axis=tuple(range(first, len(gradient.shape))))
        for gradient in gradients
    )
    scale = ops.minimum(max_norm / (ops.sqrt(sum(squares)) + 1e-6), 1.0)
    if not members:
        return [gradient * scale for gradient in gradients]
    return [
        gradient * ops.reshape(scale, (members,) + (1,) * (len(gradient.shape) - 1))
        for gradient in gradients
    ]


def polyak(target: Any, source: Any, tau: Any) -> Any:
    """Return (1 - tau) target + tau source.

    Source: Polyak averaging, as in Lillicrap et al. 2016, Continuous control with deep
        reinforcement learning, algorithm 1.
    """
    return (1.0 - tau) * target + tau * source
