"""Which loop trains in which form of environment: a new form is one line here."""

from __future__ import annotations

from pamdp.base.environment import Environment
from pamdp.base.task import Task
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.learning.cell import Cell
from pamdp.learning.compiled import CompiledLoop
from pamdp.learning.copied import CopiedLoop
from pamdp.learning.hosted import HostLoop
from pamdp.learning.loop import Loop

LOOPS: dict[type[Task], type[Loop]] = {Environment: CompiledLoop, Gymnasium: HostLoop}


def loop_for(task: Task) -> type[Loop]:
    """The loop that fits an environment."""
    for form, loop in LOOPS.items():
        if isinstance(task, form):
            return CopiedLoop if task.side_by_side > 1 else loop
    raise TypeError(f"expected a task of one of {[*LOOPS]}, received {type(task)}")


def loop_of(cell: Cell) -> Loop:
    """The loop of a cell."""
    return loop_for(cell.task)(cell)
