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

from pamdp.base.errors import nearest
from pamdp.bridge.named import OWN, WRAPPERS

RESERVED = ("disable_env_checker", "id", "max_episode_steps", "render_mode")
_TEXT = {"type": "string"}
NAMES = {"type": "array", "items": {"type": ["string", "integer"]}}


def _read(value: Any) -> Any:
    """The value, be it as it is or the text made of it."""
    return json.loads(value) if isinstance(value, str) else value


def _faithful(values: Any) -> dict[str, Any]:
    """A mapping that JSON keeps as it is."""
    try:
        faithful = isinstance(values, dict) and json.loads(json.dumps(values)) == values
    except (TypeError, ValueError):
        faithful = False
    if not faithful:
        raise ValueError(
            "expected names with numbers, texts, booleans, null, or lists and mappings of them, "
            f"received {values!r}"
        )
    return values


def _arguments(value: Any) -> str:
    try:
        values = _read(value)
    except json.JSONDecodeError:
        values = value
    text = json.dumps(_faithful(values), sort_keys=True)
    if taken := [name for name in RESERVED if name in values]:
        raise ValueError(f"expected what the environment's constructor takes, received {taken[0]}")
    return text


def _wrappers(value: Any) -> str:
    listed = value
    if isinstance(value, str):
        try:
            listed = json.loads(value)
        except json.JSONDecodeError:
            listed = None
    if not isinstance(listed, list | tuple):
        raise ValueError(
            "expected a list of wrappers, the innermost first, such as [{name: TimeLimit, "
            f"max_episode_steps: 100}}], received {value!r}"
        )
    return json.dumps([*map(_wrapper, listed)], sort_keys=True)


def _wrapper(value: Any) -> dict[str, Any]:
    """Its name and its arguments, in one mapping."""
    values = {"name": value} if isinstance(value, str) else value
    name = values.get("name") if isinstance(values, dict) else None
    if not isinstance(name, str):
        raise ValueError(
            "expected a wrapper's name, or a mapping of its name and its arguments, such as "
            f"{{name: TimeLimit, max_episode_steps: 100}}, received {value!r}"
        )
    if name not in WRAPPERS and not OWN.fullmatch(name):
        raise ValueError(
            "expected the name of a wrapper of Gymnasium, or module:name of your own, received "
            f"{name}{nearest(name, WRAPPERS)}"
        )
    arguments = {key: given for key, given in values.items() if key != "name"}
    return {"name": name, **_faithful(arguments)}


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
Wrappers = Annotated[
    str,
    BeforeValidator(_wrappers),
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "object", "required": ["name"], "properties": {"name": _TEXT}},
                ]
            },
        }
    ),
]
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
