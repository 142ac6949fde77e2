"""How long the stages of cells have taken: for readers, and part of no result.

Seconds are counted beside the results, in `.work`. The report puts those of the cells that it shows
into times.json, which git keeps beside dvc.lock. DVC has no part in it, as no two runs take equally
long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pydantic import BaseModel

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.engines import workers
from pamdp.files import read_json, write_json
from pamdp.records import Run

INTERVAL = 5.0  # seconds between two notes, so that a process which is killed has left one


class Taken(BaseModel):
    """What a stage has taken for a cell.

    Attributes:
      seconds: of wall time, those of interrupted runs before it too.
      fingerprint: of the record that it ended with; None as long as it has not ended.
      workers: how many tasks could run at a time, likewise.
    """

    seconds: float
    fingerprint: str | None = None
    workers: int | None = None


@contextmanager
def timed(folder: Path) -> Iterator[None]:
    """Counts, in a file beside the folder of a result, what it takes to make it."""
    path, start = _path(folder), time.monotonic()
    earlier = _kept(path)
    before = earlier["seconds"] if earlier and earlier["fingerprint"] is None else 0.0

    def note(**ended: Any) -> None:
        seconds = round(before + time.monotonic() - start, 1)
        with suppress(OSError):  # no stage fails because of it
            write_json(path, Taken(seconds=seconds, **ended).model_dump())

    def count() -> None:
        while not ended.wait(INTERVAL):
            note()

    ended, counting = Event(), Thread(target=count, name="times", daemon=True)
    counting.start()
    try:
        yield
    finally:
        ended.set()
        counting.join()
        note()
    with suppress(PamdpError):  # without its record, it is DVC that says what is missing
        record = Run.read(folder / "record.json")
        if earlier and earlier["fingerprint"] == record.fingerprint:
            write_json(path, earlier)  # made again, of trials that were there
        else:
            note(fingerprint=record.fingerprint, workers=workers())


def collect(checkout: Checkout, results: Mapping[str, Mapping[str, tuple[str, Path]]]) -> None:
    """Writes times.json: what is known of the results that there are.

    Args:
      checkout: whose.
      results: of each stage of each cell, the fingerprint and the folder where it was made.
    """
    earlier: dict[str, Any] = {}
    with suppress(PamdpError):
        earlier = read_json(checkout.times, dict[str, dict[str, Taken]])
    found: dict[str, dict[str, Any]] = {}
    for cell, stages in results.items():
        for stage, (mark, folder) in stages.items():
            counted = _kept(_path(folder))
            for known in (counted, earlier.get(cell, {}).get(stage)):
                if known is not None and known["fingerprint"] == mark:
                    found.setdefault(cell, {}).setdefault(stage, known)
    if found:
        write_json(checkout.times, found)
    else:
        checkout.times.unlink(missing_ok=True)


def _path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _kept(path: Path) -> dict[str, Any] | None:
    with suppress(PamdpError):
        return read_json(path, Taken)
    return None
