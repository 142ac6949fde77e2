"""`dvc repro` that writes dvc.lock now and then; `python -m pamdp.stages.recording`.

DVC reads and writes all of dvc.lock for each stage that it has run, which takes longer the more
stages there are: its time grows with their square. Here it is written when that takes a tenth of
the time at most. What is not written down yet, if DVC is killed, is still there: outputs of stages
in `.work/ahead` or in DVC's own run cache.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.ui import ui

from pamdp import lifetime

SHARE = 0.1  # of the time that writing may take


class Recorder:
    """Reproduces stages for DVC, and writes what became of them to dvc.lock.

    A context manager, which writes what is left.
    """

    def __init__(self) -> None:
        """Has reproduced nothing yet."""
        self._waiting: list[Any] = []
        self._due = time.monotonic()

    def __call__(self, stage: Any, **options: Any) -> Any:
        """Reproduces a stage, as DVC's own function does it; the stage if it has changed."""
        done = stage.reproduce(**options)
        if done:
            self._waiting.append(stage)
            if time.monotonic() >= self._due:
                self._write()
        return done

    def __enter__(self) -> Recorder:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Writes what is left."""
        self._write()

    def _write(self) -> None:
        began = time.monotonic()
        if self._waiting:  # all of them are stages of one dvc.yaml
            self._waiting[0].dvcfile.dump_stages(self._waiting, update_pipeline=False)
            self._waiting.clear()
        now = time.monotonic()
        self._due = now + (now - began) / SHARE


def main() -> int:
    """Runs it in the current folder; the exit code."""
    lifetime.end_with_starters()
    ui.enable()
    try:
        repo: Any = Repo(_wait_for_lock=True)
        with repo, lock_repo(repo), Recorder() as recorder:
            repo.reproduce(repro_fn=recorder, force="--force" in sys.argv[1:])
    except DvcException:
        logging.getLogger("dvc").exception("")
        return 255
    return 0


if __name__ == "__main__":
    sys.exit(main())
