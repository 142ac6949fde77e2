"""The engine that does the work of a stage."""

from __future__ import annotations

from collections.abc import Sequence

from pamdp.checkout import Checkout
from pamdp.engines import Engine, Needs, Processes, engine_of, open_engine
from pamdp.estimate import Estimate
from pamdp.files import read_json
from pamdp.learning.cell import Cell
from pamdp.learning.loops import loop_for


def engine_for(checkout: Checkout, cells: Sequence[Cell], num_tasks: int) -> Engine:
    """An engine for so many tasks of some cells: that which is asked for, or suits the first."""
    suited = loop_for(cells[0].task).engine
    return open_engine(suited, num_tasks, needs_of(checkout, cells))


def saving_engine(checkout: Checkout, cells: Sequence[Cell]) -> Engine:
    """An engine that gives each of as many tasks as cells a process of its own."""
    kind = engine_of("processes")
    kind = kind if kind.elsewhere else Processes
    needs = needs_of(checkout, cells)._replace(fresh=True)
    return kind(min(kind.workers(), len(cells)), needs)


def needs_of(checkout: Checkout, cells: Sequence[Cell]) -> Needs:
    """What a task of any of some cells needs of its worker."""
    found = Needs(frozenset().union(*(cell.task.sources for cell in cells)))
    if not engine_of().elsewhere:
        return found
    memory = []
    for cell in cells:
        facts = read_json(checkout.setup / "environments" / f"{cell.name.environment}.json")
        memory.append(Estimate(checkout.settings, cell, facts).memory(1, "ray"))
    return found._replace(memory=max(memory))
