"""What is wrong with settings, in the words of their file: the path, what was expected, received.

Pydantic's own messages name Python's types and the members of unions that were tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from pamdp.base.component import LARGEST, SIZE
from pamdp.base.errors import nearest

MOST_LINES = 15  # of mistakes

_MAPPING = "keys with values"
_EXPECTED = {  # by pydantic's type of error
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "a text",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a name of lower-case letters, digits and _, a letter first",
    "literal_error": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
}
_MISSING = ("missing", "union_tag_not_found")


def explained(
    error: ValidationError, values: Any, origin: Callable[[str], str | None] = lambda _: None
) -> list[str]:
    """One line for each mistake, at most `MOST_LINES` and the number of the others.

    Args:
      error: what validation raised.
      values: what was validated, as it was read from the file.
      origin: tells of a path where in the file its value stands, if it stands at another.
    """
    found = [_line(detail, values).partition(": ") for detail in error.errors()]
    told, lines = {(path, said) for path, _, said in found}, []
    for path, _, said in found:
        place = origin(path)
        if (place, said) not in told:  # a mistake in what many inherit is one mistake
            lines.append(f"{path}: {said}" + (f" (inherited from {place})" if place else ""))
    others = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {others} more"] if others > 0 else [])]


def expected(detail: Mapping[str, Any]) -> str:
    """What one of the errors in a `ValidationError` says was expected."""
    context = detail.get("ctx", {})
    if LARGEST in (context.get("le"), -context.get("ge", 0)):
        return SIZE
    pattern = _EXPECTED.get(detail["type"])
    if context.get("field_type") == "Dictionary":
        pattern = _MAPPING
    if pattern is None:
        return detail["msg"].removeprefix("Input should be ")
    return pattern.format(**context)


def distinct_and_known(path: str, received: tuple, known: list) -> None:
    """Raises ValueError if a list names something twice, or something unknown."""
    for index, name in enumerate(received):
        if name in received[:index]:
            raise ValueError(f"{path}.{index}: expected each value once, received {name!r} again")
        if name not in known:
            raise ValueError(
                f"{path}.{index}: expected one of {', '.join(map(str, known))}, received "
                f"{name!r}{nearest(name, known)}"
            )


def _line(detail: Mapping[str, Any], values: Any) -> str:
    kind, context, location = detail["type"], detail.get("ctx", {}), detail["loc"]
    path, received = _located(location, values, kind)
    if kind == "unknown_key":
        key = context["key"]
        hint = nearest(key, context["known"].split(", "))
        return f"{_joined(path, key)}: unknown key; {detail['msg']}{hint}"
    if kind == "value_error":  # ours: it says what was received, and perhaps which key below this
        message = detail["msg"].removeprefix("Value error, ")
        return _joined(path, message) if _names_key(message) else f"{path}: {message}"
    if kind.startswith("union_tag"):
        path, received = _joined(path, "kind"), context.get("tag")
    if kind in _MISSING:
        return f"{path}: expected a value, received none"
    if location and location[-1] == "[key]":
        received = detail["input"]
    hint = nearest(received, re.findall(r"'(.*?)'", expected(detail)))
    return f"{path or 'the file'}: expected {expected(detail)}, received {_shown(received)}{hint}"


def _located(location: tuple, values: Any, kind: str) -> tuple[str, Any]:
    """The path of a key as the file spells it, and the value there.

    Pydantic's locations also name the members of unions that were tried; those are left out.
    """
    path = []
    for part in location:
        try:
            values = values[part] if isinstance(values, dict | list) else {}[part]
        except (KeyError, TypeError, IndexError):
            if not (kind == "missing" and part == location[-1]):
                continue
        path.append(str(part))
    return ".".join(path), values


def _names_key(message: str) -> bool:
    return message.split(" ")[0].endswith(":")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
