"""Replay memory: one array of rows, so that storing is one write and sampling one gather."""

from __future__ import annotations

from typing import NamedTuple

from pamdp.lazy import tf


class Batch(NamedTuple):
    """A minibatch of transitions; names carry the time step.

    Attributes:
      s_tm1: [B, S] scaled observations acted on.
      x_tm1: [B, P] scaled parameters of all actions.
      a_tm1: [B] int32 actions taken.
      r_t: [B] scaled rewards.
      continues_t: [B] float, 0 where the task terminated. Truncation does not count.
      s_t: [B, S] scaled observations that followed.
    """

    s_tm1: tf.Tensor
    x_tm1: tf.Tensor
    a_tm1: tf.Tensor
    r_t: tf.Tensor
    continues_t: tf.Tensor
    s_t: tf.Tensor


def empty(capacity: int, features: int, parameters: int) -> tf.Tensor:
    """A replay memory of `capacity` rows."""
    return tf.zeros([capacity, 2 * features + parameters + 3])


def store(rows: tf.Tensor, step: tf.Tensor, transition: Batch) -> tf.Tensor:
    """Writes one transition (fields without batch axis), over the oldest once all rows are full."""
    scalars = [tf.cast(v, tf.float32) for v in (transition.a_tm1, transition.r_t)]
    row = tf.concat(
        [
            transition.s_tm1,
            transition.x_tm1,
            tf.stack([*scalars, transition.continues_t]),
            transition.s_t,
        ],
        axis=0,
    )
    return tf.tensor_scatter_nd_update(rows, [[step % rows.shape[0]]], row[None])


def sample(rows: tf.Tensor, indices: tf.Tensor, features: int, parameters: int) -> Batch:
    """Gathers a minibatch.

    Args:
      rows: the memory.
      indices: [B] int32 rows to take.
      features: S.
      parameters: P.
    """
    sizes = [features, parameters, 1, 1, 1, features]
    s_tm1, x_tm1, a_tm1, r_t, continues_t, s_t = tf.split(tf.gather(rows, indices), sizes, axis=-1)
    action = tf.cast(a_tm1[:, 0], tf.int32)
    return Batch(s_tm1, x_tm1, action, r_t[:, 0], continues_t[:, 0], s_t)
