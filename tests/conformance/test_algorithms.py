"""What every algorithm's Q-function has to keep to."""

import pkgutil
from typing import Any, get_args

import numpy as np
import pytest

import pamdp.algorithms
from pamdp.algorithms import ALGORITHMS
from pamdp.base import seeding
from pamdp.base.algorithm import Algorithm, QFunction
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import Action, ActionSpec
from tests.helpers import FEATURES, SPEC, algorithm_of

BATCH = 5
OWN = [kind for kind, algorithm in ALGORITHMS.items() if algorithm.own]
SPECS = {
    "unequal": SPEC,
    "equal": ActionSpec((Action("a", (0.0,), (1.0,)), Action("b", (0.0,), (1.0,)))),
    "one action": ActionSpec((Action("a", (0.0, 0.0), (1.0, 1.0)),)),
    "no parameters": ActionSpec((Action("a", (), ()), Action("b", (), ()))),
}


def network(*hidden: int, activation: str = "relu") -> Network:
    return Network.model_validate(
        {
            "hidden": hidden,
            "activation": activation,
            "output_std": None,
            "learning_rate": 0.1,
            "tau": 0.1,
        }
    )


def inputs(spec: ActionSpec, batch: int = BATCH) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Scaled observations [B, S], parameters [B, P] in and out of bounds, actions [B]."""
    key = seeding.stream(tf.constant(3), "inputs")
    s = seeding.normal(seeding.fold(key, 0), (batch, FEATURES))
    x = 2 * seeding.normal(seeding.fold(key, 1), (batch, spec.num_parameters))
    return s, x, tf.range(batch) % spec.num_actions


def made(algorithm: str, spec: str) -> tuple[QFunction, tuple]:
    """A Q-function of two hidden layers and its weights."""
    q_function = algorithm_of(algorithm).q_function(network(8, 6), SPECS[spec])
    weights = q_function.initial(seeding.stream(tf.constant(1), "q"), FEATURES)
    return q_function, tf.nest.map_structure(lambda w: w + 0.05, weights)


@pytest.fixture(params=[(n, s) for n in ALGORITHMS for s in SPECS], ids="-".join)
def case(request: Any) -> tuple[QFunction, tuple]:
    return made(*request.param)


@pytest.fixture(params=[(n, s) for n in OWN for s in SPECS], ids="-".join)
def own_case(request: Any) -> tuple[QFunction, tuple]:
    return made(*request.param)


def test_each_file_is_listed() -> None:
    files = {info.name for info in pkgutil.iter_modules(pamdp.algorithms.__path__)}
    assert set(ALGORITHMS) == files, "list each algorithm in pamdp/algorithms/__init__.py"


@pytest.mark.parametrize("kind", list(ALGORITHMS))
def test_it_is_listed_under_its_kind_and_written_in_a_file_of_that_name(kind) -> None:
    algorithm = ALGORITHMS[kind]
    assert issubclass(algorithm, Algorithm)
    assert get_args(algorithm.model_fields["kind"].annotation) == (kind,)
    assert algorithm.__module__ == f"pamdp.algorithms.{kind}"


@pytest.mark.parametrize("kind", list(ALGORITHMS))
@pytest.mark.parametrize("word", ["title", "rule", "reference"])
def test_it_says_in_its_own_words_what_it_is(kind, word) -> None:
    algorithm = ALGORITHMS[kind]
    assert word in vars(algorithm)
    assert word not in algorithm.model_fields
    assert isinstance(getattr(algorithm, word), str)
    assert getattr(algorithm, word).strip()


@pytest.mark.parametrize("kind", list(ALGORITHMS))
def test_it_gives_a_q_function_with_its_network_in_its_action_space(kind) -> None:
    q_network = network(8)
    q_function = algorithm_of(kind).q_function(q_network, SPEC)
    assert isinstance(q_function, QFunction)
    assert q_function.network is q_network
    assert q_function.spec == algorithm_of(kind).choices(SPEC).spec


def test_values_are_finite_and_have_a_column_for_each_action(case) -> None:
    q_function, weights = case
    s, x, _ = inputs(q_function.spec)
    values = q_function.values(weights, s, x)
    assert values.shape == (BATCH, q_function.spec.num_actions)
    assert np.isfinite(values).all()


def test_taken_is_values_picked_and_so_are_its_gradients(case) -> None:
    q_function, weights = case
    s, x, action = inputs(q_function.spec)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([weights, x])
        taken = q_function.taken(weights, s, x, action)
        values = q_function.values(weights, s, x)
        picked = tf.stack([values[b, int(action[b])] for b in range(BATCH)])
    np.testing.assert_allclose(taken, picked, rtol=1e-5, atol=1e-6)
    for source in (weights, [x]):
        direct, through_values = tape.gradient(taken, source), tape.gradient(picked, source)
        for a, b in zip(tf.nest.flatten(direct), tf.nest.flatten(through_values), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_only_those_whose_values_see_their_own_parameters_alone_say_so() -> None:
    for kind in ALGORITHMS:
        q_function, weights = made(kind, "unequal")
        spec = q_function.spec
        s, x, _ = inputs(spec, batch=64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            q = q_function.values(weights, s, x)
        others = np.asarray(tape.batch_jacobian(q, x))[:, spec.owned == 0]
        assert (kind in OWN) == (spec.num_actions > 1 and not np.any(others))


def chosen(spec: ActionSpec, number: int | None) -> tf.Tensor:
    """[B, M] all actions in order, or some drawn at random."""
    if number is None:
        return tf.tile(tf.range(spec.num_actions)[None], [BATCH, 1])
    drawn = np.random.default_rng(4).integers(0, spec.num_actions, (BATCH, number))
    return tf.constant(drawn, tf.int32)


@pytest.mark.parametrize("number", [None, 1, 6], ids=["all", "one", "with repeats"])
def test_chosen_is_values_picked_and_so_are_its_gradients(own_case, number) -> None:
    q_function, weights = own_case
    spec = q_function.spec
    (s, x, _), actions = inputs(spec), chosen(spec, number)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([weights, x])
        some = q_function.chosen(weights, s, spec.take(x, actions), actions)
        picked = tf.gather(q_function.values(weights, s, x), actions, batch_dims=1)
        # Each by a factor of its own, so that no two gradients are mistaken for each other.
        factors = tf.range(1.0, tf.size(actions, tf.int32) + 1)
        direct, through_values = (
            tf.reduce_sum(tf.reshape(each, [-1]) * factors) for each in (some, picked)
        )
    assert some.shape == actions.shape
    np.testing.assert_allclose(some, picked, rtol=1e-5, atol=1e-5)
    same_gradients(tape, direct, through_values, [weights, x])


def same_gradients(tape: tf.GradientTape, one: tf.Tensor, other: tf.Tensor, sources: Any) -> None:
    pairs = (
        tf.nest.flatten(tape.gradient(each, sources, unconnected_gradients="zero"))
        for each in (one, other)
    )
    for a, b in zip(*pairs, strict=True):
        largest = np.max(np.abs(b), initial=1e-6)
        np.testing.assert_allclose(tf.convert_to_tensor(a), b, rtol=1e-4, atol=1e-5 * largest)


def test_those_that_value_no_chosen_actions_say_so() -> None:
    for kind in set(ALGORITHMS) - set(OWN):
        q_function, weights = made(kind, "unequal")
        s, x, _ = inputs(SPEC)
        actions = chosen(SPEC, 2)
        with pytest.raises(NotImplementedError, match="values no chosen actions"):
            q_function.chosen(weights, s, SPEC.take(x, actions), actions)


@pytest.mark.parametrize("number", [None, 1, 6], ids=["all", "one", "with repeats"])
@pytest.mark.parametrize("spec", list(SPECS))
@pytest.mark.parametrize("kind", list(ALGORITHMS))
def test_chosen_parameters_are_blocks_of_all_and_so_are_their_gradients(kind, spec, number) -> None:
    _, q_weights = made(kind, spec)
    parameters = algorithm_of(kind).parameter_network(network(8, 6), SPECS[spec])
    space = parameters.spec
    assert space == algorithm_of(kind).choices(SPECS[spec]).spec
    weights = parameters.initial(seeding.stream(tf.constant(2), "x"), FEATURES)
    weights = tf.nest.map_structure(lambda w: w + 0.05, weights)
    s, actions = inputs(space)[0], chosen(space, number)
    real = tf.gather(space.real, actions)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(weights)
        x = parameters.all(weights, q_weights, s)
        some = real * parameters.chosen(weights, q_weights, s, actions)
        blocks = space.take(x, actions)
        # Squares, so that each number has a gradient of its own.
        direct, through_all = (tf.reduce_sum(each**2) for each in (some, blocks))
    assert x.shape == (BATCH, space.num_parameters)
    assert some.shape == (*actions.shape, space.max_size)
    np.testing.assert_allclose(some, blocks, rtol=1e-5, atol=1e-5)
    same_gradients(tape, direct, through_all, weights)


def test_every_weight_matters(case) -> None:
    q_function, weights = case
    s, x, _ = inputs(q_function.spec, batch=64)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = tf.reduce_sum(q_function.values(weights, s, x) ** 2)
    for gradient in tf.nest.flatten(tape.gradient(total, weights)):
        assert np.count_nonzero(gradient) >= 0.8 * np.size(gradient)


def test_a_row_depends_on_no_other_row(case) -> None:
    q_function, weights = case
    s, x, _ = inputs(q_function.spec)
    values = q_function.values(weights, s, x)
    for b in range(BATCH):
        alone = q_function.values(weights, s[b : b + 1], x[b : b + 1])
        np.testing.assert_allclose(alone[0], values[b], rtol=1e-5, atol=1e-6)


def test_weights_depend_on_the_key_alone() -> None:
    for kind in ALGORITHMS:
        q_function = algorithm_of(kind).q_function(network(8, 6), SPEC)
        nests = [q_function.initial(seeding.stream(tf.constant(n), "q"), FEATURES) for n in (1, 2)]
        again = q_function.initial(seeding.stream(tf.constant(1), "q"), FEATURES)
        kernels = 0
        for one, other, same in zip(*map(tf.nest.flatten, (*nests, again)), strict=True):
            assert np.array_equal(one, same)
            if np.any(one):  # no bias
                kernels += 1
                assert not np.isclose(one, other).any()
        assert kernels >= 3


def test_any_two_algorithms_differ() -> None:
    values = []
    for kind in ALGORITHMS:
        q_function = algorithm_of(kind).q_function(network(8), SPEC)
        s, x, _ = inputs(q_function.spec)
        weights = q_function.initial(seeding.stream(tf.constant(1), "q"), FEATURES)
        values.append(np.asarray(q_function.values(weights, s, x)))
    for i, a in enumerate(values):
        for b in values[:i]:
            assert a.shape != b.shape or not np.allclose(a, b)
