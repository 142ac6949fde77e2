"""Replay memory: one array of rows, so that storing is one write and sampling one gather.

Rows are in the order of time, so that what followed a transition stands in the rows after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pamdp.base.lazy import tf


class Batch(NamedTuple):
    """A minibatch of transitions; names carry the time step.

    Attributes:
      s_tm1: [B, S] observations acted on.
      x_tm1: [B, P] scaled parameters of all actions, or [B, m] of the taken one.
      a_tm1: [B] int32 actions taken.
      r_t: [B] scaled rewards.
      continues_t: [B] float, 0 where the task terminated. Truncation does not count.
      ended_t: [B] float, 1 where the episode ended, by termination or by truncation.
      s_t: [B, S] observations that followed.
    """

    s_tm1: tf.Tensor
    x_tm1: tf.Tensor
    a_tm1: tf.Tensor
    r_t: tf.Tensor
    continues_t: tf.Tensor
    ended_t: tf.Tensor
    s_t: tf.Tensor


class Found(NamedTuple):
    """Which actions were found to be greedy after some transitions.

    Attributes:
      indices: [N] int32 the transitions.
      actions: [N] int32 the actions.
    """

    indices: tf.Tensor
    actions: tf.Tensor


MaybeFound = Found | tuple[()]  # nothing where all actions are looked at each time


class Ahead(NamedTuple):
    """What the steps after some transitions brought.

    Attributes:
      total: [B] discounted sum of rewards.
      discount: [B] of what comes after, 0 where the task terminated.
      s: [B, S] the observation at which what comes after begins.
      final: [B] int32 the rows that have it.
    """

    total: tf.Tensor
    discount: tf.Tensor
    s: tf.Tensor
    final: tf.Tensor


@dataclass(frozen=True)
class Replay:
    """Pure functions of a memory, `rows` [capacity, row].

    Attributes:
      capacity: transitions kept.
      features: S.
      parameters: P, or m where the taken action's own are kept alone.
      greedy: whether a row has one more column, for the action that was last found to be greedy at
        the observation that followed.
      stride: in how many environments the transitions were made in turn: so many rows lie between
        one and the next of the same environment.
    """

    capacity: int
    features: int
    parameters: int
    greedy: bool = False
    stride: int = 1

    @property
    def row(self) -> int:
        """Numbers in a row."""
        return 2 * self.features + self.parameters + 4 + self.greedy

    def empty(self) -> tf.Tensor:
        """A memory without transitions."""
        return tf.zeros([self.capacity, self.row])

    def found(self, rows: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """[B] int32, the actions that were last found to be greedy after transitions [B]."""
        return tf.cast(tf.gather(rows[:, -1], indices), tf.int32)

    def with_found(self, rows: tf.Tensor, found: Found) -> tf.Tensor:
        """The memory after some actions have been found to be greedy."""
        last = tf.fill(tf.shape(found.indices), self.row - 1)
        return tf.tensor_scatter_nd_update(
            rows, tf.stack([found.indices, last], axis=-1), tf.cast(found.actions, tf.float32)
        )

    def store(self, rows: tf.Tensor, step: tf.Tensor, transition: Batch) -> tf.Tensor:
        """Writes transition number `step` (fields without batch axis), over the oldest if full."""
        scalars = [tf.cast(value, tf.float32) for value in transition[2:6]]
        parts = [transition.s_tm1, transition.x_tm1, tf.stack(scalars), transition.s_t]
        row = tf.concat([*parts, tf.zeros([int(self.greedy)])], axis=0)
        return tf.tensor_scatter_nd_update(rows, [[step % self.capacity]], row[None])

    def sample(self, rows: tf.Tensor, indices: tf.Tensor) -> Batch:
        """Gathers the rows of the indices [B] int32."""
        sizes = [self.features, self.parameters, 1, 1, 1, 1, self.features, int(self.greedy)]
        s_tm1, x_tm1, *scalars, s_t, _ = tf.split(tf.gather(rows, indices), sizes, axis=-1)
        a_tm1, r_t, continues_t, ended_t = (scalar[:, 0] for scalar in scalars)
        action = tf.cast(a_tm1, tf.int32)
        return Batch(s_tm1, x_tm1, action, r_t, continues_t, ended_t, s_t)

    def ahead(
        self,
        rows: tf.Tensor,
        indices: tf.Tensor,
        newest: tf.Tensor,
        num_steps: int,
        gamma: tf.Tensor,
    ) -> Ahead:
        """Looks up to n steps ahead, to the end of the episode or of the memory at most.

        Args:
          rows: the memory.
          indices: [B] int32 rows to begin at.
          newest: [] int32, the number of the transition stored last.
          num_steps: n.
          gamma: [] discount of each step.
        """
        steps = tf.range(num_steps)
        known = (newest - indices) % self.capacity // self.stride  # [B] after the first
        ahead = (indices[:, None] + self.stride * steps) % self.capacity  # [B, n]
        start = self.features + self.parameters + 1
        r, continues, ended = tf.unstack(tf.gather(rows[:, start : start + 3], ahead), axis=-1)
        running = tf.math.cumprod(1.0 - ended, axis=-1, exclusive=True)
        counts = running * tf.cast(steps <= known[:, None], tf.float32)
        total = tf.reduce_sum(counts * gamma ** tf.cast(steps, tf.float32) * r, axis=-1)
        length = tf.reduce_sum(counts, axis=-1)
        last = tf.one_hot(tf.cast(length, tf.int32) - 1, num_steps)
        final = (indices + self.stride * (tf.cast(length, tf.int32) - 1)) % self.capacity
        discount = gamma**length * tf.reduce_sum(last * continues, axis=-1)
        s = tf.gather(rows[:, start + 3 : start + 3 + self.features], final)
        return Ahead(total, discount, s, final)
