"""Inverting gradients (Hausknecht & Stone 2016, arXiv 1511.04143, equation 11)."""

from __future__ import annotations

from typing import Literal

from pamdp.gradients.base import Context, Strategy
from pamdp.lazy import tf


class Inverting(Strategy):
    """`g (high - x)/(high - low)` where `g > 0`, `g (x - low)/(high - low)` elsewhere.

    The factor is not clamped. Outside the bounds it is negative and pulls `x` back, which is what
    the name says: the gradient is inverted there.
    """

    kind: Literal["inverting"]

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Scales each component by the room that is left in the direction it points to."""
        x, low, high = context.parameters, context.low, context.high
        return ascent * tf.where(ascent > 0, high - x, x - low) / (high - low)
