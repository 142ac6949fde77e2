"""Squashing gradients (Hausknecht & Stone 2016, arXiv 1511.04143, section 5)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.lazy import tf
from pamdp.base.strategy import Strategy


class Squashing(Strategy):
    """Parameters never leave their bounds: the forward pass keeps them inside."""

    title: ClassVar[str] = "Squashing gradients"
    rule: ClassVar[str] = (
        "`tanh`, rescaled to the bounds, in the forward pass; `g` backwards through it."
    )
    reference: ClassVar[str] = "Hausknecht & Stone 2016, arXiv 1511.04143, section 5"

    kind: Literal["squashing"] = "squashing"

    def bound(self, raw: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """`low + (high - low) (tanh(u) + 1) / 2`, with `u` the raw output in units of [-1, 1]."""
        unit = 2 * (raw - low) / (high - low) - 1
        return low + (high - low) * 0.5 * (tf.tanh(unit) + 1)

    def unbound(self, parameters: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """Inverse of `bound`; a bound itself, which no finite output reaches, is pulled inside."""
        unit = tf.clip_by_value(2 * (parameters - low) / (high - low) - 1, -0.999, 0.999)
        return low + (high - low) * 0.5 * (tf.atanh(unit) + 1)

    @property
    def forward(self) -> Strategy:
        """Itself."""
        return self
