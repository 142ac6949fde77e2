"""The compiled functions of many copies of a functional environment, which run one after another.

Each copy is, bit for bit, what `bridge.adapter` makes of one: its functions, with its own keys.
Computed side by side, copies would share one key, wait for the one whose action lasts longest, and
differ in the last bit from one that is alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pamdp.base.calls import Direct, once, packed_like
from pamdp.base.lazy import tf
from pamdp.bridge.adapter import SinglePrograms


class ManyPrograms(SinglePrograms):
    """The compiled functions of N copies; N is known when they are called."""

    @once
    def reset_some(self) -> Direct:
        """(values, mask, numbers [N, 3], observations, states) to both, reset where the mask is."""
        numbers = tf.TensorSpec([None, 3], tf.int32)
        kept = _many(self.reset.like)
        return Direct(self._reset_some, self.values, self._mask, numbers, *kept)

    @once
    def next_step(self) -> Direct:
        """(values, mask, given [N, G], states) to what steps tell, but where the mask is, a reset.

        It tells facts [N, 3], observations [N, S] and states.
        """
        return Direct(self._next_step, *self._many_inputs)

    @once
    def same_step(self) -> Direct:
        """(values, mask, given [N, G], states) to what steps tell, and what goes on from there.

        Copies that have terminated, and those of the mask, are reset after the step. It tells facts
        [N, 3] and observations [N, S] of the step, then observations and states to go on from.
        """
        return Direct(self._same_step, *self._many_inputs)

    @property
    def _mask(self) -> Any:
        return tf.TensorSpec([None], tf.bool)

    @property
    def _many_inputs(self) -> tuple:
        return self.values, self._mask, _many(packed_like(self._given)), _many(self.state)

    def _reset_some(
        self, values: tf.Tensor, mask: tf.Tensor, numbers: tf.Tensor, *kept: Any
    ) -> tuple[tf.Tensor, Any]:
        def row(mask: tf.Tensor, numbers: tf.Tensor, *kept: Any) -> tuple[tf.Tensor, Any]:
            return tf.cond(mask, lambda: self._reset(values, numbers), lambda: kept)

        return _each(row, mask, numbers, *kept)

    def _next_step(
        self, values: tf.Tensor, mask: tf.Tensor, given: tf.Tensor, states: Any
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        def row(mask: tf.Tensor, given: tf.Tensor, state: Any) -> tuple:
            def reset() -> tuple:
                return tf.zeros([3]), *self._reset(values, _numbers(given, 0))

            return tf.cond(mask, reset, lambda: self._step(values, given, state))

        return _each(row, mask, given, states)

    def _same_step(
        self, values: tf.Tensor, mask: tf.Tensor, given: tf.Tensor, states: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Any]:
        def row(mask: tf.Tensor, given: tf.Tensor, state: Any) -> tuple:
            facts, *told = self._step(values, given, state)
            following = tf.cond(
                mask | (facts[1] > 0),
                lambda: self._reset(values, _numbers(given, 1)),
                lambda: tuple(told),
            )
            return facts, told[0], *following

        return _each(row, mask, given, states)


def _numbers(given: tf.Tensor, later: int) -> tf.Tensor:
    """[3] int32, of a reset so many transitions later: seed, transitions, resets since the last."""
    seed, count = tf.unstack(tf.bitcast(given[:2], tf.int32))
    return tf.stack([seed, count + later, 0])


def _many(like: Any) -> Any:
    """Shapes and types of many of something."""
    return tf.nest.map_structure(lambda leaf: tf.TensorSpec([None, *leaf.shape], leaf.dtype), like)


def _each(function: Callable, *rows: Any) -> Any:
    """What a function gives of each row of nests [N, ...], stacked; for use within a trace.

    A row is read a turn before its function runs, and what this gives is written a turn later. So
    the compiler finds between them what it finds in a program of a single row, and cannot fuse
    reading and writing with it, which would change last bits.
    """
    number = tf.shape(tf.nest.flatten(rows)[0])[0]

    def read(index: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda leaf: leaf[tf.minimum(index, number - 1)], rows)

    def write(arrays: Any, index: tf.Tensor, row: Any) -> Any:
        return tf.nest.map_structure(lambda array, leaf: array.write(index, leaf), arrays, row)

    def turn(index: tf.Tensor, row: Any, last: Any, arrays: Any) -> tuple:
        arrays = write(arrays, tf.maximum(index - 1, 0), last)  # the first of all is overwritten
        return index + 1, read(index + 1), function(*row), arrays

    first = read(tf.constant(0))
    like = tf.function(function, autograph=False).get_concrete_function(*first).structured_outputs
    last = tf.nest.map_structure(lambda leaf: tf.zeros(leaf.shape, leaf.dtype), like)
    arrays = tf.nest.map_structure(
        lambda leaf: tf.TensorArray(leaf.dtype, number, element_shape=leaf.shape), like
    )
    start = (tf.constant(0), first, last, arrays)
    _, _, last, arrays = tf.while_loop(lambda index, *_: index < number, turn, start)
    return tf.nest.map_structure(lambda array: array.stack(), write(arrays, number - 1, last))
