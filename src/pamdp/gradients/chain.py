"""Chains: several strategies, applied left to right."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pamdp.gradients.base import Context, Strategy
from pamdp.gradients.members import Member
from pamdp.lazy import tf
from pamdp.structure import Sequence


class Chain(Strategy):
    """Strategies applied left to right; at most one of them bounds the forward pass."""

    kind: Literal["chain"] = "chain"
    members: Annotated[Sequence[Member], Field(min_length=2)]  # pyright: ignore[reportInvalidTypeForm]

    @model_validator(mode="after")
    def _one_forward_bound(self) -> Chain:
        bounding = [member.kind for member in self.members if member.bounds_forward]
        if len(bounding) > 1:
            raise ValueError(
                f"at most one member of a chain may bound the forward pass, received "
                f"{' and '.join(bounding)}; remove one of them"
            )
        return self

    def bound(self, raw: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """The bound of the one member that has one."""
        for member in self.members:
            raw = member.bound(raw, low, high)
        return raw

    def unbound(self, parameters: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """Inverse of `bound`."""
        for member in reversed(self.members):
            parameters = member.unbound(parameters, low, high)
        return parameters

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Each member's transformation in turn."""
        for member in self.members:
            ascent = member.transform(ascent, context)
        return ascent
