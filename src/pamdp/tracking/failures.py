"""What failed lately, so that not every process waits for the same server."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.files import read_json, write_json
from pamdp.tracking.connection import chosen, told

SECONDS = 30 * 60.0  # for which a failure is remembered


def remember(root: Path, reason: str) -> None:
    """Remembers that the address which the user has chosen failed."""
    if uri := chosen():
        content = {"address": told(uri), "reason": told(reason), "time": time.time()}
        with suppress(OSError):
            write_json(_path(root), content)


def recent(root: Path) -> str | None:
    """Says that this address failed lately, and why; None if it did not."""
    uri = chosen()
    if not uri or not _path(root).is_file():
        return None
    with suppress(OSError, PamdpError, ValueError, KeyError, TypeError):  # as if there were none
        found = read_json(_path(root))
        ago = time.time() - found["time"]
        if found["address"] == told(uri) and 0 <= ago < SECONDS:
            return f"{found['address']} failed {ago / 60:.0f} min ago: {found['reason']}"
    return None


def forget(root: Path) -> None:
    """Forgets it, since the address was reached."""
    with suppress(OSError):
        _path(root).unlink(missing_ok=True)


def _path(root: Path) -> Path:
    return root / ".work" / "tracking.json"
