"""Inverting gradients (Hausknecht & Stone 2016, arXiv 1511.04143, equation 11)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Strategy


class Inverting(Strategy):
    """The room that is left in a direction scales the gradient.

    The factor is not clamped. Outside the bounds it is negative and pulls `x` back, which is what
    the name says: the gradient is inverted there.
    """

    title: ClassVar[str] = "Inverting gradients"
    rule: ClassVar[str] = (
        "`g (high - x)/(high - low)` where `g > 0`, `g (x - low)/(high - low)` elsewhere."
    )
    reference: ClassVar[str] = "Hausknecht & Stone 2016, arXiv 1511.04143, equation 11"

    kind: Literal["inverting"] = "inverting"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Scales each component by the room that is left in the direction it points to."""
        x, low, high = context.parameters, context.low, context.high
        return ascent * tf.where(ascent > 0, high - x, x - low) / (high - low)
