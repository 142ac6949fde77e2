"""Zeroing gradients (Hausknecht & Stone 2016, arXiv 1511.04143, section 5)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Strategy


class Zeroing(Strategy):
    """Parameters on or outside their bounds get no gradient."""

    title: ClassVar[str] = "Zeroing gradients"
    rule: ClassVar[str] = "`g` where `low < x < high`, else 0."
    reference: ClassVar[str] = "Hausknecht & Stone 2016, arXiv 1511.04143, section 5"

    kind: Literal["zeroing"] = "zeroing"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Drops the gradient of every parameter on or outside its bounds."""
        x = context.parameters
        return tf.where((context.low < x) & (x < context.high), ascent, tf.zeros_like(ascent))
