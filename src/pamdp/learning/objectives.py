"""What the critic descends (TD losses) and the parameter network ascends (objectives)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from pamdp.base.lazy import tf


def huber(error: tf.Tensor) -> tf.Tensor:
    """`e^2 / 2` where `|e| <= 1`, `|e| - 1/2` elsewhere."""
    size = tf.abs(error)
    return tf.where(size <= 1, 0.5 * error * error, size - 0.5)


TDLoss = Literal["huber", "squared"]
TD_LOSSES: dict[TDLoss, Callable[[tf.Tensor], tf.Tensor]] = {
    "huber": huber,
    "squared": lambda error: error * error,
}


class Sampled(NamedTuple):
    """What an objective may look at besides the action values.

    Attributes:
      action: [B] int32 the sampled actions.
      target: [B] TD targets y.
      td_loss: maps [B] TD errors to [B] losses.
      random: [K] uniform draws in [0, 1).
    """

    action: tf.Tensor
    target: tf.Tensor
    td_loss: Callable[[tf.Tensor], tf.Tensor]
    random: tf.Tensor


class Objective(NamedTuple):
    """An objective of the parameter network.

    Attributes:
      value: maps `Q(s, x(s))` [B, K] and the minibatch to J, a scalar.
      own_only: whether only the sampled action's own parameters are moved.
      sampled: whether it looks at the sampled action's value alone, and is given that, [B].
    """

    value: Callable[[tf.Tensor, Sampled], tf.Tensor]
    own_only: bool = False
    sampled: bool = False


def _weighted(weights: Callable[[tf.Tensor, Sampled], tf.Tensor]) -> Objective:
    """`mean_b sum_k w_k Q_k`."""

    def value(q: tf.Tensor, b: Sampled) -> tf.Tensor:
        return tf.reduce_mean(tf.reduce_sum(weights(q, b) * q, axis=-1))

    return Objective(value)


def _one_hot(q: tf.Tensor, b: Sampled) -> tf.Tensor:
    return tf.one_hot(b.action, q.shape[-1])


def _share(b: Sampled) -> tf.Tensor:
    """[B] the share of the minibatch whose action is that of the row."""
    same = tf.cast(b.action[:, None] == b.action, tf.float32)
    return tf.reduce_mean(same, axis=-1)


def _td(q: tf.Tensor, b: Sampled) -> tf.Tensor:
    """`-loss(y - Q_a)`: the TD loss itself, differentiated through the sampled action."""
    return -tf.reduce_mean(b.td_loss(b.target - q))


ObjectiveName = Literal[
    "sum", "average", "weighted", "random_weighted", "indexed", "weighted_indexed", "greedy", "td"
]
OBJECTIVES: dict[ObjectiveName, Objective] = {
    # Xiong et al. 2018, equation 11; the others are variants found in published code.
    "sum": _weighted(lambda q, _: tf.ones_like(q)),
    "average": _weighted(lambda q, _: tf.ones_like(q) / q.shape[-1]),
    # The share of each action in the minibatch.
    "weighted": _weighted(lambda q, b: tf.reduce_mean(_one_hot(q, b), axis=0)),
    # All draws may be 0; where there is one action alone that is not rare enough for a NaN.
    "random_weighted": _weighted(lambda _, b: tf.math.divide_no_nan(b.random, tf.norm(b.random))),
    "indexed": Objective(lambda q, _: tf.reduce_mean(q), sampled=True),
    # Of Bester's thesis (Multi-pass deep Q-networks, University of the Witwatersrand, 2019), whose
    # abstract names it, against the imbalance between actions. Its text was not at hand: this is
    # what the published MP-DQN code does with the flags that its README calls by that name.
    "weighted_indexed": Objective(lambda q, b: tf.reduce_mean(_share(b) * q), sampled=True),
    # The value of the greedy policy: of all that is proposed only the best is moved.
    "greedy": Objective(lambda q, _: tf.reduce_mean(tf.reduce_max(q, axis=-1))),
    "td": Objective(_td, own_only=True, sampled=True),
}
