"""The errors that a user can mend: of these the command line shows the message alone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class PamdpError(Exception):
    """Something was asked for that cannot be done; the message says what to change."""


class SettingsError(PamdpError, ValueError):
    """The settings are wrong; the message names the key, what was received and expected."""


class EnvironmentFailure(PamdpError, RuntimeError):
    """A user's environment failed; the message says which, in what, and where in its code."""


class Interrupted(KeyboardInterrupt):
    """A signal has told this process to end; raised by the handlers of ours alone.

    An environment that raises KeyboardInterrupt or SystemExit itself is at fault; this passes
    through it.

    Attributes:
      number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class TrainingError(PamdpError, RuntimeError):
    """Training cannot go on; the message says where and what to change."""


class ExportError(PamdpError, RuntimeError):
    """An exported model does not act as the trained policy did."""


class NotInstalled(PamdpError, ImportError):
    """A package is missing that only some uses need; the message says how to install it."""


class Damaged(PamdpError):
    """A file cannot be read; the message names it, what is wrong with it, and the way out."""


def nearest(name: Any, known: Iterable[Any]) -> str:
    """The end of a message about an unknown name: the known one that it resembles, if any."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], 1)
    return f"; did you mean {close[0]!r}?" if close else ""
