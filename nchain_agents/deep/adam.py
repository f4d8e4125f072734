"""Adam, with epsilon as in torch."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="nchain_agents")
class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam as in torch and in the paper's algorithm 1: epsilon is added after bias correction.

    Keras adds it before, as the paper suggests at the end of its section 2. Then the first steps
    along small gradients are many times smaller.

    Source: Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        step = ops.cast(self.iterations + 1, variable.dtype)
        correction_1, correction_2 = (
            one_minus_power(beta, step) for beta in (self.beta_1, self.beta_2)
        )
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        # in the order of torch's operations, for the same rounding
        mean = first + (1 - self.beta_1) * (gradient - first)
        square = self.beta_2 * second + (1 - self.beta_2) * gradient * gradient
        self.assign(first, mean)
        self.assign(second, square)
        rate = ops.cast(learning_rate, variable.dtype) / correction_1
        denominator = ops.sqrt(square) / ops.sqrt(correction_2) + self.epsilon
        self.assign_sub(variable, rate * mean / denominator)


def one_minus_power(beta: float, step: Any) -> Any:
    """Return 1 - beta^step, without the loss of precision while beta^step is near 1."""
    return -ops.expm1(step * (math.log(beta) if beta > 0 else -math.inf))
