"""Functions that are called without TensorFlow's checks."""

from __future__ import annotations

import numpy as np
import pytest

from pamdp.direct import Direct
from pamdp.lazy import tf


def test_nests_go_in_and_out_flattened():
    def function(scale, pair):
        return {"sum": pair[0] + pair[1], "product": scale * pair[0]}

    vector = tf.TensorSpec([2], tf.float32)
    direct = Direct(function, tf.TensorSpec([], tf.float32), (vector, vector))
    answers = direct(tf.constant(2.0), tf.constant([1.0, 2.0]), tf.constant([3.0, 5.0]))
    found = tf.nest.pack_sequence_as(direct.like, [answer.numpy().tolist() for answer in answers])
    assert found == {"sum": [4.0, 7.0], "product": [2.0, 4.0]}


def test_it_gives_the_bits_of_the_compiled_function():
    def function(x):
        return tf.math.softmax(tf.sin(x) @ tf.transpose(x))

    x = tf.constant(np.random.default_rng(1).normal(size=[7, 5]), tf.float32)
    expected = tf.function(function, jit_compile=True)(x)
    (found,) = Direct(function, tf.TensorSpec([7, 5], tf.float32))(x)
    np.testing.assert_array_equal(found, expected)


def test_a_variable_is_written_in_place():
    def function(row, memory):
        memory.assign(tf.concat([memory.read_value()[1:], row[None]], axis=0))
        return tf.reduce_sum(memory.read_value())

    first, second = tf.Variable(tf.zeros([3])), tf.Variable(tf.zeros([3]))
    direct = Direct(function, tf.TensorSpec([], tf.float32), first)
    for variable in (first, second, second):
        (total,) = direct(tf.constant(1.5), variable.handle)
    assert float(total) == 3.0
    assert first.numpy().tolist() == [0.0, 0.0, 1.5]
    assert second.numpy().tolist() == [0.0, 1.5, 1.5]


def test_what_a_function_captures_is_kept():
    def made(weights):
        return Direct(lambda x: x * weights, tf.TensorSpec([2], tf.float32))

    (found,) = made(tf.constant([2.0, 3.0]))(tf.constant([1.0, 1.0]))
    assert found.numpy().tolist() == [2.0, 3.0]


def test_an_error_in_a_function_is_its_own():
    with pytest.raises(ZeroDivisionError):
        Direct(lambda x: x * (1 // 0), tf.TensorSpec([2], tf.float32))
