"""Zeroing gradients (Hausknecht & Stone 2016, arXiv 1511.04143, section 5)."""

from __future__ import annotations

from typing import Literal

from pamdp.gradients.base import Context, Strategy
from pamdp.lazy import tf


class Zeroing(Strategy):
    """`g` where `low < x < high`, else 0."""

    kind: Literal["zeroing"]

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Drops the gradient of every parameter on or outside its bounds."""
        x = context.parameters
        return tf.where((context.low < x) & (x < context.high), ascent, tf.zeros_like(ascent))
