"""Live tracking, beside the work and never in its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pamdp.records import Run
from pamdp.tracking.connection import configure
from pamdp.tracking.models import log_model
from pamdp.tracking.sink import Signature, Sink
from pamdp.tracking.view import View


class Live(Sink):
    """Shows growing records in MLflow from a background thread.

    Import other large libraries before the first call: the thread imports mlflow then.

    Args:
      experiment: the experiment's name.
      root: the project's root.
      patience: the longest wait on leaving, in seconds.
      interval: the pause after each round, in seconds.
    """

    def __init__(
        self, experiment: str, root: Path, patience: float = 60.0, interval: float = 2.0
    ) -> None:
        self._experiment, self._root = experiment, root
        self._patience, self._interval = patience, interval
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # guards what follows
        self._jobs: dict[str, Callable[[View], object]] = {}
        self._closed = False

    def __enter__(self) -> Self:
        """Returns itself."""
        # Here, not in the thread: changing the environment while others read it is unsafe.
        configure()
        return self

    def put(self, run: Run, final: bool = False) -> None:
        """Takes the newest snapshot of a record and returns at once; arguments as in `Sink`."""
        self._submit(run.key, lambda view: view.sync(run, final))

    def log_model(self, cell: str, signature: Signature) -> None:
        """Takes `models/<cell>`, to be logged and registered, and returns at once."""
        self._submit(f"models/{cell}", lambda view: log_model(view, cell, signature))

    def close(self) -> None:
        """Waits for what is under way, as long as its patience lasts."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is None:
            return
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self.give_up(f"not done {self._patience:g} s after the work")

    def _submit(self, key: str, job: Callable[[View], object]) -> None:
        """Hands over a job; it takes the place of a waiting one of the same key."""
        if self.failed:
            return
        with self._changed:
            self._jobs[key] = job
            self._changed.notify()
        if self._thread is None:
            # A daemon, so that a store that never answers does not keep the process alive.
            self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        try:
            view = View(self._experiment, self._root)
            while jobs := self._wait_for_jobs():
                for job in jobs:
                    job(view)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, self._interval)
        except Exception as error:  # noqa: BLE001  whatever it is, the work goes on
            self.give_up(f"{type(error).__name__}: {error}")

    def _wait_for_jobs(self) -> list[Callable[[View], object]]:
        """Takes the waiting jobs; none if the context was left and all are done."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            jobs, self._jobs = list(self._jobs.values()), {}
        return jobs
