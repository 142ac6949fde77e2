"""A nest as one vector and back, bit for bit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from pamdp.lazy import tf
from pamdp.packing import pack, unpack


class Nest(NamedTuple):
    weights: tuple
    step: tf.Tensor
    over: tf.Tensor
    nothing: tuple = ()


def nest() -> Nest:
    # Integers whose bits are floats that arithmetic would not keep: not a number, denormal, -0.
    steps = np.array([0x7FC00001, 1, -(2**31), -1], np.int64).astype(np.int32)
    special = tf.constant([[np.inf, -0.0, 1e-42], [1.5, -2.0, 0.0]])
    return Nest((special, (tf.constant(3.25),)), tf.constant(steps), tf.constant([True, False]))


@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_packed_comes_back_bit_for_bit(compiled: bool) -> None:
    there, back = pack, lambda vector: unpack(vector, nest())
    if compiled:
        there, back = (tf.function(f, jit_compile=True, autograph=False) for f in (there, back))
    vector = there(nest())
    assert vector.shape == [6 + 1 + 4 + 2]
    assert vector.dtype == tf.float32
    restored = back(vector)
    tf.nest.assert_same_structure(restored, nest())
    for one, other in zip(tf.nest.flatten(restored), tf.nest.flatten(nest()), strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.numpy().tobytes() == other.numpy().tobytes()


def test_leaves_are_in_the_order_of_the_nest() -> None:
    packed = pack((tf.constant([1.0, 2.0]), {"b": tf.constant(4.0), "a": tf.constant([[3.0]])}))
    np.testing.assert_array_equal(packed, [1, 2, 3, 4])  # dictionaries by their keys


def test_another_length_is_refused() -> None:
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        unpack(tf.zeros([14]), nest())
