"""What is computed for each of many actions on its own, in blocks that fit into a core's cache.

All actions at once would write and read [K, B, H] hidden values several times, in main memory.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from pamdp.base.lazy import tf

MANY = 32  # actions; fewer are computed at once
# Hidden values of a block. With half and twice as many a step of Hard Move takes about as long.
LARGEST = 2**17

Part = Callable[[Any, Any], Any]  # (rows of some actions, what they share) to their values


def actions_at_once(number: int, hidden: int) -> int:
    """Of how many actions `hidden` values each are computed at a time, of so many actions."""
    if number < MANY or number * hidden <= LARGEST:
        return number
    return max(1, LARGEST // hidden)


def of_actions(part: Part, rows: Any, shared: Any, hidden: int | None) -> tf.Tensor:
    """Values of all actions: `part(rows, shared)`, block by block where there are many.

    Gradients are those of `part`, whose values are computed again for them instead of kept.

    Args:
      part: a pure function that takes some of the rows; [k, B].
      rows: nest of tensors [K, ...].
      shared: nest of tensors.
      hidden: how many hidden values `part` computes for each action; None if that is unknown.

    Returns:
      [K, B].
    """
    number = tf.nest.flatten(rows)[0].shape[0]
    size = number if hidden is None else actions_at_once(number, hidden)
    if size == number:
        return part(rows, shared)
    count = ceil(number / size)

    def parted(values: tf.Tensor) -> tf.Tensor:
        missing = [[0, count * size - number], *([[0, 0]] * (len(values.shape) - 1))]
        return tf.reshape(tf.pad(values, missing), [count, size, *values.shape[1:]])

    values = _blocked(part, tf.nest.map_structure(parted, rows), shared)
    return tf.reshape(values, [count * size, -1])[:number]


def _blocked(part: Part, blocks: Any, shared: Any) -> tf.Tensor:
    """[n, k, B]: `part` of n blocks, one after another."""
    like = (blocks, shared)

    @tf.custom_gradient
    def values(*flat: tf.Tensor) -> tuple[tf.Tensor, Any]:
        blocks, shared = tf.nest.pack_sequence_as(like, flat)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            def back(both: tuple, total: tuple) -> tuple:
                block, ascent = both
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch((block, shared))
                    value = part(block, shared)
                zero = tf.UnconnectedGradients.ZERO
                of_block, of_shared = tape.gradient(value, (block, shared), ascent, zero)
                return of_block, tf.nest.map_structure(tf.add, total, of_shared)

            zeros = tf.nest.map_structure(tf.zeros_like, shared)
            return tf.nest.flatten(_swept(back, (blocks, upstream), zeros))

        swept, _ = _swept(lambda block, none: (part(block, shared), none), blocks, ())
        return swept, gradient

    return values(*tf.nest.flatten(like))


def _swept(step: Callable[[Any, Any], tuple[Any, Any]], blocks: Any, carry: Any) -> tuple:
    """Goes through blocks; `step(block, carry)` gives what is stacked, and the next carry."""
    count = tf.nest.flatten(blocks)[0].shape[0]

    def block(index: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda values: values[index], blocks)

    first, _ = tf.nest.map_structure(
        lambda each: tf.zeros([count, *each.shape], each.dtype), step(block(0), carry)
    )

    def body(index: tf.Tensor, stacked: Any, carry: Any) -> tuple:
        new, carry = step(block(index), carry)
        place = index[None, None]
        stacked = tf.nest.map_structure(
            lambda all_, one: tf.tensor_scatter_nd_update(all_, place, one[None]), stacked, new
        )
        return index + 1, stacked, carry

    _, stacked, carry = tf.while_loop(
        lambda index, *_: index < count, body, (tf.constant(0), first, carry)
    )
    return stacked, carry
