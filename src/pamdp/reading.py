"""A settings file as plain values: mappings, lists, texts, numbers, booleans and null.

YAML has more than that. It is looked at before any value is made of it, as what it describes may be
endless (an alias within what it stands for) or far longer than the file (aliases of aliases).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from pamdp.base.errors import SettingsError

NUM_VALUES = 100_000  # at most, aliases written out
DEPTH = 40  # at most, of mappings and lists
KEY_LENGTH = 200  # at most: keys are shown as they are
NUMBER_LENGTH = 1000  # at most, in digits

_TAG = "tag:yaml.org,2002:"
_PLAIN = {
    MappingNode: ("map",),
    SequenceNode: ("seq",),
    ScalarNode: ("str", "int", "float", "bool", "null", "merge"),
}
_GUESSED = {"timestamp": "a date", "value": "'='"}  # what text without quotes may be taken for


def read(path: Path) -> Any:
    """Reads a YAML 1.2 file.

    Raises:
      SettingsError: it cannot be read, or holds something else than plain values; one message that
        names the file and where in it.
    """
    yaml = YAML(typ="safe")
    try:
        node = yaml.compose(path)
        if node is None:
            return None
        _check(node)
        return yaml.constructor.construct_document(node)
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: expected a settings file in {Path.cwd()}, received none; `pamdp init` starts "
            "a study in a folder"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{path}: expected a settings file, received {error.strerror}"
        ) from None
    except _NotPlain as error:
        raise SettingsError(f"{path}: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: {_TOO_DEEP}") from None
    except YAMLError as error:
        raise SettingsError(f"{path}: expected valid YAML 1.2, received: {_first(error)}") from None
    except Exception as error:  # noqa: BLE001  what the library meets in `!!int x` or a 13th month
        raise SettingsError(
            f"{path}: expected valid YAML 1.2, received a value that cannot be read: {error}"
        ) from None


class _NotPlain(ValueError):
    """Says what was expected, and where in the file."""


_TOO_DEEP = f"expected at most {DEPTH} mappings and lists within each other, received more"


def _check(root: Any) -> None:
    """Raises `_NotPlain` if a node, or one below, is no plain value."""
    left, waiting = NUM_VALUES, [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        left -= 1
        if left < 0:
            raise _NotPlain(
                f"expected at most {NUM_VALUES:,} values, received more{_where(node)}; an alias (*)"
                " counts as all that it stands for"
            )
        if depth > DEPTH:
            raise _NotPlain(
                f"{_TOO_DEEP}{_where(node)}; an alias (*) within what it stands for never ends"
            )
        _check_kind(node)
        if isinstance(node, MappingNode):
            for key, _ in node.value:
                _check_key(key)
            members = [value for _, value in node.value]
        else:
            members = node.value if isinstance(node, SequenceNode) else []
        waiting += [(member, depth + 1) for member in reversed(members)]


def _check_kind(node: Any) -> None:
    """A tag tells what is made of a node, be it written (`!!set`) or guessed (2020-01-01)."""
    tag = str(node.tag)
    if tag not in [f"{_TAG}{kind}" for kind in _PLAIN[type(node)]]:
        name = tag.removeprefix(_TAG)
        shown = _GUESSED.get(name, f"!!{name}")
        hint = "; in quotes it would be a text" if name in _GUESSED else ""
        raise _NotPlain(
            "expected mappings, lists, texts, numbers, booleans and null, received "
            f"{shown}{_where(node)}{hint}"
        )
    if tag in (f"{_TAG}int", f"{_TAG}float") and len(node.value) > NUMBER_LENGTH:
        raise _NotPlain(
            f"expected a number of at most {NUMBER_LENGTH} digits, received one of "
            f"{len(node.value):,}{_where(node)}"
        )


def _check_key(node: Any) -> None:
    kinds = [f"{_TAG}{kind}" for kind in ("str", "int", "merge")]  # actions have numbers
    if not isinstance(node, ScalarNode) or node.tag not in kinds:
        shown = repr(node.value) if isinstance(node, ScalarNode) else "a list or a mapping"
        raise _NotPlain(f"expected a name or a number as key, received {shown[:80]}{_where(node)}")
    if len(node.value) > KEY_LENGTH or not node.value.isprintable():
        raise _NotPlain(
            f"expected a key of at most {KEY_LENGTH} characters that can be printed, received "
            f"{node.value[:40]!r}{_where(node)}"
        )


def _where(node: Any) -> str:
    return f" in line {node.start_mark.line + 1}"


def _first(error: YAMLError) -> str:
    """What is wrong, without the library's advice on how to allow it."""
    return str(error).split("\n\n")[0]
