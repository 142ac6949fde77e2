"""Sign-based reversal: the gradient of a transition that fell short is turned round."""

from __future__ import annotations

from typing import Literal

from pamdp.gradients.base import Context, Scope, Strategy, scoped
from pamdp.lazy import tf
from pamdp.structure import Finite


class Reversal(Strategy):
    """`-factor g` where the TD error is negative, else `g`."""

    kind: Literal["reversal"]
    factor: Finite = 0.1
    scope: Scope = "taken"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Turns the sample's direction round if it was worse than expected."""
        error = context.td_error[:, None]
        factor = tf.where(error < 0, -self.factor * tf.ones_like(ascent), tf.ones_like(ascent))
        return ascent * scoped(self.scope, factor, context)
