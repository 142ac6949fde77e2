"""Gradient strategies: what is done to dJ/dx before it enters the parameter network."""

from typing import Annotated, Any, Union

from pydantic import BeforeValidator, Discriminator

from pamdp.gradients.base import Context, Strategy
from pamdp.gradients.chain import Chain
from pamdp.gradients.members import STRATEGIES, Member

__all__ = ["STRATEGIES", "AnyStrategy", "Chain", "Context", "Member", "Strategy"]


def _chained(value: Any) -> Any:
    """A list in the settings is a chain of its members."""
    return {"kind": "chain", "members": value} if isinstance(value, list) else value


AnyStrategy = Annotated[
    Union[(*STRATEGIES, Chain)],
    Discriminator("kind"),
    BeforeValidator(_chained, json_schema_input_type=Member | list[Member]),
]
