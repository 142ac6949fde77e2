"""Nests of `Tuple` and `Dict` spaces, and the parts that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from pamdp.base.errors import SettingsError


class Part(NamedTuple):
    """A space in a nest of Tuples and Dicts that is neither itself.

    Attributes:
      keys: the indices and keys that lead to it.
      place: its number among all such parts.
      space: the space.
    """

    keys: tuple[Any, ...]
    place: int
    space: Any

    @property
    def name(self) -> str:
        """Its keys as settings write them, dotted."""
        return ".".join(map(str, self.keys))


def parts_of(space: gymnasium.Space) -> list[Part]:
    """The parts of a space in order."""
    return [Part(keys, place, found) for place, (keys, found) in enumerate(_found(space))]


def _found(space: gymnasium.Space, *keys: Any) -> Iterator[tuple[tuple, gymnasium.Space]]:
    if isinstance(space, spaces.Tuple | spaces.Dict):
        members = space.spaces
        for key, member in members.items() if isinstance(members, dict) else enumerate(members):
            yield from _found(member, *keys, key)
    else:
        yield keys, space


def check_names(parts: list[Part], setting: str) -> None:
    """Checks that settings can name the parts of a space, and nests of them.

    Raises:
      SettingsError: two have the same name, as `{"a.b": ...}` beside `{"a": {"b": ...}}`.
    """
    named: dict[str, tuple[Any, ...]] = {}
    for part in parts:
        for depth in range(1, len(part.keys) + 1):
            keys = part.keys[:depth]
            name = ".".join(map(str, keys))
            if named.setdefault(name, keys) != keys:
                raise SettingsError(
                    f"{setting}: expected keys that tell the parts of the space apart, received "
                    f"two parts with the name {name}; give one another key, in a wrapper"
                )


def nesting(space: gymnasium.Space) -> Callable[[Iterator[Any]], Any]:
    """What makes an element of a space, given those of its parts in order."""
    if isinstance(space, spaces.Tuple):
        members = [nesting(member) for member in space.spaces]
        return lambda values: tuple([member(values) for member in members])
    if isinstance(space, spaces.Dict):
        named = {key: nesting(member) for key, member in space.spaces.items()}
        return lambda values: {key: member(values) for key, member in named.items()}
    return next


def as_float32(values: Any) -> np.ndarray:
    """The numbers in a row; those beyond the range of float32 are infinite."""
    row = np.ravel(values)
    if row.dtype == np.float32:
        return row
    with np.errstate(over="ignore"):
        return row.astype(np.float32)


def has_range(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N] bool: whether there is something between the bounds, and it can be measured."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (low < high) & np.isfinite(high - low)
