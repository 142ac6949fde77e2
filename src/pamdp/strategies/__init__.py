"""Gradient strategies: what is done to dJ/dx before it enters the parameter network.

Each works in anybody's own training code, on plain tensors. TensorFlow is loaded at its first use:

>>> from pamdp.strategies import Context, Inverting
>>> ascent = Inverting().transform(ascent, Context(x, low, high))
"""

from typing import Annotated, Any

from pydantic import BeforeValidator

from pamdp.base.component import union_of
from pamdp.base.strategy import Context, Strategy
from pamdp.strategies.chain import Chain
from pamdp.strategies.inverting import Inverting
from pamdp.strategies.members import MEMBERS, Member
from pamdp.strategies.plain import Plain
from pamdp.strategies.pseudo_inverse import PseudoInverse
from pamdp.strategies.reversal import Reversal
from pamdp.strategies.selective import Selective
from pamdp.strategies.squashing import Squashing
from pamdp.strategies.zeroing import Zeroing

__all__ = [
    "STRATEGIES",
    "AnyStrategy",
    "Chain",
    "Context",
    "Inverting",
    "Plain",
    "PseudoInverse",
    "Reversal",
    "Selective",
    "Squashing",
    "Zeroing",
]

STRATEGIES: dict[str, type[Strategy]] = {**MEMBERS, "chain": Chain}


def _chained(value: Any) -> Any:
    """A list in the settings is a chain of its members."""
    return {"kind": "chain", "members": value} if isinstance(value, list) else value


AnyStrategy = Annotated[
    union_of(STRATEGIES),
    BeforeValidator(_chained, json_schema_input_type=Member | list[Member]),
]
