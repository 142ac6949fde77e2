"""Live tracking, beside the work and never in its way."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pamdp.records import Run
from pamdp.tracking.connection import configure, enabled
from pamdp.tracking.models import Signature, log_model
from pamdp.tracking.relay import FOLDER, Relay
from pamdp.tracking.view import View

_log = logging.getLogger(__name__)


class Tracker:
    """Shows growing records in MLflow from a background thread; a context manager.

    Where another process shows them (`relay`), they are left for it.

    Nothing here delays or ends the caller's work: the first failure is reported in one line and
    the rest is left out. Leaving the context waits for what is under way. Import other large
    libraries before the first call: the thread imports mlflow then.

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
        folder = os.environ.get(FOLDER)
        self._relay = Relay(Path(folder), interval) if folder else None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # guards what follows
        self._jobs: dict[str, Callable[[View], object]] = {}
        self._closed = self._failed = False

    def __enter__(self) -> Self:
        # Here, not in the thread: changing the environment while others read it is unsafe.
        configure()
        return self

    def put(self, run: Run, final: bool = False) -> None:
        """Hands over the newest snapshot of a record and returns at once.

        Args:
          run: the snapshot; it must not be changed afterwards.
          final: the record is complete.
        """
        if self._relay is None:
            self.submit(run.key, lambda view: view.sync(run, final))
        elif enabled() and not self._failed:
            self._handed_over(lambda relay: relay.put(run, final))

    def log_model(self, cell: str, signature: Signature) -> None:
        """Hands over `models/<cell>`, to be logged and registered, and returns at once."""
        self.submit(f"models/{cell}", lambda view: log_model(view, cell, signature))

    def submit(self, key: str, job: Callable[[View], object]) -> None:
        """Hands over any job; it takes the place of a waiting one of the same key."""
        if self._failed or not enabled():
            return
        with self._changed:
            self._jobs[key] = job
            self._changed.notify()
        if self._thread is None:
            # A daemon, so that a store that never answers does not keep the process alive.
            self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
            self._thread.start()

    def _handed_over(self, act: Callable[[Relay], None]) -> None:
        try:
            if self._relay is not None:
                act(self._relay)
        except OSError as error:
            self.give_up(f"{type(error).__name__}: {error}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._handed_over(Relay.flush)
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is None:
            return
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self.give_up(f"not done {self._patience:g} s after the work")

    def _work(self) -> None:
        try:
            view = View(self._experiment, self._root)
            while jobs := self._wait_for_jobs():
                for job in jobs:
                    job(view)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, self._interval)
        except Exception as error:  # the outermost boundary: whatever it is, the work goes on
            self.give_up(f"{type(error).__name__}: {error}")

    def _wait_for_jobs(self) -> list[Callable[[View], object]]:
        """Takes the waiting jobs; none if the context was left and all are done."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            jobs, self._jobs = list(self._jobs.values()), {}
        return jobs

    def give_up(self, reason: str) -> None:
        """Leaves out the rest; the first reason is reported."""
        with self._changed:
            first, self._failed = not self._failed, True
        if first:
            _log.warning(
                "Tracking failed and stops (%s). The work goes on; "
                "`python pipeline/track.py` logs it later from the records.",
                " ".join(reason.split())[:300],
            )


def ensure_experiment(experiment: str, root: Path) -> None:
    """Creates database and experiment if need be; a failure is reported, not raised."""
    with Tracker(experiment, root) as tracker:
        tracker.submit("experiment", lambda view: view.experiment_id)
