"""Named streams of random numbers that depend on nothing but (seed, stream, step).

Draws are stateless: no generator is advanced, so a result does not depend on chunk lengths, on
interruptions, or on what else runs beside it.
"""

from __future__ import annotations

import zlib
from enum import StrEnum

from pamdp.base.lazy import tf


class Stream(StrEnum):
    """The streams there are; any two are independent."""

    Q_WEIGHTS = "q_weights"
    PARAMETER_WEIGHTS = "parameter_weights"
    ACT = "act"
    EXPLORE = "explore"
    REPLAY = "replay"
    OBJECTIVE = "objective"
    RESET = "reset"
    ENVIRONMENT = "environment"
    EVALUATION = "evaluation"
    RANDOM_POLICY = "random_policy"
    CANDIDATES = "candidates"
    SECOND_Q_WEIGHTS = "second_q_weights"
    TARGET_NOISE = "target_noise"


def stream(seed: tf.Tensor, name: Stream, step: tf.Tensor | int = 0) -> tf.Tensor:
    """The key of a stream at a step, for `tf.random.stateless_*`.

    Args:
      seed: [] int32, the seed of the run.
      name: the stream.
      step: [] int32, the step within the stream.

    Returns:
      [2] int32.
    """
    offset = tf.constant(zlib.crc32(name.encode()) & 0x7FFFFFFF, tf.int32)
    return tf.stack(
        [tf.bitwise.bitwise_xor(tf.cast(seed, tf.int32), offset), tf.cast(step, tf.int32)]
    )


def fold(key: tf.Tensor, index: tf.Tensor | int) -> tf.Tensor:
    """A key for draw number `index` within the step of `key`; keys may be folded again.

    The index is scrambled (the finaliser of MurmurHash3), as adding it up would make the fold of a
    fold equal to a third one: `fold(fold(k, 1), 1)` and `fold(k, 2)`.
    """
    bits = tf.bitcast(key[0], tf.uint32) + tf.bitcast(tf.cast(index, tf.int32), tf.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        bits = tf.bitwise.bitwise_xor(
            bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32))
        )
        bits *= tf.constant(factor, tf.uint32)
    return tf.stack([tf.bitcast(bits, tf.int32), key[1]])


def uniform(key: tf.Tensor, shape: tuple[int, ...] | tf.Tensor) -> tf.Tensor:
    """Uniform draws in [0, 1), float32.

    Equal keys give equal draws within compiled programs; outside of them TensorFlow makes other
    floats of the same bits. What must agree is drawn on the same side in both loops.
    """
    return tf.random.stateless_uniform(shape, key, alg="philox")


def normal(key: tf.Tensor, shape: tuple[int, ...] | tf.Tensor) -> tf.Tensor:
    """Standard normal draws, float32."""
    return tf.random.stateless_normal(shape, key, alg="philox")


def integers(key: tf.Tensor, shape: tuple[int, ...], bound: tf.Tensor) -> tf.Tensor:
    """Uniform int32 draws in [0, bound)."""
    return tf.random.stateless_uniform(shape, key, 0, bound, dtype=tf.int32, alg="philox")
