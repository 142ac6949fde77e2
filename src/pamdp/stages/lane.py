"""Tunes and trains cells ahead of DVC, in processes that are forked from one with all loaded.

Loading TensorFlow takes a stage seconds of a core. One process does it once; from it one is forked
for each cell, which tunes and trains it and so traces once what both compile. Where tasks run on a
cluster, one process does all cells: its connection, and the workers that it has there, stay.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from multiprocessing.connection import Connection
from threading import Thread
from typing import NamedTuple

from pamdp import lifetime
from pamdp.base.errors import Interrupted, PamdpError
from pamdp.checkout import Checkout
from pamdp.engines import engine_of
from pamdp.engines.processes import PRELOADED
from pamdp.guard import alone, reported
from pamdp.stages import ahead
from pamdp.stages.sharing import Share, keep_to, side_by_side
from pamdp.stages.train import train_ahead
from pamdp.stages.tune import tune_ahead

LAST_WORDS = 2.0  # seconds for them, after a process has ended


class Cells(NamedTuple):
    """What a process does.

    Attributes:
      stages: that are out of date, by the names of cells.
      shares: of the cells that are done at a time.
      variables: of the environment.
      marks: of what cells depended on when the study began (`ahead.marks`), by their names.
    """

    stages: Mapping[str, Sequence[str]]
    shares: Sequence[Share]
    variables: Mapping[str, str]
    marks: Mapping[str, tuple[str, str]]


def prepare() -> None:
    """Begins to load what the processes have in common; returns at once."""
    from multiprocessing.forkserver import ensure_running

    loaded = [] if engine_of().elsewhere else PRELOADED
    multiprocessing.set_forkserver_preload([*loaded, "pamdp.stages.lane", "pamdp.stages.search"])
    ensure_running()


def run(
    cells: Cells, told: Callable[[str, bool | None], object], hear: Callable[[str], object]
) -> bool:
    """Has a process tune and train cells, and waits for it.

    Args:
      cells: and how they are done.
      told: is given the name of a cell when it begins, with None, and when it ends, with whether it
        went well. Of one that is under way when the process is killed, the latter is missing.
      hear: is given the lines that it prints.

    Returns:
      Whether all went well.
    """
    context = multiprocessing.get_context("forkserver")
    output, printed = context.Pipe(duplex=False)
    news, tell = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(printed, tell, cells))
    process.start()
    printed.close()
    tell.close()
    reader = Thread(target=_read, args=(output, hear), daemon=True)
    reader.start()
    try:
        while True:
            told(*news.recv())
    except EOFError:
        process.join()
    except KeyboardInterrupt:
        lifetime.end_children()  # the signal may have come to this process alone
        raise
    reader.join(LAST_WORDS)  # a helper that an environment has started may keep the pipe open
    return process.exitcode == 0


def _read(output: Connection, hear: Callable[[str], object]) -> None:
    with os.fdopen(os.dup(output.fileno()), encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(OSError):  # nobody listens any more; unread lines would stop the cells
                hear(line.rstrip())


def _work(printed: Connection, news: Connection, cells: Cells) -> None:
    """What the process does."""
    for number in (1, 2):
        os.dup2(printed.fileno(), number)
    printed.close()
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.update(cells.variables)
    keep_to(cells.shares[0].cores)
    lifetime.end_with_parent()
    several = len(cells.shares) > 1
    if several:  # threads, which wait for tasks elsewhere: these end with their connection
        for number in lifetime.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
    else:
        lifetime.obey_signals()
    with reported("study"):
        engine_of().join()
        checkout = Checkout.here()
        work = partial(_cell, checkout, cells, news)
        if several:
            wells = [well for _, well in side_by_side([*cells.stages], cells.shares, work)]
        else:
            wells = [*takewhile(bool, (work(name) for name in cells.stages))]
    sys.exit(not (len(wells) == len(cells.stages) and all(wells)))


def _cell(
    checkout: Checkout,
    cells: Cells,
    news: Connection,
    name: str,
    _: Share | None = None,
) -> bool:
    """Tunes and trains a cell, as far as it is out of date; whether that went well."""
    news.send((name, None))
    try:
        found = checkout.tune(name)
        if "tune" in cells.stages[name]:
            with reported("tune"), alone("tune", name):
                _check(name, cells.marks[name])
                found = tune_ahead(checkout, name)
        if "train" in cells.stages[name] or not ahead.same_values(found, checkout.tune(name)):
            with reported("train"), alone("train", name):
                _check(name, cells.marks[name])
                train_ahead(checkout, name, found)
    except SystemExit as error:  # as a command ends
        if not isinstance(error.code, str):  # of a signal, with nothing to say
            raise Interrupted(int(error.code or 128) - 128) from error
        sys.stderr.write(f"{error.code}\n")
        sys.stderr.flush()
        well = False
    else:
        well = True
    news.send((name, well))
    return well


def _check(name: str, marks: tuple[str, str]) -> None:
    """Refuses what was edited since the study began: the code that is loaded here is older.

    Raises:
      PamdpError: something was.
    """
    if ahead.marks(Checkout.here(), name) != marks:
        raise PamdpError(
            f"{name}: expected the settings and code that the study began with, received others, "
            "edited since; run `pamdp study` again"
        )
