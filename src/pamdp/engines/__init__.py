"""Engines run tasks side by side. The bytes of results depend neither on engine nor on workers.

A task is a function of plain values in a module. Where it is a generator, what it yields are its
events, and what it returns is its result.
"""

from __future__ import annotations

import os

from pamdp.base.errors import PamdpError, nearest
from pamdp.engines.base import NOTHING, Engine, Needs
from pamdp.engines.processes import Processes
from pamdp.engines.ray import Ray
from pamdp.engines.threads import Threads

__all__ = ["ENGINES", "Engine", "Needs", "Processes", "engine_of", "open_engine", "workers"]

ENGINES: dict[str, type[Engine]] = {"threads": Threads, "processes": Processes, "ray": Ray}


def engine_of(suited: str = "threads") -> type[Engine]:
    """The engine that PAMDP_ENGINE names, or else the one of a name.

    Args:
      suited: the name of the engine that suits the tasks best.

    Raises:
      PamdpError: there is no such engine.
    """
    name = os.environ.get("PAMDP_ENGINE") or suited
    if name not in ENGINES:
        raise PamdpError(
            f"PAMDP_ENGINE: expected one of {', '.join(ENGINES)}, received {name!r}"
            f"{nearest(name, ENGINES)}"
        )
    return ENGINES[name]


def open_engine(suited: str, num_tasks: int, needs: Needs = NOTHING) -> Engine:
    """The engine that `engine_of` gives.

    Args:
      suited: as there.
      num_tasks: how many there are to do: more workers have nothing to do.
      needs: what tasks need of a worker.

    Raises:
      PamdpError: there is no such engine, or it cannot be reached.
    """
    engine = engine_of(suited)
    return engine(min(engine.workers(), max(1, num_tasks)), needs)


def workers() -> int:
    """How many tasks run at a time: PAMDP_WORKERS, by default the cores that there are."""
    return engine_of().workers()
