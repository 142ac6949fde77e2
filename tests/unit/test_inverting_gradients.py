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
BY_HAND, MULTI_PASS, EXAMPLE = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
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


def rows() -> list[list[str]]:
    return [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in TEXT.splitlines()
        if line.startswith("| `")
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


def test_the_example_learns_and_needs_inverting(example) -> None:
    score, outside = example.play(example.train(Inverting(), seed=1))
    assert score > 0.7
    assert outside < 0.3
    assert example.play(example.train(Inverting(), seed=1, updates=0))[0] < 0
    score, outside = example.play(example.train(Plain(), seed=1))
    assert score < 0
    assert outside > 0.9


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
