"""The action space, on numbers worked by hand: equal sizes, unequal sizes, no parameters."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from pamdp.base.spaces import FEW, Action, ActionSpec

EQUAL = ActionSpec((Action("a", (0.0,), (10.0,)), Action("b", (-2.0,), (2.0,))))
UNEQUAL = ActionSpec(
    (
        Action("kick", (0.0, -15.0), (20.0, 15.0)),
        Action("wait", (), ()),
        Action("shoot", (-7.0,), (7.0,)),
    )
)
BARE = ActionSpec((Action("left", (), ()), Action("right", (), ())))
# Of 0 to 3 parameters each, the first and the last without any.
MANY = ActionSpec(
    tuple(Action(str(k), (0.0,) * (k % 4), (1.0,) * (k % 4)) for k in range(FEW // 4 * 4 + 5))
)
MANY_BARE = ActionSpec(tuple(Action(str(k), (), ()) for k in range(FEW + 1)))
ALL = {"equal": EQUAL, "unequal": UNEQUAL, "bare": BARE, "many": MANY, "many bare": MANY_BARE}


def test_numbers() -> None:
    assert (UNEQUAL.num_actions, UNEQUAL.num_parameters, UNEQUAL.max_size) == (3, 3, 2)
    assert UNEQUAL.sizes == (2, 0, 1)
    np.testing.assert_array_equal(UNEQUAL.low, np.float32([0, -15, -7]))
    np.testing.assert_array_equal(UNEQUAL.high, np.float32([20, 15, 7]))
    assert UNEQUAL.low.dtype == np.float32


def test_owned() -> None:
    np.testing.assert_array_equal(UNEQUAL.owned, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(EQUAL.owned, [[1, 0], [0, 1]])


def test_mask() -> None:
    np.testing.assert_array_equal(
        UNEQUAL.mask(tf.constant([2, 0, 1])), [[0, 0, 1], [1, 1, 0], [0, 0, 0]]
    )


def test_scale_and_unscale() -> None:
    units, scaled = np.float32([[15.0, -15.0, 0.0], [20.0, 0.0, 3.5]]), [[0.5, -1, 0], [1, 0, 0.5]]
    np.testing.assert_allclose(UNEQUAL.scale(units), scaled)
    np.testing.assert_allclose(UNEQUAL.unscale(tf.constant(scaled)), units)
    np.testing.assert_array_equal(UNEQUAL.unscale(tf.constant([[-2.0, 7.0, 1.5]])), [[0, 15, 7]])


def test_pad() -> None:
    np.testing.assert_array_equal(EQUAL.pad(tf.constant([[1.0, 2.0]])), [[[1], [2]]])
    np.testing.assert_array_equal(
        UNEQUAL.pad(tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])),
        [[[1, 2], [0, 0], [3, 0]], [[4, 5], [0, 0], [6, 0]]],
    )
    assert UNEQUAL.pad(tf.zeros([5, 4, 3])).shape == (5, 4, 3, 2)


@pytest.fixture(params=list(ALL.values()), ids=list(ALL))
def spec(request) -> ActionSpec:
    return request.param


def numbered(spec: ActionSpec) -> np.ndarray:
    """[2, P] that differ from each other and from 0."""
    return np.arange(1.0, 2 * spec.num_parameters + 1, dtype=np.float32).reshape(2, -1)


def sliced(spec: ActionSpec, values: np.ndarray) -> np.ndarray:
    """What `pad` makes of [B, P], one action at a time."""
    blocks = np.zeros([len(values), spec.num_actions, spec.max_size], np.float32)
    start = 0
    for action, size in enumerate(spec.sizes):
        blocks[:, action, :size] = values[:, start : start + size]
        start += size
    return blocks


@pytest.mark.parametrize("compile_it", [False, True])
def test_blocks_are_slices_and_go_back(spec, compile_it) -> None:
    pad, unpad = (tf.function(f, jit_compile=compile_it) for f in (spec.pad, spec.unpad))
    blocks = pad(tf.constant(numbered(spec)))
    np.testing.assert_array_equal(blocks, sliced(spec, numbered(spec)))
    back = unpad(blocks)
    assert back.shape == (2, spec.num_parameters)
    np.testing.assert_array_equal(back, numbered(spec))
    littered = blocks + 1000.0 * (1.0 - spec.real)
    np.testing.assert_array_equal(unpad(littered), numbered(spec))


def test_the_gradient_of_blocks_is_that_of_slices(spec) -> None:
    values = tf.constant(numbered(spec))
    with tf.GradientTape() as tape:
        tape.watch(values)
        squares = tf.reduce_sum(spec.pad(values) ** 2)
    if spec.num_parameters:
        np.testing.assert_array_equal(tape.gradient(squares, values), 2 * values)


def test_owners_and_places(spec) -> None:
    assert spec.owner.tolist() == [k for k, size in enumerate(spec.sizes) for _ in range(size)]
    np.testing.assert_array_equal(spec.owned, spec.owner == np.arange(spec.num_actions)[:, None])
    np.testing.assert_array_equal(spec.real, np.sign(sliced(spec, numbered(spec))[0]))
    if spec.num_parameters:
        places = numbered(spec)[0][spec.places] * spec.real
        np.testing.assert_array_equal(places, sliced(spec, numbered(spec))[0])


def test_rows_and_blocks_of_some_actions(spec) -> None:
    last = spec.num_actions - 1
    actions = np.array([[0, last, 1], [last, last, 0]], np.int32)
    values = numbered(spec)
    blocks = sliced(spec, values)
    taken = spec.take(tf.constant(values), tf.constant(actions))
    expected = np.stack([block[row] for block, row in zip(blocks, actions, strict=True)])
    np.testing.assert_array_equal(taken, expected)
    table = np.stack([values[0], -values[0]], axis=1)  # [P, 2]
    rows = spec.rows(tf.constant(table), tf.constant(actions))
    assert rows.shape == (2, 3, spec.max_size, 2)
    real = spec.real[actions][..., None]
    expected = np.stack([blocks[0][actions], -blocks[0][actions]], axis=-1)
    np.testing.assert_array_equal(rows * real, expected)


def test_features_are_as_many_for_each_action() -> None:
    known = ActionSpec((Action("a", (), (), (1.0, -1.0)), Action("b", (), (), (0.0, 0.5))))
    assert known.features.dtype == np.float32
    assert known.features.tolist() == [[1.0, -1.0], [0.0, 0.5]]
    assert EQUAL.features.shape == (2, 0)
    with pytest.raises(ValueError, match="expected as many features for each action"):
        ActionSpec((Action("a", (), (), (1.0,)), Action("b", (), ())))


def test_take() -> None:
    parameters = tf.constant([[1.0, 2.0, 3.0]] * 3)
    np.testing.assert_array_equal(
        UNEQUAL.take(parameters, tf.constant([0, 1, 2])), [[1, 2], [0, 0], [3, 0]]
    )


def test_what_is_executed_is_clipped_and_in_units_of_the_environment() -> None:
    scaled = tf.constant([[0.5, -3.0, 0.0], [9.0, 9.0, 9.0], [1.5, 0.0, 0.5]])
    np.testing.assert_allclose(
        UNEQUAL.executed(scaled, tf.constant([0, 1, 2])), [[15, -15], [0, 0], [3.5, 0]]
    )
    # A parameter beyond its bound is at it, exactly.
    np.testing.assert_array_equal(EQUAL.executed(tf.constant([[0, 1.01]]), tf.constant([1])), [[2]])


def random_bounds(number: int) -> Action:
    """Pairs of bounds with one decimal, such as -0.2 and 0.1; rounding leaves 15 % of them."""
    pairs = np.random.default_rng(0).choice(np.arange(-99, 100), [2 * number, 2]) / 10
    low, high = np.sort(pairs[pairs[:, 0] != pairs[:, 1]][:number]).T.tolist()
    return Action("many", tuple(low), tuple(high))


@pytest.mark.parametrize("compile_it", [False, True])
@pytest.mark.parametrize("scaled", [1.0, -1.0, 1.0000001, -1.0000001, 3.7, -3.7, 3e38, -3e38])
def test_saturated_parameters_are_in_the_space_whatever_its_bounds(
    scaled: float, compile_it: bool
) -> None:
    spec = ActionSpec((random_bounds(3000), Action("few", (-0.2,), (0.1,))))
    everything = tf.fill([1, spec.num_parameters], scaled)
    functions = {
        "executed": lambda x: spec.executed(x, tf.constant([0])),
        "taken": lambda x: spec.take(spec.unscale(x), tf.constant([0])),
    }
    bounds = spec.space()[1][0]
    for name, function in functions.items():
        given = tf.function(function, jit_compile=compile_it)(everything)[0].numpy()
        assert spec.element(0, given) in spec.space(), name
        # A parameter beyond its bound is at it, exactly.
        if abs(scaled) > 1.1:
            np.testing.assert_array_equal(given, bounds.high if scaled > 0 else bounds.low)


def test_an_element_of_the_space_has_the_action_s_own_parameters() -> None:
    index, blocks = UNEQUAL.element(2, np.float32([3.5, 9.0]))
    assert (index, [block.tolist() for block in blocks]) == (2, [[0, -15], [], [3.5]])
    assert (index, blocks) in UNEQUAL.space()
    with pytest.raises(ValueError, match="read-only"):  # other elements have the same
        blocks[0][:] = 1


def test_no_parameters_at_all() -> None:
    assert (BARE.num_parameters, BARE.max_size) == (0, 1)
    np.testing.assert_array_equal(BARE.take(tf.zeros([2, 0]), tf.constant([0, 1])), [[0], [0]])
    assert BARE.mask(tf.constant([1])).shape == (1, 0)
    assert BARE.space().sample() in BARE.space()


@pytest.mark.parametrize("spec", [EQUAL, UNEQUAL, BARE])
def test_batch_of_unknown_size(spec: ActionSpec) -> None:
    # What an exported model sees.
    parameters = tf.TensorSpec([None, spec.num_parameters])
    take = tf.function(spec.take, input_signature=[parameters, tf.TensorSpec([None], tf.int32)])
    for batch in (1, 4):
        found = take(tf.ones([batch, spec.num_parameters]), tf.zeros([batch], tf.int32))
        assert found.shape == (batch, spec.max_size)


@pytest.mark.parametrize("spec", [EQUAL, UNEQUAL, BARE])
def test_compiled(spec: ActionSpec) -> None:
    parameters = tf.random.stateless_uniform([2, spec.num_parameters], [1, 2])
    action = tf.constant([1, 0])
    take = tf.function(lambda x, k: spec.take(spec.unscale(x), k), jit_compile=True)
    np.testing.assert_allclose(
        take(parameters, action), spec.take(spec.unscale(parameters), action), rtol=1e-6
    )


def test_space() -> None:
    space = UNEQUAL.space()
    assert space[0] == gymnasium.spaces.Discrete(3)
    assert [box.shape for box in space[1]] == [(2,), (0,), (1,)]
    np.testing.assert_array_equal(space[1][0].high, np.float32([20, 15]))
    assert space.sample() in space


@pytest.mark.parametrize(("low", "high"), [((0.0,), ()), ((1.0,), (1.0,)), ((2.0,), (1.0,))])
def test_bounds_are_checked(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="action 'a': expected a lower and a higher bound"):
        Action("a", low, high)
