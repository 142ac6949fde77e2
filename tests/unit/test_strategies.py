"""Each strategy, on numbers worked by hand.

Two samples, three parameters in [-1, 1]. The first sample fell short (TD error -2) and took the
action that owns parameter 0; the second exceeded (0.5) and took the one that owns 1 and 2.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter, ValidationError

from pamdp.base.strategy import Context
from pamdp.strategies import AnyStrategy, Chain

ASCENT = tf.constant([[1.0, 1.0, 1.0], [-1.0, -2.0, -4.0]])
CONTEXT = Context(
    parameters=tf.constant([[0.5, -1.0, 1.5], [0.0, 0.25, -2.0]]),
    low=tf.constant([-1.0, -1.0, -1.0]),
    high=tf.constant([1.0, 1.0, 1.0]),
    td_error=tf.constant([-2.0, 0.5]),
    taken=tf.constant([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]),
)
LOW, HIGH = tf.constant([0.0]), tf.constant([10.0])

ADAPTER = TypeAdapter(AnyStrategy)


def strategy(settings: Any) -> Any:
    return ADAPTER.validate_python(settings)


def transformed(settings: Any, context: Context = CONTEXT) -> np.ndarray:
    return strategy(settings).transform(ASCENT, context).numpy()


CASES: list[tuple[Any, list[list[float]]]] = [
    ({"kind": "plain"}, [[1, 1, 1], [-1, -2, -4]]),
    # -1 is on its bound, 1.5 and -2 are outside.
    ({"kind": "zeroing"}, [[1, 0, 0], [-1, -2, 0]]),
    ({"kind": "squashing"}, [[1, 1, 1], [-1, -2, -4]]),
    # Upwards (1 - x) / 2 = 0.25, 1, -0.25; downwards (x + 1) / 2 = 0.5, 0.625, -0.5.
    ({"kind": "inverting"}, [[0.25, 1, -0.25], [-0.5, -1.25, 2]]),
    ({"kind": "reversal"}, [[-0.1, 1, 1], [-1, -2, -4]]),
    ({"kind": "reversal", "factor": 0.5, "scope": "all"}, [[-0.5, -0.5, -0.5], [-1, -2, -4]]),
    ({"kind": "selective"}, [[0, 1, 1], [-1, -2, -4]]),
    # At the threshold itself the direction is dropped.
    ({"kind": "selective", "threshold": 0.5}, [[0, 1, 1], [-1, 0, 0]]),
    ({"kind": "selective", "threshold": -2.5}, [[1, 1, 1], [-1, -2, -4]]),
    ({"kind": "selective", "scope": "all"}, [[0, 0, 0], [-1, -2, -4]]),
    # u = (x + 1) / 2; the first sample's factor is 0.9 u, the second's 1.1 u:
    # 0.9 * 0.75; 1.1 * 0.625 * -2, 1.1 * -0.5 * -4
    ({"kind": "pseudo_inverse"}, [[0.675, 1, 1], [-1, -1.375, 2.2]]),
    # u = (0.75, 0, 1.25) and (0.5, 0.625, -0.5), times 0.5 and 1.5
    (
        {"kind": "pseudo_inverse", "factor": 0.5, "scope": "all"},
        [[0.375, 0, 0.625], [-0.75, -1.875, 3]],
    ),
    # u = x: 0.9 * 0.5; 1.1 * 0.25 * -2, 1.1 * -2 * -4, whose sign is flipped
    ({"kind": "pseudo_inverse", "basis": "raw"}, [[0.45, 1, 1], [-1, -0.55, 8.8]]),
    # Reversal gives (-0.1, 1, 1): the first component now points downwards, (0.5 + 1) / 2.
    ([{"kind": "reversal"}, {"kind": "inverting"}], [[-0.075, 1, -0.25], [-0.5, -1.25, 2]]),
    # The other way round: -0.1 times 0.25.
    ([{"kind": "inverting"}, {"kind": "reversal"}], [[-0.025, 1, -0.25], [-0.5, -1.25, 2]]),
    (
        [{"kind": "selective"}, {"kind": "zeroing"}, {"kind": "inverting"}],
        [[0, 0, 0], [-0.5, -1.25, 0]],
    ),
]


@pytest.mark.parametrize(("settings", "expected"), CASES, ids=[str(case[0]) for case in CASES])
def test_by_hand(settings: Any, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(transformed(settings), expected, rtol=1e-6)


def test_bounds_of_any_range() -> None:
    # x = 8 in [0, 10]: upwards 2 / 10, downwards 8 / 10; u = 0.8.
    context = Context(
        tf.constant([[8.0], [8.0]]), LOW, HIGH, tf.constant([0.0, 0.0]), tf.ones([2, 1])
    )
    ascent = tf.constant([[1.0], [-1.0]])
    for kind, expected in [("inverting", [[0.2], [-0.8]]), ("pseudo_inverse", [[0.8], [-0.8]])]:
        found = strategy({"kind": kind}).transform(ascent, context)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_no_td_error_at_all() -> None:
    # Its sign is 0: pseudo_inverse scales by u alone, reversal turns nothing round.
    context = CONTEXT._replace(td_error=tf.constant([0.0, 0.0]))
    np.testing.assert_allclose(
        transformed({"kind": "pseudo_inverse"}, context), [[0.75, 1, 1], [-1, -1.25, 2]]
    )
    np.testing.assert_allclose(transformed({"kind": "reversal"}, context), ASCENT)


def test_squashing_bounds_the_forward_pass() -> None:
    # In units of [-1, 1] the raw outputs are -1, 0, 1 and 9; tanh(1) = 0.76159416.
    raw = tf.constant([[0.0], [5.0], [10.0], [50.0]])
    expected = [[5 * (1 - 0.76159416)], [5.0], [5 * (1 + 0.76159416)], [10.0]]
    found = strategy({"kind": "squashing"}).bound(raw, LOW, HIGH)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_squashing_is_differentiated_through() -> None:
    # d bound / d raw = 1 - tanh^2(u): 1 in the middle, 1 - 0.76159416^2 at the raw bound.
    raw = tf.constant([[5.0], [10.0]])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        bound = strategy({"kind": "squashing"}).bound(raw, LOW, HIGH)
    np.testing.assert_allclose(tape.gradient(bound, raw), [[1.0], [0.41997434]], rtol=1e-5)


def test_a_list_is_a_chain() -> None:
    chain = strategy([{"kind": "reversal", "factor": 0.3}, {"kind": "squashing"}])
    assert isinstance(chain, Chain)
    assert [member.kind for member in chain.members] == ["reversal", "squashing"]


def test_a_chain_bounds_as_its_member_does() -> None:
    raw = tf.constant([[3.0], [20.0]])
    chain, alone = (
        strategy([{"kind": "reversal"}, {"kind": "squashing"}, {"kind": "inverting"}]),
        strategy({"kind": "squashing"}),
    )
    np.testing.assert_array_equal(chain.bound(raw, LOW, HIGH), alone.bound(raw, LOW, HIGH))
    np.testing.assert_array_equal(
        chain.unbound(tf.constant([[3.0]]), LOW, HIGH),
        alone.unbound(tf.constant([[3.0]]), LOW, HIGH),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            [{"kind": "squashing"}, {"kind": "inverting"}, {"kind": "squashing"}],
            "at most one member of a chain may bound the forward pass, received squashing and "
            "squashing",
        ),
        ([{"kind": "plain"}], "at least 2 items"),
        ([], "at least 2 items"),
        ([[{"kind": "plain"}, {"kind": "zeroing"}], {"kind": "plain"}], "members"),
        ({"kind": "invertig"}, "'inverting'"),
        ({"kind": "reversal", "factor": "0.1"}, "valid number"),
        ({"kind": "reversal", "factor": float("nan")}, "finite number"),
        ({"kind": "reversal", "scope": "mine"}, "'taken' or 'all'"),
        ({"kind": "inverting", "factor": 0.1}, "inverting\n"),
    ],
)
def test_malformed_settings_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        strategy(settings)
