"""Gradient strategies: what is done to dJ/dx before it enters the parameter network."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from pamdp.base.component import union_of
from pamdp.base.strategy import Strategy
from pamdp.strategies.chain import Chain
from pamdp.strategies.members import MEMBERS, Member

__all__ = ["STRATEGIES", "AnyStrategy", "Chain"]

STRATEGIES: dict[str, type[Strategy]] = {**MEMBERS, "chain": Chain}


def _chained(value: Any) -> Any:
    """A list in the settings is a chain of its members."""
    return {"kind": "chain", "members": value} if isinstance(value, list) else value


AnyStrategy = Annotated[
    union_of(STRATEGIES),
    BeforeValidator(_chained, json_schema_input_type=Member | list[Member]),
]
