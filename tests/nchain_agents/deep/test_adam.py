"""Adam takes the steps that the paper's algorithm takes in exact arithmetic."""

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents.deep.adam import Adam

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.999), (0.5, 0.0), (0.99, 0.999999)])
def test_a_constant_gradient_moves_a_weight_by_the_learning_rate(
    betas: tuple[float, float],
) -> None:
    """Both corrected moments are then those of the gradient, however few steps were taken."""
    rate = 2.0**-10
    optimizer = Adam(rate, beta_1=betas[0], beta_2=betas[1], epsilon=0.0)
    weight = keras.Variable(np.zeros(3, np.float32))
    for step in range(1, 41):
        optimizer.apply([np.array([1e-6, -3.0, 1e6], np.float32)], [weight])
        moved = np.asarray(weight.value) / rate
        assert moved == pytest.approx([-step, step, -step], rel=5e-7)


def test_steps_are_those_of_the_algorithm_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(200, 8)) * 10.0 ** rng.integers(-9, 3, size=8)
    optimizer = Adam(1e-3, epsilon=1e-8)
    weight = keras.Variable(np.zeros(8, np.float32))
    mean, square, expected = np.zeros((3, 8))
    length = 0.0
    for step, gradient in enumerate(gradients.astype(np.float32), start=1):
        optimizer.apply([gradient], [weight])
        gradient = gradient.astype(np.float64)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        taken = 1e-3 * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        expected -= taken
        length += abs(taken)
        # what single precision rounds off each step, and no more
        assert (abs(np.asarray(weight.value) - expected) <= 1e-6 * length).all()
