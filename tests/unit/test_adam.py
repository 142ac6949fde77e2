"""Adam, clipping and Polyak averaging against independent arithmetic."""

import keras
import numpy as np
import pytest

from pamdp.agents import adam
from pamdp.lazy import tf


def nest(seed: int, scale: float = 1.0) -> tuple:
    random = np.random.default_rng(seed)
    return tuple(
        (
            tf.constant(scale * random.normal(size=shape), tf.float32),
            tf.constant(scale * random.normal(size=shape[-1:]), tf.float32),
        )
        for shape in ((3, 4), (4, 2))
    )


def test_ten_steps_equal_keras() -> None:
    weights, learning_rate = nest(0), 0.02
    variables = [keras.Variable(leaf) for leaf in tf.nest.flatten(weights)]
    reference = keras.optimizers.Adam(learning_rate, epsilon=adam.EPSILON)
    state = adam.moments(weights)
    for step in range(10):
        gradients = nest(100 + step, scale=10.0 ** (step % 4 - 2))  # of very different sizes
        weights, state = adam.descend(weights, gradients, state, tf.constant(learning_rate))
        reference.apply(tf.nest.flatten(gradients), variables)
    assert int(state.count) == 10
    for ours, theirs in zip(tf.nest.flatten(weights), variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_ten_steps_equal_the_paper() -> None:
    """Kingma & Ba 2015, algorithm 1, in double precision; theirs adds epsilon after the correction.

    The difference is of the order of epsilon for gradients of the order of 1.
    """
    weights = nest(0)
    state, learning_rate = adam.moments(weights), 0.02
    w = [np.asarray(leaf, np.float64) for leaf in tf.nest.flatten(weights)]
    m, v = [np.zeros_like(leaf) for leaf in w], [np.zeros_like(leaf) for leaf in w]
    for t in range(1, 11):
        gradients = nest(t)
        weights, state = adam.descend(weights, gradients, state, tf.constant(learning_rate))
        for i, leaf in enumerate(tf.nest.flatten(gradients)):
            g = np.asarray(leaf, np.float64)
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            corrected = m[i] / (1 - 0.9**t), v[i] / (1 - 0.999**t)
            w[i] -= learning_rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    for ours, theirs in zip(tf.nest.flatten(weights), w, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_first_step_is_the_learning_rate_against_the_sign() -> None:
    weights = (tf.constant([1.0, 1.0, 1.0]),)
    gradients = (tf.constant([5.0, -0.01, 0.0]),)
    moved, _ = adam.descend(weights, gradients, adam.moments(weights), tf.constant(0.1))
    np.testing.assert_allclose(moved[0], [0.9, 1.1, 1.0], rtol=1e-4)


def test_clipping_is_by_the_norm_of_all_gradients_together() -> None:
    gradients = (tf.constant([3.0, 0.0]), tf.constant([[4.0]]))  # norm 5
    np.testing.assert_allclose(adam.clipped(gradients, tf.constant(1.0))[0], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(adam.clipped(gradients, tf.constant(1.0))[1], [[0.8]], rtol=1e-6)


@pytest.mark.parametrize("norm", [5.0, 5.1, 100.0])
def test_a_smaller_gradient_is_left_as_it_is(norm) -> None:
    gradients = (tf.constant([3.0, 0.0]), tf.constant([[4.0]]))
    for a, b in zip(adam.clipped(gradients, tf.constant(norm)), gradients, strict=True):
        assert np.array_equal(a, b)


def test_clipping_nothing() -> None:
    gradients = (tf.constant([3000.0]),)
    assert adam.clipped(gradients, None) is gradients
    zeros = (tf.zeros([3]),)
    assert np.asarray(adam.clipped(zeros, tf.constant(1.0))[0]).tolist() == [0, 0, 0]


def test_polyak_moves_by_the_share() -> None:
    target, weights = (tf.constant([0.0, 10.0]),), (tf.constant([1.0, 20.0]),)
    for tau, expected in ((0.1, [0.1, 11.0]), (0.0, [0.0, 10.0]), (1.0, [1.0, 20.0])):
        np.testing.assert_allclose(adam.polyak(target, weights, tf.constant(tau))[0], expected)
