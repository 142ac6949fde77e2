"""What stands around the work of a verb: one process at a time, and errors that become a line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pamdp import lifetime
from pamdp.base.errors import PamdpError, SettingsError


@contextmanager
def reported(verb: str) -> Iterator[None]:
    """Around a work: what goes wrong ends it with one message on stderr, and a code that tells.

    Raises:
      SystemExit: with the message, or with the code of a signal.
    """
    try:
        yield
    except SettingsError as error:
        sys.exit(f"error: {error}{_left_behind()}")
    except PamdpError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as error:
        if lifetime.STUDY not in os.environ:
            sys.stderr.write(f"{lifetime.ADVICE}\n")
        sys.exit(128 + getattr(error, "number", 2))
    except SystemExit as error:  # nothing of ours ends the process
        sys.exit(f"error: {verb}: what it runs ended the process (exit code {error.code})")
    except Exception as error:  # noqa: BLE001  a library's, or a fault of ours: its trace is kept
        _fail(verb, error)


@contextmanager
def alone(verb: str, cell: str = "") -> Iterator[None]:
    """Keeps other processes from doing the same in the same checkout.

    A stage waits for one that has lost what started it, and is about to end; a study does not wait.
    """
    work = " ".join(filter(None, [verb, cell]))
    name = work.replace(" ", "-").replace("/", "-")[:200]
    patience = 0.0 if verb == "study" else 2 * lifetime.PATIENCE
    with lifetime.sole(Path(".work", "locks", f"{name}.lock"), work, patience):
        yield


def _left_behind() -> str:
    """What to do about wrong settings of an experiment, which DVC leaves where it has put them."""
    if "DVC_EXP_BASELINE_REV" not in os.environ or ".dvc" in Path.cwd().parts:
        return ""
    return (
        "\n`dvc exp run` has written this into params.yaml, where it stays: take it back before "
        "the next run, by hand or by `git checkout params.yaml`, which takes back all edits of it"
    )


def _fail(verb: str, error: Exception) -> NoReturn:
    """Ends with one line, and a file with the traceback if there is a place for it."""
    if isinstance(error, OSError) and error.filename is not None:
        sys.exit(f"error: {error}")  # a file that may not be written, a full disk
    first = (str(error).strip().splitlines() or [""])[0]
    message = f"error: {verb} failed: {type(error).__name__}: {first}"
    file = Path(".work", f"{verb}-error.txt")
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:  # a full disk, say
        raise error from None
    sys.exit(f"{message}\n{file} has the traceback; please report it if the fault is not yours")
