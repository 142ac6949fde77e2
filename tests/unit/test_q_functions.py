"""P-DQN and its relatives: which action value depends on which parameter, and by how much."""

import numpy as np
import pytest

from pamdp.algorithms.mpdqn import MultiPass
from pamdp.algorithms.spdqn import Separate
from pamdp.base import seeding
from pamdp.base.algorithm import Joint, QFunction, pick
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import Action, ActionSpec
from tests.helpers import FEATURES, SPEC, algorithm_of

EQUAL = ActionSpec(tuple(Action(name, (0.0,), (1.0,)) for name in "abc"))
BATCH = 6
ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0),
    "leaky_relu": lambda v: np.where(v > 0, v, 0.2 * v),
    "tanh": np.tanh,
}


def network(hidden: tuple[int, ...], activation: str = "relu", std: float | None = None) -> Network:
    return Network.model_validate(
        {
            "hidden": hidden,
            "activation": activation,
            "output_std": std,
            "learning_rate": 0.1,
            "tau": 0.1,
        }
    )


def weights_of(q_function: QFunction) -> tuple:
    weights = q_function.initial(seeding.stream(tf.constant(5), "q"), FEATURES)
    # No bias is zero.
    return tf.nest.map_structure(lambda leaf: leaf + 0.1, weights)


def inputs(spec: ActionSpec) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    s = random.normal(size=(BATCH, FEATURES)).astype(np.float32)
    return s, random.normal(0, 2, (BATCH, spec.num_parameters)).astype(np.float32)


def one_pass(weights: tuple, inputs: np.ndarray, activation: str) -> np.ndarray:
    """A perceptron in double precision: [B, S + P] to [B, K]."""
    hidden = inputs.astype(np.float64)
    for kernel, bias in weights[:-1]:
        hidden = ACTIVATIONS[activation](hidden @ np.asarray(kernel, np.float64) + bias)
    kernel, bias = weights[-1]
    return hidden @ np.asarray(kernel, np.float64).T + bias


