"""Sign-based reversal: the gradient of a transition that fell short is turned round."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.component import Finite
from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Scope, Strategy, scoped


class Reversal(Strategy):
    """A transition that brought less than expected pushes its parameters away."""

    title: ClassVar[str] = "Sign-based reversal"
    rule: ClassVar[str] = "`-factor g` where the TD error is negative, else `g`."
    reference: ClassVar[str] = "proposed in answer to the question that this project began with"

    kind: Literal["reversal"] = "reversal"
    factor: Finite = 0.1
    scope: Scope = "taken"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Turns the sample's direction round if it was worse than expected."""
        factor = tf.where(
            context.error < 0, -self.factor * tf.ones_like(ascent), tf.ones_like(ascent)
        )
        return ascent * scoped(self.scope, factor, context)
