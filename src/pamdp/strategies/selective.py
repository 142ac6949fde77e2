"""Selective clipping: transitions with a strongly negative TD error do not move parameters."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.component import Finite
from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Scope, Strategy, scoped


class Selective(Strategy):
    """A transition that brought far less than expected moves no parameters."""

    title: ClassVar[str] = "Selective clipping"
    rule: ClassVar[str] = "`g` where the TD error exceeds `threshold`, else 0."
    reference: ClassVar[str] = "proposed in answer to the question that this project began with"

    kind: Literal["selective"] = "selective"
    threshold: Finite = -1.0
    scope: Scope = "taken"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Drops the sample's direction if its TD error is at or below the threshold."""
        factor = tf.where(
            context.error > self.threshold, tf.ones_like(ascent), tf.zeros_like(ascent)
        )
        return ascent * scoped(self.scope, factor, context)
