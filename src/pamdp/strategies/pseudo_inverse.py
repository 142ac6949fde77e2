"""Pseudo-inverse scaling: the gradient times the parameter's own value and its error's sign."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.component import Finite
from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Scope, Strategy, scoped


class PseudoInverse(Strategy):
    """A parameter moves faster the higher it is, and by the sign of the TD error.

    With `basis: raw`, `u` is the parameter itself; where that is negative the gradient's sign is
    flipped, which pushes it the wrong way.
    """

    title: ClassVar[str] = "Pseudo-inverse scaling"
    rule: ClassVar[str] = (
        "`u (1 + factor sign(delta)) g`, "
        "`u` the parameter from its lower bound in units of its range."
    )
    reference: ClassVar[str] = "proposed in answer to the question that this project began with"

    kind: Literal["pseudo_inverse"] = "pseudo_inverse"
    factor: Finite = 0.1
    basis: Literal["unit", "raw"] = "unit"
    scope: Scope = "taken"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Scales by position within the range and by the sign of the TD error."""
        x, low, high = context.parameters, context.low, context.high
        position = x if self.basis == "raw" else (x - low) / (high - low)
        factor = position * (1 + self.factor * tf.sign(context.error))
        return ascent * scoped(self.scope, factor, context)
