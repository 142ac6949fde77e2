"""Engines run tasks side by side. The bytes of results depend neither on engine nor on workers.

A task is a function of plain values in a module. Where it is a generator, what it yields are its
events, and what it returns is its result.
"""

from __future__ import annotations

import os

from pamdp.base.errors import PamdpError, nearest
from pamdp.engines.base import Engine
from pamdp.engines.processes import Processes
from pamdp.engines.threads import Threads

__all__ = ["ENGINES", "Engine", "Processes", "open_engine", "workers"]

ENGINES: dict[str, type[Engine]] = {"threads": Threads, "processes": Processes}


def open_engine(suited: str, num_tasks: int) -> Engine:
    """The engine that PAMDP_ENGINE names, or else the one that suits the tasks best.

    Args:
      suited: the name of that.
      num_tasks: how many there are to do: more workers have nothing to do.

    Raises:
      PamdpError: there is no such engine.
    """
    name = os.environ.get("PAMDP_ENGINE") or suited
    if name not in ENGINES:
        raise PamdpError(
            f"PAMDP_ENGINE: expected one of {', '.join(ENGINES)}, received {name!r}"
            f"{nearest(name, ENGINES)}"
        )
    return ENGINES[name](min(workers(), max(1, num_tasks)))


def workers() -> int:
    """How many tasks run at a time: PAMDP_WORKERS, by default the cores this process may use."""
    text = os.environ.get("PAMDP_WORKERS", "")
    if not text:
        affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise PamdpError(f"PAMDP_WORKERS: expected a whole number from 1, received {text!r}")
    return int(text)
