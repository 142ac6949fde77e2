"""Records of several processes, shown by one: importing MLflow takes each two seconds of a core.

A process whose environment names a folder leaves its snapshots there and has nothing to do with
MLflow; the one that has set the folder shows them.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pamdp.records import Run, read_json, write_json

if TYPE_CHECKING:
    from pamdp.tracking.tracker import Tracker

FOLDER = "PAMDP_RECORDS"  # the name of the variable


class Relay:
    """Leaves snapshots of records in a folder, of each at most one in some seconds.

    Args:
      folder: where.
      interval: the seconds.
    """

    def __init__(self, folder: Path, interval: float = 2.0) -> None:
        self._folder, self._interval = folder, interval
        self._written: dict[str, float] = {}

    def put(self, run: Run, final: bool = False) -> None:
        """Leaves a snapshot unless there is a newer one soon; the final one always."""
        now = time.monotonic()
        if final or now - self._written.get(run.key, -self._interval) >= self._interval:
            self._written[run.key] = now
            content = {"run": run.model_dump(mode="json"), "final": final}
            write_json(self._folder / f"{run.key.replace('/', '-')}.json", content)


@contextmanager
def relayed(tracker: "Tracker", folder: Path, interval: float = 2.0) -> Iterator[dict[str, str]]:
    """Shows what other processes leave in a folder.

    Args:
      tracker: shows it.
      folder: is emptied first.
      interval: seconds between two looks.

    Yields:
      The variables for the environment of these processes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(tracker, folder, interval, ended), daemon=True)
    watcher.start()
    try:
        yield {FOLDER: str(folder)}
    finally:
        ended.set()
        watcher.join()
        shutil.rmtree(folder, ignore_errors=True)


def _watch(tracker: "Tracker", folder: Path, interval: float, ended: threading.Event) -> None:
    shown: dict[Path, int] = {}
    last = False
    while not last:
        last = ended.wait(interval)
        for path in sorted(folder.glob("*.json")):
            changed = path.stat().st_mtime_ns
            if shown.get(path) != changed:
                shown[path] = changed
                content = read_json(path)
                tracker.put(Run.model_validate(content["run"]), content["final"])
