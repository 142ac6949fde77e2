"""How networks learn: Adam (Kingma & Ba 2015, arXiv 1412.6980) and Polyak averaging, as functions.

Keras' optimisers cannot run inside a compiled loop: their `stateless_apply` refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Rows:
    """The gradient of a table of which some rows were gathered; that of its other rows is 0.

    A dense one would be as large as the table, and be written and read several times. Adam moves
    all rows even so, those without a gradient by their moments.

    Attributes:
      indices: [N] int32, the rows; one may be there more than once.
      sums: [N, ...], the sum of a row's gradients at one of its places, 0 at the others.
    """

    indices: tf.Tensor
    sums: tf.Tensor

    @classmethod
    def of(cls, slices: tf.IndexedSlices, number: int) -> Rows:
        """Of what a tape gives for a table of so many rows."""
        indices = tf.cast(slices.indices, tf.int32)
        count = indices.shape[0]
        # Any place of a row does, as long as it is the same for all of them.
        last = tf.tensor_scatter_nd_update(
            tf.zeros([number], tf.int32), indices[:, None], tf.range(count)
        )
        places = tf.gather(last, indices)
        return cls(indices, tf.math.unsorted_segment_sum(slices.values, places, count))


def by_rows(gradient: Any, weights: Any) -> Any:
    """A gradient with `Rows` for tables of which few rows were gathered, and tensors elsewhere."""

    def part(g: Any, weight: tf.Tensor) -> Any:
        if isinstance(g, tf.IndexedSlices) and g.values.shape[0] < weight.shape[0]:
            return Rows.of(g, weight.shape[0])
        return tf.convert_to_tensor(g)

    return tf.nest.map_structure(part, gradient, weights)


def descend(
    weights: Any, gradients: Any, state: Moments, learning_rate: tf.Tensor
) -> tuple[Any, Moments]:
    """One step of Adam against the gradient."""
    count = state.count + 1
    power = tf.cast(count, tf.float32)
    step_size = learning_rate * tf.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)

    def update(weight: tf.Tensor, g: Any, m: tf.Tensor, v: tf.Tensor) -> tuple:
        m = _plus(BETA_1 * m, g, lambda g: (1 - BETA_1) * g)
        v = _plus(BETA_2 * v, g, lambda g: (1 - BETA_2) * g * g)
        return weight - step_size * m / (tf.sqrt(v) + EPSILON), m, v

    leaves = (tf.nest.flatten(nest) for nest in (weights, gradients, state.first, state.second))
    columns = zip(*[update(*row) for row in zip(*leaves, strict=True)], strict=True)
    new, first, second = (tf.nest.pack_sequence_as(weights, column) for column in columns)
    return new, Moments(first, second, count)


def _plus(table: tf.Tensor, gradient: Any, term: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """A table plus `term(gradient)`, which is 0 where the gradient is."""
    if isinstance(gradient, Rows):
        rows = gradient.indices[:, None]
        return tf.tensor_scatter_nd_add(table, rows, term(gradient.sums))
    return table + term(gradient)


def clipped(gradients: Any, norm: tf.Tensor | None) -> Any:
    """Gradients, scaled down so that their global norm is at most `norm`; None leaves them."""
    if norm is None:
        return gradients
    parts = [g.sums if isinstance(g, Rows) else g for g in tf.nest.flatten(gradients)]
    total = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in parts]))
    factor = norm / tf.maximum(total, norm)
    return tf.nest.map_structure(
        lambda g: replace(g, sums=g.sums * factor) if isinstance(g, Rows) else g * factor, gradients
    )


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
