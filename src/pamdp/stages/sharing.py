"""How the cells of a study share cores and memory: those of this machine, or of a cluster."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple

import psutil

from pamdp import lifetime
from pamdp.engines import engine_of, workers
from pamdp.estimate import Estimate
from pamdp.foresight import memory_limit

COORDINATOR = 0.5e9  # bytes, more than a cell takes here while its tasks run elsewhere


class Share(NamedTuple):
    """What a cell may use: cores by their numbers, and how many tasks it runs at a time."""

    cores: Sequence[int]
    workers: int


class Round(NamedTuple):
    """Some cells, and what those of them may use that are done at a time."""

    names: Sequence[str]
    shares: Sequence[Share]


def rounds_of(estimates: Mapping[str, Estimate], num_tasks: int) -> list[Round]:
    """How cells share this machine, or a cluster.

    Args:
      estimates: what each takes, by the names of the cells, of which there is one at least.
      num_tasks: how many of a cell there are at a time at least.
    """
    names, available = [*estimates], min(psutil.virtual_memory().available, memory_limit())
    if engine_of().elsewhere:
        return [Round(names, _on_cluster(len(names), available, num_tasks))]
    needed = partial(_needed, [*estimates.values()])
    numbers = range(min(workers(), len(cores()), len(names)), 0, -1)
    lanes = next((number for number in numbers if _fitting(needed, available, number)), 1)
    # The cells left after full rounds have the cores for themselves.
    full = len(names) - len(names) % lanes
    return [
        Round(batch, shares_of(beside, max(1, _fitting(needed, available, beside))))
        for batch in (names[:full], names[full:])
        if (beside := min(lanes, len(batch)))
    ]


def _on_cluster(num_cells: int, available: float, num_tasks: int) -> list[Share]:
    """What each of some cells may use of a cluster, which shares out its cores among their tasks.

    As many are under way as it takes to fill it, and one more, whose tasks take the place of those
    that end; but no more than can be coordinated here, nor more tasks than PAMDP_WORKERS allows.
    """
    limited = bool(os.environ.get("PAMDP_WORKERS"))
    filling = math.ceil(workers() / num_tasks) + (not limited)
    lanes = min(num_cells, filling, max(1, int(available / COORDINATOR)))
    most = workers() // lanes if limited else workers()
    return [Share(cores(), max(1, most))] * lanes


def side_by_side(
    names: Sequence[str], shares: Sequence[Share], work: Callable[[str, Share], bool]
) -> Iterator[tuple[str, bool]]:
    """Does a work for each name, one with each share; none begins after one that did not go well.

    Args:
      names: of the works.
      shares: what those may use that are done at a time.
      work: does one with a share of the cores, in a thread; whether it went well.

    Yields:
      (name, whether it went well) of each that began, as it ends.
    """
    stopped = Event()
    free: SimpleQueue[Share] = SimpleQueue()
    for share in shares:
        free.put(share)

    def job(name: str) -> bool | None:
        share, well = free.get(), None
        try:
            if not stopped.is_set():
                well = False
                well = work(name, share)
        finally:
            if well is False:
                stopped.set()
            free.put(share)
        return well

    with ThreadPoolExecutor(len(shares)) as pool:
        jobs = {pool.submit(job, name): name for name in names}
        try:
            for ended in as_completed(jobs):
                if (well := ended.result()) is not None:
                    yield jobs[ended], well
        except KeyboardInterrupt:
            lifetime.end_children()  # the signal may have come to this process alone
            raise
        finally:
            stopped.set()


def shares_of(number: int, most: int) -> list[Share]:
    """What each of some cells may use of this machine.

    Args:
      number: of the cells that are done at a time.
      most: how many workers one may have at most.
    """
    return [
        Share(
            cores()[cell::number],
            min(most, workers() // number + (cell < workers() % number)),
        )
        for cell in range(number)
    ]


def _fitting(needed: Callable[[int], float], available: float, lanes: int) -> int:
    """How many workers each of some cells may have, that memory holds all; 0 if it does not."""
    numbers = range(workers(), 0, -1)
    return next((most for most in numbers if lanes * needed(most) <= available), 0)


def _needed(estimates: Sequence[Estimate], num_workers: int) -> float:
    """The bytes that the largest of some cells takes with so many workers."""
    return max(each.memory(num_workers) for each in estimates)


def cores() -> Sequence[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def keep_to(cores: Sequence[int]) -> None:
    """Keeps this process, and what it starts, to some cores where the system can.

    TensorFlow would start threads for all cores in each of several processes, which get in each
    other's way.
    """
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, cores)
