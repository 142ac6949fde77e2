"""Blocks of params.yaml that extend others: what `extends: goal` leaves out is as `goal` says it.

YAML's own merge keys mean the same until DVC writes the file (`dvc exp run -S`): it copies out what
they stand for. A key that only this package reads is a value like others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pamdp.base.errors import nearest

KEY = "extends"
FAMILY = "environments"  # whose blocks may have it
ARGUMENTS = "arguments"  # of an environment of the user's: names in there are not ours


def resolved(values: Any) -> Any:
    """The values of a settings file with all that is inherited in its place.

    A mapping adds to the inherited one and takes precedence, key by key and level by level. One
    that says its `kind` is complete and takes the place of the inherited one, as any other value
    does. Arguments of a user's environment have names of their own: `kind` is one like others.

    Args:
      values: as they stand in the file.

    Raises:
      ValueError: a block extends itself, or what there is not.
    """
    blocks = values.get(FAMILY) if isinstance(values, dict) else None
    if not isinstance(blocks, dict):
        return values
    whole = {}
    for name in blocks:
        own, *ancestors = (blocks[each] for each in _lineage(blocks, name))
        for each in ancestors:
            own = _merged(each, own)
        if isinstance(own, dict):
            own = {key: value for key, value in own.items() if key != KEY}
        whole[name] = own
    return values | {FAMILY: whole}


def origins(values: Any) -> Callable[[str], str | None]:
    """What tells of a dotted path of `resolved(values)` which path it is inherited from, if any."""
    blocks = values.get(FAMILY) if isinstance(values, dict) else None
    blocks = blocks if isinstance(blocks, dict) else {}

    def origin(path: str) -> str | None:
        family, _, rest = path.partition(".")
        name = next((each for each in blocks if rest.startswith(f"{each}.")), None)
        if family != FAMILY or name is None:
            return None
        keys = rest.removeprefix(f"{name}.").split(".")
        for each in _lineage(blocks, name):
            if isinstance(blocks[each], dict) and _says(blocks[each], keys):
                return None if each == name else ".".join([FAMILY, str(each), *keys])
        return None

    return origin


def _lineage(blocks: Mapping[Any, Any], name: Any) -> list[Any]:
    """The names of a block and of all that it extends, the nearest first."""
    names = [name]
    while isinstance(block := blocks[names[-1]], dict) and KEY in block:
        where, parent = f"{FAMILY}.{names[-1]}.{KEY}", block[KEY]
        others = [each for each in blocks if each != names[-1]]
        if parent in names:
            chain = " extends ".join(map(str, [*names, parent]))
            raise ValueError(f"{where}: expected an end of what is extended, received {chain}")
        if parent not in others:
            known = ", ".join(map(str, others)) or "none, as there is no other"
            raise ValueError(
                f"{where}: expected one of {known}, received {parent!r}{nearest(parent, others)}"
            )
        names.append(parent)
    return names


def _merged(inherited: Any, own: Any, theirs: bool = False) -> Any:
    """One value within another; `theirs` are arguments of a user's, where `kind` says nothing."""
    if not (isinstance(inherited, dict) and isinstance(own, dict)):
        return own
    if "kind" in own and not theirs:
        return own
    both = {
        key: _merged(inherited[key], value, theirs or key == ARGUMENTS)
        for key, value in own.items()
        if key in inherited
    }
    return inherited | own | both


def _says(block: Any, keys: Sequence[str]) -> bool:
    """Whether the value at a path follows from this block, and not from what it extends."""
    theirs = False
    for key in keys:
        if not isinstance(block, dict):
            return True
        if key not in block:
            return "kind" in block and not theirs
        block, theirs = block[key], theirs or key == ARGUMENTS
    return True
