"""Nests of tensors as one vector, since the arguments of a call cost more than its arithmetic.

Within a long compiled loop a call is nothing; on the host there is one for each step.
"""

from __future__ import annotations

import math
from typing import Any

from pamdp.lazy import tf


def pack(nest: Any) -> tf.Tensor:
    """[N] float32 of a nest of float32, int32 and boolean tensors; all but floats by their bits."""
    return tf.concat([tf.reshape(_bits(leaf), [-1]) for leaf in tf.nest.flatten(nest)], axis=0)


def unpack(vector: tf.Tensor, like: Any) -> Any:
    """The nest that was packed; `like` has its structure, shapes and types."""
    leaves = tf.nest.flatten(like)
    parts = tf.split(vector, [math.prod(leaf.shape) for leaf in leaves])
    restored = [_restored(part, leaf) for part, leaf in zip(parts, leaves, strict=True)]
    return tf.nest.pack_sequence_as(like, restored)


def packed_like(nest: Any) -> tf.TensorSpec:
    """Shape and type of what a nest of these shapes is packed to."""
    return tf.TensorSpec([sum(math.prod(leaf.shape) for leaf in tf.nest.flatten(nest))], tf.float32)


def _bits(leaf: tf.Tensor) -> tf.Tensor:
    if leaf.dtype == tf.bool:
        leaf = tf.cast(leaf, tf.int32)
    return leaf if leaf.dtype == tf.float32 else tf.bitcast(leaf, tf.float32)


def _restored(part: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    part = tf.reshape(part, like.shape)
    if like.dtype == tf.float32:
        return part
    bits = tf.bitcast(part, tf.int32)
    return bits != 0 if like.dtype == tf.bool else bits
