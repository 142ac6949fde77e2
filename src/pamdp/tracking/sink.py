"""What takes records to show them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Self

from pamdp.records import Run
from pamdp.tracking.connection import told

_log = logging.getLogger("pamdp.tracking")

# The tensors of a SavedModel's `serving_default`: {"inputs": [(name, dtype, shape)], "outputs":
# [...]}. The first dimension of each shape is -1, the batch.
Signature = Mapping[str, Sequence[tuple[str, str, Sequence[int]]]]


class Sink:
    """Takes records and shows them to nobody; the base of those that do. A context manager.

    Nothing here delays or ends the caller's work: the first failure is reported in one line and the
    rest is left out. Leaving the context waits for what is under way.
    """

    failed = False

    def put(self, run: Run, final: bool = False) -> None:
        """Takes the newest snapshot of a record and returns at once.

        Args:
          run: the snapshot; it must not be changed afterwards.
          final: the record is complete. One of which there was a snapshot before that was not is of
            work that is done now; others are of earlier work.
        """

    def log_model(self, cell: str, signature: Signature) -> None:
        """Takes `models/<cell>`, to be logged and registered, and returns at once."""

    def show_study(self) -> None:
        """Has the study as a whole shown: its headline, its table, its best model."""

    def close(self) -> None:
        """Ends the work that is left."""

    def give_up(self, reason: str) -> None:
        """Leaves out the rest; the first reason is reported."""
        first, self.failed = not self.failed, True
        if first:
            _log.warning(
                "Tracking failed and stops (%s). The work goes on; `pamdp track` logs it later "
                "from the records.",
                told(reason),
            )

    def stay_off(self, reason: str) -> None:
        """Does nothing from the beginning; the reason is reported."""
        self.failed = True
        _log.warning("Tracking stays off (%s); `pamdp track` tries at once.", told(reason))

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()
