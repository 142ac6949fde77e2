"""Adam, clipping, Polyak averaging and what a network that learns makes of them."""

import keras
import numpy as np
import pytest

from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.learning import updates
from pamdp.learning.updates import Trained


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
    reference = keras.optimizers.Adam(learning_rate, epsilon=updates.EPSILON)
    state = updates.moments(weights)
    for step in range(10):
        gradients = nest(100 + step, scale=10.0 ** (step % 4 - 2))  # of very different sizes
        weights, state = updates.descend(weights, gradients, state, tf.constant(learning_rate))
        reference.apply(tf.nest.flatten(gradients), variables)
    assert int(state.count) == 10
    for ours, theirs in zip(tf.nest.flatten(weights), variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_ten_steps_equal_the_paper() -> None:
    """Kingma & Ba 2015, algorithm 1, in double precision; theirs adds epsilon after the correction.

    The difference is of the order of epsilon for gradients of the order of 1.
    """
    weights = nest(0)
    state, learning_rate = updates.moments(weights), 0.02
    w = [np.asarray(leaf, np.float64) for leaf in tf.nest.flatten(weights)]
    m, v = [np.zeros_like(leaf) for leaf in w], [np.zeros_like(leaf) for leaf in w]
    for t in range(1, 11):
        gradients = nest(t)
        weights, state = updates.descend(weights, gradients, state, tf.constant(learning_rate))
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
    moved, _ = updates.descend(weights, gradients, updates.moments(weights), tf.constant(0.1))
    np.testing.assert_allclose(moved[0], [0.9, 1.1, 1.0], rtol=1e-4)


def test_clipping_is_by_the_norm_of_all_gradients_together() -> None:
    gradients = (tf.constant([3.0, 0.0]), tf.constant([[4.0]]))  # norm 5
    np.testing.assert_allclose(
        updates.clipped(gradients, tf.constant(1.0))[0], [0.6, 0.0], rtol=1e-6
    )
    np.testing.assert_allclose(updates.clipped(gradients, tf.constant(1.0))[1], [[0.8]], rtol=1e-6)


@pytest.mark.parametrize("norm", [5.0, 5.1, 100.0])
def test_a_smaller_gradient_is_left_as_it_is(norm) -> None:
    gradients = (tf.constant([3.0, 0.0]), tf.constant([[4.0]]))
    for a, b in zip(updates.clipped(gradients, tf.constant(norm)), gradients, strict=True):
        assert np.array_equal(a, b)


def test_clipping_nothing() -> None:
    gradients = (tf.constant([3000.0]),)
    assert updates.clipped(gradients, None) is gradients
    zeros = (tf.zeros([3]),)
    assert np.asarray(updates.clipped(zeros, tf.constant(1.0))[0]).tolist() == [0, 0, 0]


def test_polyak_moves_by_the_share() -> None:
    target, weights = (tf.constant([0.0, 10.0]),), (tf.constant([1.0, 20.0]),)
    for tau, expected in ((0.1, [0.1, 11.0]), (0.0, [0.0, 10.0]), (1.0, [1.0, 20.0])):
        np.testing.assert_allclose(updates.polyak(target, weights, tf.constant(tau))[0], expected)


# -- A network that learns -------------------------------------------------------------------------


def network(learning_rate: float = 0.02, tau: float = 0.25) -> Network:
    return Network(
        hidden=(4,), activation="relu", output_std=None, learning_rate=learning_rate, tau=tau
    )


def test_a_network_starts_as_its_own_target_and_without_moments() -> None:
    weights = nest(0)
    trained = Trained.of(weights)
    assert trained.online is weights
    assert trained.target is weights
    assert int(trained.moments.count) == 0
    for moment in tf.nest.flatten((trained.moments.first, trained.moments.second)):
        assert not np.any(moment)
    for name in ("first", "second"):
        tf.nest.assert_same_structure(getattr(trained.moments, name), weights)


def test_descending_by_hand() -> None:
    """The first steps of Adam go by the learning rate; the target follows by a quarter of each."""
    trained = Trained.of((tf.constant([1.0, 1.0, 1.0]),))
    gradient = (tf.constant([5.0, -0.01, 0.0]),)
    trained = trained.descended(gradient, network(learning_rate=0.1), None)
    np.testing.assert_allclose(trained.online[0], [0.9, 1.1, 1.0], rtol=1e-4)
    np.testing.assert_allclose(trained.target[0], [0.975, 1.025, 1.0], rtol=1e-4)
    np.testing.assert_allclose(trained.moments.first[0], [0.5, -0.001, 0.0], rtol=1e-5)
    trained = trained.descended(gradient, network(learning_rate=0.1), None)
    np.testing.assert_allclose(trained.online[0], [0.8, 1.2, 1.0], rtol=1e-4)
    # A quarter of the way from 0.975 to 0.8, and from 1.025 to 1.2.
    np.testing.assert_allclose(trained.target[0], [0.93125, 1.06875, 1.0], rtol=1e-4)
    assert int(trained.moments.count) == 2


def test_descending_is_clipping_adam_and_polyak_one_after_another() -> None:
    """With the learning rate and tau of the network, from a target that is elsewhere."""
    settings, norm = network(learning_rate=0.03, tau=0.2), tf.constant(0.5)
    trained = Trained(nest(0), nest(1), updates.moments(nest(0)))
    online, target, state = trained
    for step in range(3):
        gradient = nest(10 + step)
        trained = trained.descended(gradient, settings, norm)
        gradient = updates.clipped(gradient, norm)
        online, state = updates.descend(online, gradient, state, tf.constant(0.03))
        target = updates.polyak(target, online, tf.constant(0.2))
    for ours, theirs in zip(
        tf.nest.flatten(trained), tf.nest.flatten((online, target, state)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_gradient_is_clipped_before_it_is_remembered() -> None:
    gradient = (tf.constant([3.0, 0.0]), tf.constant([[4.0]]))  # norm 5
    weights = tf.nest.map_structure(tf.zeros_like, gradient)
    free, bound = (
        Trained.of(weights).descended(gradient, network(), norm)
        for norm in (None, tf.constant(1.0))
    )
    np.testing.assert_allclose(free.moments.first[0], [0.3, 0.0], rtol=1e-5)
    np.testing.assert_allclose(bound.moments.first[0], [0.06, 0.0], rtol=1e-5)
    np.testing.assert_allclose(bound.moments.first[1], [[0.08]], rtol=1e-5)


# -- Tables of which rows were gathered -----------------------------------------------------------


def gathered(number: int) -> tuple[tuple, tuple, tuple]:
    """Weights with a table, and the gradient of gathered rows: by rows and dense."""
    random = np.random.default_rng(3)
    table = tf.constant(random.normal(size=(9, 4)), tf.float32)
    bias = tf.constant(random.normal(size=4), tf.float32)
    indices = tf.constant(random.integers(0, 5, size=number))  # some more than once, some never
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((table, bias))
        value = tf.reduce_sum(tf.sin(3 * tf.gather(table, indices) + bias))
    gradient = tape.gradient(value, (table, bias))
    dense = tf.nest.map_structure(tf.convert_to_tensor, gradient)
    return (table, bias), updates.by_rows(gradient, (table, bias)), dense


@pytest.mark.parametrize("norm", [None, 0.5, 1e6])
def test_rows_move_as_the_whole_table_does(norm) -> None:
    network = Network(hidden=(4,), output_std=None, learning_rate=0.1, tau=0.3)
    weights, rows, dense = gathered(8)
    assert isinstance(rows[0], updates.Rows)
    clip = None if norm is None else tf.constant(norm)
    found = expected = Trained.of(weights)
    for _ in range(3):  # rows without a gradient move on by their moments
        found = found.descended(rows, network, clip)
        expected = expected.descended(dense, network, clip)
    moved = np.abs(np.asarray(found.online[0] - weights[0])).max(axis=-1)
    assert np.any(moved > 0)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_gradient_of_as_many_rows_as_the_table_has_is_dense() -> None:
    _, rows, dense = gathered(9)
    for one, other in zip(rows, dense, strict=True):
        np.testing.assert_array_equal(one, other)