@pytest.mark.parametrize("spec", [SPEC, EQUAL], ids=["unequal", "equal"])
@pytest.mark.parametrize("hidden", [(8,), (8, 6), (8, 6, 5)], ids=str)
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_multi_pass_is_k_passes_with_the_other_parameters_zero(spec, hidden, activation) -> None:
    q_function = MultiPass(network(hidden, activation), spec)
    weights, (s, x) = weights_of(q_function), inputs(spec)
    expected = np.empty([BATCH, spec.num_actions])
    for k in range(spec.num_actions):
        seen = np.concatenate([s, x * spec.owned[k]], axis=1)
        expected[:, k] = one_pass(weights, seen, activation)[:, k]
    values = q_function.values(weights, s, tf.constant(x))
    np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-5)
    sampled = np.random.default_rng(3).integers(0, spec.num_actions, (BATCH, 2), np.int32)
    chosen = q_function.chosen(weights, s, spec.take(tf.constant(x), sampled), tf.constant(sampled))
    expected = np.take_along_axis(expected, sampled, axis=1)
    np.testing.assert_allclose(chosen, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("hidden", [(8,), (8, 6)], ids=str)
def test_joint_is_one_pass_with_all_parameters(hidden) -> None:
    q_function = Joint(network(hidden), SPEC)
    weights, (s, x) = weights_of(q_function), inputs(SPEC)
    expected = one_pass(weights, np.concatenate([s, x], axis=1), "relu")
    values = q_function.values(weights, s, tf.constant(x))
    np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("spec", [SPEC, EQUAL], ids=["unequal", "equal"])
@pytest.mark.parametrize("hidden", [(16,), (16, 12)], ids=str)
def test_no_value_depends_on_the_parameters_of_another_action(spec, hidden) -> None:
    jacobians = {}
    for name in ("pdqn", "mpdqn", "spdqn", "epdqn"):
        q_function = algorithm_of(name).q_function(network(hidden, "tanh"), spec)
        weights, (s, x) = weights_of(q_function), inputs(spec)
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            q = q_function.values(weights, s, x)
        jacobians[name] = np.asarray(tape.batch_jacobian(q, x))  # [B, K, P]
    own = spec.owned > 0
    for name in ("mpdqn", "spdqn", "epdqn"):
        assert (jacobians[name][:, ~own] == 0.0).all()  # exactly
        assert (jacobians[name][:, own] != 0.0).all()
    assert (jacobians["pdqn"][:, ~own] != 0.0).all()


@pytest.mark.parametrize("spec", [SPEC, EQUAL], ids=["unequal", "equal"])
def test_multi_pass_is_joint_where_the_other_parameters_are_zero(spec) -> None:
    multi, joint = MultiPass(network((8, 6)), spec), Joint(network((8, 6)), spec)
    weights, (s, x) = weights_of(multi), inputs(spec)
    for k in range(spec.num_actions):
        alone = tf.constant(x * spec.owned[k])
        np.testing.assert_allclose(
            multi.values(weights, s, alone)[:, k],
            joint.values(weights, s, alone)[:, k],
            rtol=1e-5,
            atol=1e-6,
        )
    x = tf.constant(x)
    assert not np.allclose(multi.values(weights, s, x), joint.values(weights, s, x))


def alone(weights: tuple, spec: ActionSpec, k: int) -> tuple:
    """Network k of a stack, as the layers of a perceptron from [s, x_k] to one value."""
    (of_s, of_x, bias), *middle, (last, last_bias) = weights
    start = sum(spec.sizes[:k])
    own = of_x[start : start + spec.sizes[k]]
    layers = [(tf.concat([of_s[k], own], axis=0), bias[k, 0])]
    layers += [(kernel[k], layer_bias[k, 0]) for kernel, layer_bias in middle]
    return (*layers, (last[k : k + 1], last_bias[k : k + 1]))


@pytest.mark.parametrize("spec", [SPEC, EQUAL], ids=["unequal", "equal"])
@pytest.mark.parametrize("hidden", [(8,), (8, 6), (8, 6, 5)], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_separate_networks_are_k_perceptrons(spec, hidden, activation) -> None:
    q_function = Separate(network(hidden, activation), spec)
    weights, (s, x) = weights_of(q_function), inputs(spec)
    values = q_function.values(weights, s, tf.constant(x))
    for k in range(spec.num_actions):
        seen = tf.constant(np.concatenate([s, x[:, spec.owned[k] > 0]], axis=1))
        layers = alone(weights, spec, k)
        expected = q_function.network.apply(layers, seen)[:, 0]
        np.testing.assert_allclose(values[:, k], expected, rtol=1e-5, atol=1e-5)
        double = one_pass(layers, seen.numpy(), activation)[:, 0]
        np.testing.assert_allclose(values[:, k], double, rtol=2e-5, atol=2e-5)


def test_no_value_depends_on_the_weights_of_another_actions_network() -> None:
    q_function = Separate(network((8, 6), "tanh"), SPEC)
    weights, (s, x) = weights_of(q_function), inputs(SPEC)
    owner = np.argmax(SPEC.owned, axis=0)  # of each row of the parameters' weights
    for k in range(SPEC.num_actions):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = tf.reduce_sum(q_function.values(weights, s, tf.constant(x))[:, k])
        (of_s, of_x, bias), *rest = tape.gradient(value, weights)
        moved = np.flatnonzero(np.any(of_x, axis=1))
        assert moved.tolist() == np.flatnonzero(owner == k).tolist()
        for gradient in tf.nest.flatten((of_s, bias, rest)):
            rows = np.asarray(gradient).reshape(SPEC.num_actions, -1)
            assert np.flatnonzero(np.any(rows, axis=1)).tolist() == [k]


def test_algorithms_start_from_the_same_weights() -> None:
    """So that a comparison of them compares nothing else; separate networks are others."""
    joint, multi = (weights_of(q(network((8,)), SPEC)) for q in (Joint, MultiPass))
    for a, b in zip(tf.nest.flatten(joint), tf.nest.flatten(multi), strict=True):
        assert np.array_equal(a, b)


def test_pick_by_hand() -> None:
    values = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert np.asarray(pick(values, tf.constant([2, 0]))).tolist() == [3.0, 4.0]


def test_initial_weights_have_the_stated_spread() -> None:
    """Kaiming-normal hidden layers, uniform or normal output, zero biases."""
    shape, key = {"inputs": 50, "outputs": 40}, seeding.stream(tf.constant(1), "w")
    hidden, second, output = network((200, 300)).initial(key, **shape)
    assert [kernel.shape for kernel, _ in (hidden, second, output)] == [
        (50, 200),
        (200, 300),
        (40, 300),  # the output layer is transposed
    ]
    for kernel, fan_in in ((hidden[0], 50), (second[0], 200)):
        assert np.std(kernel) == pytest.approx((2 / fan_in) ** 0.5, rel=0.03)
        assert abs(np.mean(kernel)) < 0.01
    limit = 300**-0.5
    assert 0.99 * limit < np.max(np.abs(output[0])) <= limit
    assert np.std(output[0]) == pytest.approx(limit / 3**0.5, rel=0.03)
    assert all(not np.any(bias) for _, bias in (hidden, second, output))
    normal = network((200, 300), std=1e-3).initial(key, **shape)[-1][0]
    assert np.std(normal) == pytest.approx(1e-3, rel=0.03)
    assert np.max(np.abs(normal)) > 2e-3


def test_separate_networks_start_like_networks_of_their_own_size() -> None:
    """The first layer's spread follows from the S + m_k inputs that a network has."""
    features, wide = 6, network((4000, 30))
    weights = Separate(wide, SPEC).initial(seeding.stream(tf.constant(1), "w"), features)
    for k, size in enumerate((2, 0, 3, 1)):
        first, second, output = alone(weights, SPEC, k)
        assert first[0].shape == (features + size, 4000)
        spread = (2 / (features + size)) ** 0.5
        for row in first[0]:
            assert np.std(row) == pytest.approx(spread, rel=0.05)
        assert np.std(second[0]) == pytest.approx((2 / 4000) ** 0.5, rel=0.03)
        limit = 30**-0.5
        assert 0.8 * limit < np.max(np.abs(output[0])) <= limit
        assert not any(np.any(bias) for _, bias in (first, second, output))
    # Nothing is drawn twice, nor the same numbers with another spread.
    kernels = [np.ravel(leaf) for leaf in tf.nest.flatten(weights) if np.any(leaf)]
    assert len(kernels) == 4
    assert len({np.sign(kernel[:100]).tobytes() for kernel in kernels}) == 4
    rows = [row for kernel in kernels[:3] for row in kernel.reshape(-1, 30)]
    assert len({row.tobytes() for row in rows}) == len(rows)
    normal = Separate(network((300,), std=1e-3), SPEC).initial(
        seeding.stream(tf.constant(1), "w"), 6
    )
    assert np.std(normal[-1][0]) == pytest.approx(1e-3, rel=0.1)
    assert np.max(np.abs(normal[-1][0])) > 2e-3
