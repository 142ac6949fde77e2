"""Settings of a user's environment that are kept as text, in one spelling of JSON.

So their floats are structure: bounds may follow from them, and those are constants of compiled
programs. JSON keeps every float64 as it is.
"""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

RESERVED = ("disable_env_checker", "id", "max_episode_steps", "render_mode")
NAMES = {"type": "array", "items": {"type": ["string", "integer"]}}


def _read(value: Any) -> Any:
    """The value, be it as it is or the text made of it."""
    return json.loads(value) if isinstance(value, str) else value


def _arguments(value: Any) -> str:
    try:
        values = _read(value)
        text = json.dumps(values, sort_keys=True)
        faithful = isinstance(values, dict) and json.loads(text) == values
    except (TypeError, ValueError):
        faithful = False
    if not faithful:
        raise ValueError(
            "expected names with numbers, texts, booleans, null, or lists and mappings of them, "
            f"received {value!r}"
        )
    if taken := [name for name in RESERVED if name in values]:
        raise ValueError(f"expected what the environment's constructor takes, received {taken[0]}")
    return text


def _name(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(
            "expected a key or an index, or several with dots between them in quotes, such as "
            f'"1.0", received {value!r}'
        )
    return str(value)


def _drives(value: Any) -> str | None:
    if value is None or value == "all":
        return value
    try:
        listed = {str(number): names for number, names in _read(value).items()}
    except (AttributeError, json.JSONDecodeError):
        listed = {"": value}
    numbered = all(re.fullmatch(r"-?\d+", number) for number in listed)
    if numbered and all(isinstance(names, list | tuple) for names in listed.values()):
        named = {int(number): [*map(_name, names)] for number, names in listed.items()}
        return json.dumps(named, sort_keys=True)
    raise ValueError(
        "expected all, or for each action a list of the boxes that it drives, such as "
        f"{{0: [hop], 1: [run]}}, received {value!r}"
    )


def _seen(value: Any) -> str | None:
    if value is None:
        return None
    try:
        ends = {name: [*map(_finite, row)] for name, row in _read(value).items()}
        low, high = ends.pop("low"), ends.pop("high")
        if not ends and all(a <= b for a, b in zip(low, high, strict=True)):
            return json.dumps({"high": high, "low": low})
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise ValueError(
        "expected low and high with a finite number for each feature, such as {low: [0, -1], high: "
        f"[20, 1]}}, received {value!r}"
    )


def _finite(value: Any) -> float:
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise ValueError
    return float(value)


Arguments = Annotated[str, BeforeValidator(_arguments), WithJsonSchema({"type": "object"})]
PartName = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": ["string", "integer"]})]
Drives = Annotated[
    str | None,
    BeforeValidator(_drives),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "all"},
                {"type": "object", "additionalProperties": NAMES},
                {"type": "null"},
            ]
        }
    ),
]
_ROW = {"type": "array", "items": {"type": "number"}}
Ranges = Annotated[
    str | None,
    BeforeValidator(_seen),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"low": _ROW, "high": _ROW},
                    "required": ["low", "high"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        }
    ),
]
