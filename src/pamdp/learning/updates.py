"""How networks learn: Adam (Kingma & Ba 2015, arXiv 1412.6980) and Polyak averaging, as functions.

Keras' optimisers cannot run inside a compiled loop: their `stateless_apply` refuses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pamdp.base.lazy import tf
from pamdp.base.networks import Network

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Moments(NamedTuple):
    """Running moments of the gradient, nests like the weights; `count` is the number of updates."""

    first: Any
    second: Any
    count: tf.Tensor


def moments(weights: Any) -> Moments:
    """Moments before the first update."""
    zeros = tf.nest.map_structure(tf.zeros_like, weights)
    return Moments(zeros, zeros, tf.constant(0))


def descend(
    weights: Any, gradients: Any, state: Moments, learning_rate: tf.Tensor
) -> tuple[Any, Moments]:
    """One step of Adam against the gradient."""
    count = state.count + 1
    power = tf.cast(count, tf.float32)
    step_size = learning_rate * tf.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)

    def update(weight: tf.Tensor, g: tf.Tensor, m: tf.Tensor, v: tf.Tensor) -> tuple:
        m = BETA_1 * m + (1 - BETA_1) * g
        v = BETA_2 * v + (1 - BETA_2) * g * g
        return weight - step_size * m / (tf.sqrt(v) + EPSILON), m, v

    leaves = (tf.nest.flatten(nest) for nest in (weights, gradients, state.first, state.second))
    columns = zip(*[update(*row) for row in zip(*leaves, strict=True)], strict=True)
    new, first, second = (tf.nest.pack_sequence_as(weights, column) for column in columns)
    return new, Moments(first, second, count)


def clipped(gradients: Any, norm: tf.Tensor | None) -> Any:
    """Gradients, scaled down so that their global norm is at most `norm`; None leaves them."""
    if norm is None:
        return gradients
    total = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in tf.nest.flatten(gradients)]))
    return tf.nest.map_structure(lambda g: g * (norm / tf.maximum(total, norm)), gradients)


def polyak(target: Any, weights: Any, tau: tf.Tensor) -> Any:
    """Moves the target network by the share `tau` towards the weights."""
    return tf.nest.map_structure(lambda old, new: old + tau * (new - old), target, weights)


class Trained(NamedTuple):
    """A network that learns: its weights, those of its target network, and Adam's moments."""

    online: Any
    target: Any
    moments: Moments

    @classmethod
    def of(cls, weights: Any) -> Trained:
        """Before the first update, when the target network is the same."""
        return cls(weights, weights, moments(weights))

    def descended(self, gradient: Any, network: Network, norm: tf.Tensor | None) -> Trained:
        """After one step against a gradient, clipped to a global norm; the target follows."""
        gradient = clipped(gradient, norm)
        online, new = descend(self.online, gradient, self.moments, network.learning_rate)
        return Trained(online, polyak(self.target, online, network.tau), new)


MaybeTrained = Trained | tuple[()]
