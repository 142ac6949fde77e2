"""The engine that does the work of a stage."""

from __future__ import annotations

from collections.abc import Sequence

from pamdp.checkout import Checkout
from pamdp.engines import Engine, Needs, Processes, engine_of, open_engine, workers
from pamdp.estimate import Estimate
from pamdp.files import read_json
from pamdp.learning.cell import Cell
from pamdp.learning.loops import loop_for


def suited(cell: Cell) -> type[Engine]:
    """The engine that is asked for, or suits a cell."""
    return engine_of(loop_for(cell.task).engine)


def engine_for(
    checkout: Checkout, cells: Sequence[Cell], num_tasks: int, fresh: bool = False
) -> Engine:
    """An engine for so many tasks of some cells: that which is asked for, or suits the first.

    Args:
      checkout: where `setup` has measured their environments.
      cells: at least one.
      num_tasks: of all of them.
      fresh: whether each task gets a process of its own; threads are none.
    """
    needs = Needs(frozenset().union(*(cell.task.sources for cell in cells)), fresh=fresh)
    if engine_of().elsewhere:
        needs = needs._replace(memory=max(_memory(checkout, cell) for cell in cells))
    elif fresh:
        return Processes(min(workers(), num_tasks), needs)
    return open_engine(loop_for(cells[0].task).engine, num_tasks, needs)


def _memory(checkout: Checkout, cell: Cell) -> float:
    """Bytes that a task of a cell takes, as estimated."""
    facts = read_json(checkout.setup / "environments" / f"{cell.name.environment}.json")
    return Estimate(checkout.settings, cell, facts).memory(1)
