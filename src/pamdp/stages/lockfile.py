"""DVC's files that it writes in place: what is left of them if it is killed meanwhile is mended.

`dvc.lock` is rewritten after each stage, and so is `.dvc/tmp/rwlock`, which tells which process is
at what. A half of the one stops DVC, or has it forget results; a half of the other stops it.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import replacing

PATIENCE = 2.0  # seconds that DVC may take to write a file


@contextmanager
def guarded(checkout: Checkout, tell: Callable[[str], object]) -> Iterator[None]:
    """Mends the files, and keeps what is needed to mend them after what is done in this context.

    Args:
      checkout: whose files; nothing else may run DVC in it.
      tell: is told what was mended.

    Raises:
      PamdpError: dvc.lock is damaged, and there is nothing to mend it with.
    """
    mend(checkout, tell)
    keep(checkout)
    try:
        yield
    finally:
        # Kept only if something is lost: else dvc.lock is right, whatever others do with it.
        if not _lost(_text(checkout.lock), _text(checkout.kept_lock)):
            checkout.kept_lock.unlink(missing_ok=True)


def keep(checkout: Checkout) -> None:
    """Keeps a copy of dvc.lock, if it is whole."""
    text = _text(checkout.lock)
    if _is_whole(text):
        _write(checkout.kept_lock, text)


def mend(checkout: Checkout, tell: Callable[[str], object]) -> None:
    """Gives back what an interruption has taken from DVC's files; arguments as of `guarded`."""
    _mend_rwlock(checkout.root / ".dvc" / "tmp" / "rwlock", tell)
    kept, text = _text(checkout.kept_lock), _text(checkout.lock)
    if checkout.lock.exists() and not _is_whole(text):
        time.sleep(PATIENCE)  # a DVC that somebody runs by hand may be writing it just now
        text = _text(checkout.lock)
    if lost := _lost(text, kept):
        names = {_name(entry) for entry in lost}
        head, entries = _entries(text) if _is_whole(text) else (_entries(kept)[0], [])
        entries = [entry for entry in entries if _name(entry) not in names]
        _write(checkout.lock, "".join([head, *entries, *lost]))
        tell("dvc.lock: an interrupted run has left a part of it; the rest is back")
    elif checkout.lock.exists() and not _is_whole(text):
        committed = _committed(checkout)
        if not _is_whole(committed):
            raise PamdpError(
                f"{checkout.lock}: expected what DVC has written, received half of it or something "
                "else; move it away, and all stages are looked at anew"
            )
        _write(checkout.lock, committed)
        tell("dvc.lock: it was damaged; the one of the last commit is back")


def _entries(text: str) -> tuple[str, list[str]]:
    """What comes before the first entry of a stage, and the entries."""
    head, *entries = re.split(r"(?m)^(?=  \S.*:$)", text)
    return head, entries


def _lost(text: str, kept: str) -> list[str]:
    """The entries of the copy, if there is one, that the lock file has no more, or has in part."""
    found = _entries(text)[1] if _is_whole(text) else []
    names = {_name(entry) for entry in found}
    last = found[-1] if found else ""  # the only one that may have been cut

    def is_lost(entry: str) -> bool:
        if _name(entry) not in names:
            return True
        return bool(last) and _name(entry) == _name(last) and not _parts(entry) <= _parts(last)

    return [entry for entry in _entries(kept)[1] if is_lost(entry)]


def _parts(entry: str) -> set[tuple[str, ...]]:
    """What an entry consists of, whatever its values: its keys, and those of its outputs."""
    content = next(iter(YAML(typ="safe").load(entry).values())) or {}
    outputs = {(out["path"], key) for out in content.get("outs") or () for key in out}
    return {(key,) for key in content} | outputs


def _name(entry: str) -> str:
    return entry.splitlines()[0].strip(" :'\"")


def _is_whole(text: str) -> bool:
    """Whether it is a lock file; what is missing at its end, it does not tell."""
    try:
        content = YAML(typ="safe").load(text)
    except YAMLError:
        return False
    return isinstance(content, dict) and "schema" in content and text.endswith("\n")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _write(path: Path, text: str) -> None:
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def _committed(checkout: Checkout) -> str:
    """The lock file of the last commit; empty if there is none."""
    command = ["git", "show", "HEAD:./dvc.lock"]
    done = subprocess.run(command, cwd=checkout.root, capture_output=True, text=True)
    return done.stdout


def _living(content: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What processes that live are at.

    DVC drops what a killed one has left, too, but not as long as the system still lists that one.
    """
    reading = {
        path: [each for each in entries if _is_alive(each["pid"])]
        for path, entries in content.get("read", {}).items()
    }
    writing = content.get("write", {}).items()
    return {
        "read": {path: entries for path, entries in reading.items() if entries},
        "write": {path: each for path, each in writing if _is_alive(each["pid"])},
    }


def _is_alive(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _mend_rwlock(path: Path, tell: Callable[[str], object]) -> None:
    for last in (False, True):
        try:
            content = json.loads(_text(path) or "no JSON")
            if (living := _living(content)) != content:
                _write(path, json.dumps(living))
            return
        except (ValueError, AttributeError, KeyError, TypeError):  # nor what DVC writes
            if not path.is_file():
                return
        if last:
            path.unlink()
            tell(f"{path.name}: DVC was killed while it wrote it; it is removed")
        else:
            time.sleep(PATIENCE)  # another DVC may be writing it just now
