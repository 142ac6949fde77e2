"""Blocks of params.yaml that extend others: what `extends: goal` leaves out is as `goal` says it.

YAML's own merge keys mean the same until DVC writes the file (`dvc exp run -S`): it copies out what
they stand for. A key that only this package reads is a value like others. What comes with this
package can be extended by its path, `extends: pamdp.environments.goal`, in any folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pamdp.base.errors import nearest

KEY = "extends"
FAMILY = "environments"  # whose blocks may have it
SINGLE = "tuning"  # a block that may have it, too
PACKAGE = "pamdp"  # what paths in the settings file that comes with this package begin with
ARGUMENTS = "arguments"  # of an environment of the user's: names in there are not ours

Blocks = Mapping[str, Any]  # by their paths


def resolved(values: Any, shipped: Callable[[], Any] = dict) -> Any:
    """The values of a settings file with all that is inherited in its place.

    A mapping adds to the inherited one and takes precedence, key by key and level by level. One
    that says its `kind` is complete and takes the place of the inherited one, as any other value
    does. Arguments of a user's environment have names of their own: `kind` is one like others.

    Args:
      values: as they stand in the file.
      shipped: gives those of the file that comes with this package.

    Raises:
      ValueError: a block extends itself, or what there is not.
    """
    blocks = _blocks(values, shipped)

    def whole(path: str) -> Any:
        own, *ancestors = (blocks[each] for each in _lineage(blocks, path))
        for each in ancestors:
            own = merged(each, own)
        if isinstance(own, dict):
            own = {key: value for key, value in own.items() if key != KEY}
        return own

    found = dict(values) if blocks else values
    if SINGLE in blocks:
        found[SINGLE] = whole(SINGLE)
    if blocks and isinstance(values.get(FAMILY), dict):
        found[FAMILY] = {name: whole(f"{FAMILY}.{name}") for name in values[FAMILY]}
    return found


def origins(values: Any, shipped: Callable[[], Any] = dict) -> Callable[[str], str | None]:
    """What tells of a dotted path of `resolved(values)` which path it is inherited from, if any."""
    blocks = _blocks(values, shipped)

    def origin(path: str) -> str | None:
        own = next((each for each in blocks if path.startswith(f"{each}.")), None)
        if own is None:
            return None
        keys = path.removeprefix(f"{own}.").split(".")
        for each in _lineage(blocks, own):
            if isinstance(blocks[each], dict) and says(blocks[each], keys):
                return None if each == own else ".".join([each, *keys])
        return None

    return origin


def _blocks(values: Any, shipped: Callable[[], Any]) -> Blocks:
    """The blocks of a file that may extend others, and those that come with this package."""
    own = _own(values)
    parents = [block.get(KEY) for block in own.values() if isinstance(block, dict)]
    if any(str(parent).startswith(f"{PACKAGE}.") for parent in parents):
        return own | {f"{PACKAGE}.{path}": block for path, block in _own(shipped()).items()}
    return own


def _own(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        return {}
    family = values.get(FAMILY)
    blocks = family.items() if isinstance(family, dict) else ()
    single = {SINGLE: values[SINGLE]} if SINGLE in values else {}
    return {f"{FAMILY}.{name}": block for name, block in blocks} | single


def _lineage(blocks: Blocks, path: str) -> list[str]:
    """The paths of a block and of all that it extends, the nearest first."""
    paths = [path]
    while isinstance(block := blocks[paths[-1]], dict) and KEY in block:
        where, name, known = f"{paths[-1]}.{KEY}", block[KEY], _parents(blocks, paths[-1])
        parent = known.get(name) if isinstance(name, str) else None
        if parent in paths:
            chain = " extends ".join(each.removeprefix(f"{FAMILY}.") for each in [*paths, parent])
            raise ValueError(f"{where}: expected an end of what is extended, received {chain}")
        if parent is None:
            others = [each for each in known if known[each] != paths[-1]]
            told = ", ".join(others) or "none, as there is no other"
            raise ValueError(
                f"{where}: expected one of {told}, received {name!r}{nearest(name, others)}"
            )
        paths.append(parent)
    return paths


def _parents(blocks: Blocks, path: str) -> dict[str, str]:
    """The paths of what may stand for a block's `extends`, by the names that they have there."""
    shipped = f"{PACKAGE}." if path.startswith(f"{PACKAGE}.") else ""
    if path == f"{shipped}{SINGLE}":
        return {f"{PACKAGE}.{SINGLE}": f"{PACKAGE}.{SINGLE}"}
    family = f"{shipped}{FAMILY}."
    siblings = {each.removeprefix(family): each for each in blocks if each.startswith(family)}
    return siblings | {each: each for each in blocks if each.startswith(f"{PACKAGE}.{FAMILY}.")}


def merged(inherited: Any, own: Any, theirs: bool = False) -> Any:
    """One value within another; `theirs` are arguments of a user's, where `kind` says nothing."""
    if not (isinstance(inherited, dict) and isinstance(own, dict)):
        return own
    if "kind" in own and not theirs:
        return own
    both = {
        key: merged(inherited[key], value, theirs or key == ARGUMENTS)
        for key, value in own.items()
        if key in inherited
    }
    return inherited | own | both


def says(block: Any, keys: Sequence[str]) -> bool:
    """Whether the value at a path follows from this block, and not from what it extends."""
    theirs = False
    for key in keys:
        if not isinstance(block, dict):
            return True
        if key not in block:
            return "kind" in block and not theirs
        block, theirs = block[key], theirs or key == ARGUMENTS
    return True
