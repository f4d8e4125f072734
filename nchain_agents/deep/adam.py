"""Adam, with its epsilon where torch has it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="nchain_agents")
class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam as torch and the paper's algorithm 1 have it: epsilon counts after bias correction.

    Keras adds epsilon before, as the paper suggests at the end of its section 2. With that, the
    first steps along small gradients are many times smaller.

    Source: Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable along its gradient."""
        step = ops.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        mean = self.beta_1 * first + (1 - self.beta_1) * gradient
        square = self.beta_2 * second + (1 - self.beta_2) * ops.square(gradient)
        self.assign(first, mean)
        self.assign(second, square)
        mean = mean / (1 - ops.power(self.beta_1, step))
        square = square / (1 - ops.power(self.beta_2, step))
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * mean / (ops.sqrt(square) + self.epsilon))
