"""Records of several processes, shown by one: importing MLflow takes each two seconds of a core.

A process whose environment names a folder leaves its snapshots there and has nothing to do with
MLflow; the one that has set the folder shows them.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.files import read_json, reading, write_json
from pamdp.records import Run
from pamdp.tracking.sink import Sink

VARIABLE = "PAMDP_RECORDS"  # of the environment, names the folder


class Folder(Sink):
    """Leaves snapshots of records in a folder.

    Args:
      folder: where.
      interval: seconds between two snapshots of a record; the newest one follows with the next
        call, or at the end.
    """

    def __init__(self, folder: Path, interval: float = 2.0) -> None:
        self._folder, self._interval = folder, interval
        self._waiting: dict[str, tuple[Run, bool]] = {}
        self._written: dict[str, float] = {}
        self._begun: set[str] = set()  # the keys of work that is done now

    def put(self, run: Run, final: bool = False) -> None:
        """Takes the newest snapshot of a record, and leaves all that are due."""
        if self.failed:
            return
        if not final:
            self._begun.add(run.key)
        self._waiting[run.key] = run, final
        now = time.monotonic()
        self._leave(
            key
            for key, (_, complete) in self._waiting.items()
            if complete or now - self._written.get(key, -self._interval) >= self._interval
        )

    def close(self) -> None:
        """Leaves all snapshots that wait."""
        self._leave(self._waiting)

    def _leave(self, keys: Iterable[str]) -> None:
        try:
            for key in [*keys]:
                run, final = self._waiting.pop(key)
                begun = key in self._begun
                content = {"run": run.model_dump(mode="json"), "final": final, "begun": begun}
                write_json(self._folder / f"{key.replace('/', '-')}.json", content)
                self._written[key] = time.monotonic()
        except OSError as error:
            self.give_up(f"{type(error).__name__}: {error}")


@contextmanager
def showing(sink: Sink, folder: Path, interval: float = 2.0) -> Iterator[dict[str, str]]:
    """Shows what other processes leave in a folder.

    Args:
      sink: shows it.
      folder: is emptied first.
      interval: seconds between two looks.

    Yields:
      The variables for the environment of these processes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(sink, folder, interval, ended), daemon=True)
    watcher.start()
    try:
        yield {VARIABLE: str(folder)}
    finally:
        ended.set()
        watcher.join()
        shutil.rmtree(folder, ignore_errors=True)


def _watch(sink: Sink, folder: Path, interval: float, ended: threading.Event) -> None:
    shown: dict[Path, int] = {}
    last = False
    try:
        while not last:
            last = ended.wait(interval)
            for path in sorted(folder.glob("*.json")):
                changed = path.stat().st_mtime_ns
                if shown.get(path) != changed:
                    shown[path] = changed
                    with reading(path):
                        content = read_json(path, dict)
                        run, final = Run.model_validate(content["run"]), content["final"]
                    if final and content["begun"]:  # of which there was perhaps no time to see more
                        sink.put(run)
                    sink.put(run, final)
    except (OSError, PamdpError) as error:
        sink.give_up(f"{type(error).__name__}: {error}")
