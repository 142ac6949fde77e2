"""docs/inverting-gradients.md: its lines do what they say, and its example learns."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import pamdp.strategies
from pamdp.base.lazy import tf
from pamdp.strategies import Context, Inverting, Plain
from tests.helpers import ROOT

TEXT = (ROOT / "docs" / "inverting-gradients.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
BY_HAND, MULTI_PASS, HEADS, EXAMPLE = BLOCKS
LOW, HIGH = tf.constant([-1.0, 0.0, -2.0]), tf.constant([1.0, 10.0, 3.0])
OWNED = tf.constant([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


class Optimiser:
    """Keeps what it is told to apply."""

    def apply(self, gradients: list[Any], weights: list[Any]) -> None:
        self.gradients = gradients
        self.weights = weights


@pytest.fixture
def names() -> dict[str, Any]:
    """What the page takes for granted: two actions, three parameters, two numbers of a state."""
    import keras

    keras.utils.set_random_seed(1)
    # Outputs beyond some bounds.
    policy = keras.Sequential([keras.Input([2]), keras.layers.Dense(3, bias_initializer="ones")])
    q = keras.Sequential([keras.Input([5]), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)])
    s = tf.random.stateless_normal([6, 2], seed=[1, 2])
    given = {"low": LOW, "high": HIGH, "owned": OWNED, "adam": Optimiser()}
    return {"tf": tf, "policy": policy, "q": q, "s": s, **given}


def test_the_ten_lines_are_ten_and_give_what_the_strategy_gives(names) -> None:
    assert len(BY_HAND.splitlines()) == 10
    exec(BY_HAND, names)
    s, x, q, policy = (names[key] for key in ("s", "x", "q", "policy"))
    assert np.any(x > HIGH)
    assert np.any(x < LOW)
    with tf.GradientTape() as tape:
        tape.watch(x)
        objective = tf.reduce_mean(tf.reduce_sum(q(tf.concat([s, x], 1)), 1))
    expected = Inverting().transform(tape.gradient(objective, x), Context(x, LOW, HIGH))
    np.testing.assert_allclose(names["ascent"], expected, rtol=1e-6)
    kernel, bias = names["adam"].gradients
    np.testing.assert_allclose(kernel, -tf.transpose(s) @ expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(bias, -tf.reduce_sum(expected, 0), rtol=1e-5, atol=1e-7)
    assert [w.path for w in names["adam"].weights] == [w.path for w in policy.weights]


def test_a_multi_pass_value_sees_its_own_parameters_alone(names) -> None:
    names["x"] = x = names["policy"](names["s"])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        exec(MULTI_PASS, names)
        first, second = tf.unstack(names["values"], axis=1)
    for value, owned in ((first, OWNED[0]), (second, OWNED[1])):
        gradient = tape.gradient(value, x)
        assert np.all((gradient == 0) == (owned == 0))
    alone = names["q"](tf.concat([names["s"], x * OWNED[1]], 1))[:, 1]
    np.testing.assert_allclose(second, alone, rtol=1e-6)
    mean = np.mean(np.sum(names["values"], 1))
    np.testing.assert_allclose(names["objective"], mean, rtol=1e-6)


def test_each_head_has_a_gradient_and_room_of_its_own(names) -> None:
    import keras

    bias = np.float32([1, 1, 1, -2, 4, 0])  # two heads, apart
    policy = keras.Sequential([keras.Input([2]), keras.layers.Dense(6)])
    policy.layers[0].bias.assign(bias)
    s = names["s"]
    exec(
        HEADS + "".join(BY_HAND.splitlines(keepends=True)[2:]),
        names | {"policy": policy, "heads": 2},
    )
    expected = []
    for x in tf.split(policy(s), 2, axis=1):
        with tf.GradientTape() as tape:
            tape.watch(x)
            objective = tf.reduce_sum(names["q"](tf.concat([s, x], 1))) / (2 * len(s))
        expected.append(Inverting().transform(tape.gradient(objective, x), Context(x, LOW, HIGH)))
    kernel, bias = names["adam"].gradients
    ascent = tf.concat(expected, 1)
    np.testing.assert_allclose(kernel, -tf.transpose(s) @ ascent, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(bias, -tf.reduce_sum(ascent, 0), rtol=1e-5, atol=1e-7)


def rows() -> list[list[str]]:
    return [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in TEXT.splitlines()
        if line.startswith("| `") and "+" not in line
    ]


def test_the_table_is_what_the_strategies_do() -> None:
    (header, *found) = rows()
    x, errors = np.float32([cell.split(", ") for cell in header[1:]]).T
    ones = tf.ones([len(x), 1])
    context = Context(
        tf.constant(x[:, None]), tf.constant([-1.0]), tf.constant([1.0]), tf.constant(errors), ones
    )
    for call, *cells in found:
        strategy = getattr(pamdp.strategies, call.removesuffix("()"))()
        expected = strategy.transform(ones, context)[:, 0]
        np.testing.assert_allclose(np.float32(cells), expected, rtol=1e-5)
    assert {call.removesuffix("()") for call, *_ in found} == {
        *("Plain", "Zeroing", "Inverting", "Reversal", "Selective", "PseudoInverse")
    }


@pytest.fixture(scope="module")
def example() -> ModuleType:
    module = ModuleType("example")
    exec(compile(EXAMPLE, "the example of the page", "exec"), module.__dict__)
    return module


class Still(Plain):
    """Applies no gradient: the parameter network stays as it was."""

    def transform(self, ascent: Any, context: Context) -> Any:
        del context
        return tf.zeros_like(ascent)


def test_the_example_learns_and_needs_inverting(example) -> None:
    score, outside = example.play(example.train(Inverting(), seed=1))
    assert score > 0.7
    assert outside < 0.3
    start, _ = example.play(example.train(Inverting(), seed=1, updates=0))
    unmoved, _ = example.play(example.train(Still(), seed=1))
    assert score > 0.5 + max(start, unmoved)
    score, outside = example.play(example.train(Plain(), seed=1))
    assert score < 0
    assert outside > 0.9


def test_the_best_return_of_the_example_is_as_the_page_says() -> None:
    walks = np.arange(5)[:, None]
    missed = np.maximum(abs(np.linspace(-4, 4, 1000)) - walks - 0.5, 0)
    best = np.mean(np.max(1 - missed - 0.1 * walks, axis=0))
    assert "mean return is 0.80" in TEXT
    assert best == pytest.approx(0.80, abs=0.01)


BATCH = tf.ones([6])
VALUES = tf.ones([6, 2])
X = tf.ones([6, 3])


def branch(td_error: Any) -> Any:
    if td_error < 0:
        td_error = -td_error
    return td_error


def optimise(gradient: Any) -> None:
    import keras

    keras.optimizers.Adam().apply([gradient], [keras.Variable(tf.zeros([2, 3]))])


def graph(function: Any) -> Any:
    return lambda: tf.function(function)()


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (lambda: BATCH - VALUES, "Incompatible shapes"),
        (graph(lambda: BATCH - VALUES), "Dimensions must be equal"),
        (lambda: tf.where(VALUES < 0, -X, X), "must be broadcastable"),
        (graph(lambda: tf.where(VALUES < 0, -X, X)), "Dimensions must be equal"),
        (
            lambda: branch(BATCH),
            "truth value of an array with more than one element is ambiguous",
        ),
        (lambda: tf.function(branch)(BATCH), "condition of if statement expected"),
        (lambda: optimise(X), "Incompatible shapes"),
        (lambda: X.assign_sub(X), "has no attribute 'assign_sub'"),
        (lambda: tf.gradients(X, X), "not supported when eager execution is enabled"),
    ],
)
def test_faulty_code_fails_as_the_page_says(faulty, said: str) -> None:
    assert said in " ".join(TEXT.split())
    with pytest.raises(
        (ValueError, AttributeError, RuntimeError, tf.errors.InvalidArgumentError),
        match=re.escape(said),
    ):
        faulty()


def test_what_is_wrong_in_silence(names) -> None:
    assert (tf.ones([2]) - tf.ones([2, 2])).shape == [2, 2]
    s, q, policy = names["s"], names["q"], names["policy"]
    x = policy(s)
    with tf.GradientTape() as tape:
        objective = tf.reduce_sum(q(tf.concat([s, x], 1)))
    assert tape.gradient(objective, x) is None

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            x = policy(s)
            loss = tf.reduce_sum(q(tf.concat([s, x], 1)) ** 2)
            turned = -10 * tf.gradients(loss, x)[0]
        return turned, tape.gradient(loss, policy.trainable_variables)

    # As if nothing had been turned round.
    turned, (kernel, bias) = gradients()
    np.testing.assert_allclose(kernel, tf.transpose(s) @ turned / -10, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bias, tf.reduce_sum(turned, 0) / -10, rtol=1e-5, atol=1e-6)


def test_the_descent_of_the_q_loss_goes_down_q_where_the_td_error_is_negative(names) -> None:
    s, q = names["s"], names["q"]
    x, y = names["policy"](s), tf.constant([3.0, -3.0] * 3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        value = q(tf.concat([s, x], 1))[:, 0]
        loss = tf.reduce_sum((y - value) ** 2)
    td_error = y - value
    assert np.any(td_error > 0)
    assert np.any(td_error < 0)
    expected = 2 * td_error[:, None] * tape.gradient(value, x)
    np.testing.assert_allclose(-tape.gradient(loss, x), expected, rtol=1e-5, atol=1e-6)


def test_what_a_strategy_needs_and_is_not_given_is_one_line() -> None:
    from pamdp.strategies import PseudoInverse, Reversal, Selective

    x = tf.zeros([2, 1])
    low, high, errors = tf.constant([-1.0]), tf.constant([1.0]), tf.constant([1.0, -1.0])
    for each in (Reversal(), Selective(), PseudoInverse()):
        with pytest.raises(ValueError, match=r"expected the TD errors \[B\] .*td_error=y - q"):
            each.transform(x, Context(x, low, high))
        with pytest.raises(ValueError, match=r"expected the TD errors \[B\]"):
            each.transform(x, Context(x, low, high, errors[:, None], tf.ones([2, 1])))
        with pytest.raises(ValueError, match=r"expected the mask \[B, P\].*taken=mask"):
            each.transform(x, Context(x, low, high, errors))
        every = type(each)(scope="all")
        assert every.transform(x, Context(x, low, high, errors)).shape == [2, 1]
