"""Selective clipping: transitions with a strongly negative TD error do not move parameters."""

from __future__ import annotations

from typing import Literal

from pamdp.gradients.base import Context, Scope, Strategy, scoped
from pamdp.lazy import tf
from pamdp.structure import Finite


class Selective(Strategy):
    """`g` where the TD error exceeds `threshold`, else 0."""

    kind: Literal["selective"]
    threshold: Finite = -1.0
    scope: Scope = "taken"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Drops the sample's direction if its TD error is at or below the threshold."""
        error = context.td_error[:, None]
        factor = tf.where(error > self.threshold, tf.ones_like(ascent), tf.zeros_like(ascent))
        return ascent * scoped(self.scope, factor, context)
