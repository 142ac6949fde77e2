"""Live tracking, beside the work and never in its way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pamdp.base.errors import PamdpError
from pamdp.records import Run
from pamdp.tracking import failures
from pamdp.tracking.connection import chosen, configure, load
from pamdp.tracking.models import log_model
from pamdp.tracking.rebuild import open_view, show_study
from pamdp.tracking.sink import Signature, Sink
from pamdp.tracking.view import View


class Live(Sink):
    """Shows growing records in MLflow from a background thread.

    Import other large libraries before the first call: the thread imports mlflow then.

    Args:
      experiment: the experiment's name.
      root: the project's root.
      patience: the longest wait on leaving, in seconds.
      first_patience: the same for a server that has not answered yet.
      interval: the pause after each round, in seconds.
    """

    def __init__(
        self,
        experiment: str,
        root: Path,
        patience: float = 60.0,
        first_patience: float = 10.0,
        interval: float = 2.0,
    ) -> None:
        self._experiment, self._root = experiment, root
        self._patience, self._interval = patience, interval
        # A database in a file is no server: making it may take longer.
        self._first_patience = first_patience if chosen() else patience
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # guards what follows
        self._jobs: dict[str, Callable[[View], object]] = {}
        self._begun: set[str] = set()  # the keys of work that is done now
        self._asked = self._answered = self._ended = self._closed = False

    def __enter__(self) -> Self:
        """Returns itself."""
        # Here, not in the thread: changing the environment while others read it is unsafe.
        configure()
        if reason := failures.recent(self._root):
            self.stay_off(reason)
        return self

    def put(self, run: Run, final: bool = False) -> None:
        """Takes the newest snapshot of a record and returns at once; arguments as in `Sink`."""
        if not final:
            self._begun.add(run.key)
        live = run.key in self._begun
        self._submit(run.key, lambda view: view.sync(run, final, live))

    def log_model(self, cell: str, signature: Signature) -> None:
        """Takes `models/<cell>`, to be logged and registered, and returns at once."""
        self._submit(f"models/{cell}", lambda view: log_model(view, cell, signature))

    def show_study(self) -> None:
        """Has the study as a whole shown, and returns at once."""
        self._submit("study", show_study)

    def close(self) -> None:
        """Waits for what is under way, as long as its patience lasts."""
        if self._thread is None:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            end = time.monotonic() + self._patience
            # What the import of MLflow takes is not the server's fault.
            self._changed.wait_for(lambda: self._asked or self._ended, self._patience)
            left = min(self._first_patience, end - time.monotonic())
            if self._changed.wait_for(lambda: self._answered or self._ended, left):
                self._changed.wait_for(lambda: self._ended, end - time.monotonic())
            ended, waited = self._ended, self._patience if self._answered else self._first_patience
        if not ended:
            self._fail(f"not done {waited:g} s after the work")

    def _fail(self, reason: str) -> None:
        if not self.failed:
            failures.remember(self._root, reason)
        self.give_up(reason)

    def _submit(self, key: str, job: Callable[[View], object]) -> None:
        """Hands over a job; it takes the place of a waiting one of the same key."""
        if self.failed:
            return
        with self._changed:
            self._jobs[key] = job
            self._changed.notify_all()
        if self._thread is None:
            # A daemon, so that a store that never answers does not keep the process alive.
            self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        try:
            load()
            self._tell("_asked")
            view = open_view(self._experiment, self._root)
            self._tell("_answered")
            while jobs := self._wait_for_jobs():
                for job in jobs:
                    job(view)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, self._interval)
        except (PamdpError, FileNotFoundError) as error:  # of files here, not of the server
            self.give_up(str(error))
        except Exception as error:  # noqa: BLE001  whatever it is, the work goes on
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._tell("_ended")

    def _tell(self, name: str) -> None:
        with self._changed:
            setattr(self, name, True)
            self._changed.notify_all()

    def _wait_for_jobs(self) -> list[Callable[[View], object]]:
        """Takes the waiting jobs; none if the context was left and all are done."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            jobs, self._jobs = list(self._jobs.values()), {}
        return jobs
