"""What goes wrong in a user's environment, reported as its own."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import traceback
from types import TracebackType
from typing import Any

import gymnasium

from pamdp.base.errors import EnvironmentFailure, Interrupted, PamdpError
from pamdp.bridge.hanging import WATCH

GYMNASIUM = os.path.dirname(str(gymnasium.__file__)) + os.sep
# Frames of these files lead to a stranger's code and are none of its own.
LEADING = (
    "<frozen",
    GYMNASIUM,
    os.path.dirname(str(importlib.__file__)) + os.sep,
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
)
MOST = 6_000  # characters of a report; the middle of a longer one is left out


class theirs:
    """A context that reports every error in it as that of a user's environment.

    A call in it that takes long is named on stderr (`hanging`).

    Args:
      name: the environment's id.
      doing: what it is asked to do; `{}` stand for what it is given.
      given: is written only if there is something to say.

    Raises:
      EnvironmentFailure: with the traceback from the first frame of the user's code on. An
        environment may not end the process, so SystemExit and the like are failures, too.
    """

    __slots__ = ("_before", "_doing", "_given", "_name")

    def __init__(self, name: str, doing: str, *given: Any) -> None:
        self._name, self._doing, self._given = name, doing, given

    def __enter__(self) -> None:
        """Notes the call."""
        self._before = WATCH.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Reports an error."""
        WATCH.end(self._before)
        if error is None or _is_ours(error):
            return
        if earlier := _earlier(error):  # what failed while cleaning up after it tells less
            raise earlier from earlier.__cause__
        doing = self._doing.format(*self._given)
        raise EnvironmentFailure(
            f"environment {self._name!r} failed in {doing}:\n{_report(error)}"
        ) from error

    def __str__(self) -> str:
        """What is under way."""
        return f"environment {self._name!r} in {self._doing.format(*self._given)}"


def _is_ours(error: BaseException) -> bool:
    """Whether it has its words already, or comes from the user at the keyboard or from a signal."""
    if isinstance(error, PamdpError | Interrupted):
        return True
    if isinstance(error, KeyboardInterrupt):
        # Python raises it in the main thread alone, and only where no one else handles the signal.
        handled = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        return threading.current_thread() is threading.main_thread() and not handled
    return False


def _earlier(error: BaseException) -> PamdpError | None:
    """The failure of ours in whose wake an error came, if it did."""
    before = error.__context__
    while before is not None and not isinstance(before, PamdpError):
        before = before.__context__
    return before


def _report(error: BaseException) -> str:
    # Gymnasium raises some errors of a constructor anew: then the cause has the user's frames.
    for cause in (error, error.__cause__):
        frame = cause and cause.__traceback__
        while frame and frame.tb_frame.f_code.co_filename.startswith(LEADING):
            frame = frame.tb_next
        if cause and frame:
            return _short("".join(traceback.format_exception(type(cause), cause, frame)))
    return _short("".join(traceback.format_exception_only(error)) + _line_of_gymnasium(error))


def _line_of_gymnasium(error: BaseException) -> str:
    """The line of Gymnasium that could not go on, which shows what it expected.

    What Gymnasium raises by itself has words of its own.
    """
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    if last is None or not last.filename.startswith(GYMNASIUM) or not last.line:
        return ""
    if last.line.startswith(("assert", "raise")):
        return ""
    return f"where Gymnasium does: {last.line}"


def _short(text: str) -> str:
    text = text.rstrip()
    if len(text) <= MOST:
        return text
    half = MOST // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters ...\n{text[-half:]}"
