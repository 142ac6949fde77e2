"""Chains: several strategies, applied left to right."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pamdp.base.component import ListOf
from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Strategy
from pamdp.strategies.members import Member


class Chain(Strategy):
    """A list of strategies in params.yaml; at most one of them bounds the forward pass."""

    title: ClassVar[str] = "Chain"
    rule: ClassVar[str] = "Several strategies, one after another."
    reference: ClassVar[str] = "of this project"

    kind: Literal["chain"] = "chain"
    members: Annotated[ListOf[Member], Field(min_length=2, max_length=16)]  # pyright: ignore[reportInvalidTypeForm]

    @model_validator(mode="after")
    def _one_forward_bound(self) -> Chain:
        bounding = [member.kind for member in self.members if member.forward is member]
        if len(bounding) > 1:
            raise ValueError(
                f"at most one member of a chain may bound the forward pass, received "
                f"{' and '.join(bounding)}; remove one of them"
            )
        return self

    def bound(self, raw: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """The bound of the one member that has one."""
        return self.forward.bound(raw, low, high)

    def unbound(self, parameters: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """Inverse of `bound`."""
        return self.forward.unbound(parameters, low, high)

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Each member's transformation in turn."""
        for member in self.members:
            ascent = member.transform(ascent, context)
        return ascent

    @property
    def forward(self) -> Strategy:
        """The one member that bounds the forward pass, if there is one."""
        bounding = [member for member in self.members if member.forward is member]
        return bounding[0] if bounding else super().forward
