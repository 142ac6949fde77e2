"""Results that cells have ahead of DVC, which runs one stage after another.

A study computes cells side by side, and leaves what it finds in `.work/ahead`. From there the
command of a stage takes it when DVC has come to that stage, and has removed its outputs. A result
is named by the fingerprint of all that it depends on, so it is never taken for another one. It
stays there, for settings that come back. What a stage computes for itself goes there, too: nothing
is lost if DVC refuses to record it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pamdp import lifetime
from pamdp.base.component import Component
from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.learning.cell import Cell
from pamdp.learning.training import Training
from pamdp.stages.facts import STAGES
from pamdp.stages.results import cell_of, fingerprint_of_facts, tuned
from pamdp.stages.times import timed


def search(checkout: Checkout, name: str) -> Path:
    """The folder of what the search of a cell gives."""
    cell = cell_of(checkout, name)
    tuning = checkout.settings.tuning.of(cell.name)
    # With the number of trials, which is no part of a search's own fingerprint.
    return _folder(checkout, "tune", cell, tuning, tuning.training(_training(checkout, cell)))


def training(checkout: Checkout, name: str, found: Path) -> Path:
    """The folder of what the training of a cell gives, with all of its seeds.

    Args:
      checkout: of the study.
      name: of the cell.
      found: the folder of what its search gave.
    """
    cell = tuned(checkout, cell_of(checkout, name), found)
    folder = _folder(checkout, "train", cell, _training(checkout, cell))
    # Each seed is trained by itself: they are no part of the fingerprint, which checkpoints have.
    return folder.with_name(f"{folder.name}-{_seeds(checkout)}")


def marks(checkout: Checkout, name: str) -> tuple[str, str]:
    """Hashes of what the search and the training of a cell depend on, but for what is found."""
    cell = cell_of(checkout, name)
    trained = fingerprint_of_facts(checkout, "train", cell, _training(checkout, cell))
    return search(checkout, name).name, f"{trained}-{_seeds(checkout)}"


def all_marks(checkout: Checkout, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The same of some cells, by their names."""
    return {name: marks(checkout, name) for name in names}


def is_there(folder: Path) -> bool:
    """Whether a result is complete: its record is written last."""
    return (folder / "record.json").is_file()


def same_values(*folders: Path) -> bool:
    """Whether some searches have found the same, so that a training is of all of them."""
    best = [folder / "best.json" for folder in folders]
    return len({path.read_bytes() if path.is_file() else b"" for path in best}) == 1


def made(
    checkout: Checkout, find: Callable[[Checkout], Path], make: Callable[[Path], object]
) -> Path:
    """The folder of a result, which is made if it is not there.

    Args:
      checkout: of the study.
      find: the folder, given a checkout.
      make: is given the folder, and writes the result into it.

    Raises:
      PamdpError: the settings that the result depends on were edited while it was made, or `setup`
        has found others; it stays for when they come back.
    """
    folder = find(checkout)
    if is_there(folder):
        if lifetime.STUDY not in os.environ:
            name = folder.parent.name
            print(f"{name}: taken as it was computed before, with the same settings and code")
        return folder
    with timed(folder):
        make(folder)
    kept = f"what {folder.parent.name} has computed is kept for when they come back"
    try:
        now = find(Checkout.here())
    except PamdpError as error:
        raise PamdpError(f"{error}; {kept}") from error
    if now != folder:
        raise PamdpError(
            f"{folder.parent.name}: expected the settings and code that it began with, received "
            f"others, edited while it ran; {kept}: run `pamdp study` again"
        )
    return folder


def take(folder: Path, place: Path) -> None:
    """Puts a result where DVC looks."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)


def forget(checkout: Checkout, stages: Collection[str] = ()) -> None:
    """Has computed anew what is there: no record says any more that it is complete.

    Args:
      checkout: of the study.
      stages: of dvc.yaml; by default all. One of all cells depends on what all of them give.
    """
    parts = [stage.partition("@") for stage in stages or STAGES]
    cells = {cell or "*" for stage, _, cell in parts if stage in STAGES}
    for cell in cells:
        for record in checkout.ahead.glob(f"*/{cell}/*/record.json"):
            record.unlink()


def _seeds(checkout: Checkout) -> str:
    return hashlib.sha256(json.dumps(checkout.settings.study.seeds).encode()).hexdigest()[:8]


def _training(checkout: Checkout, cell: Cell) -> Training:
    return checkout.settings.environments[cell.name.environment].training


def _folder(checkout: Checkout, stage: str, cell: Cell, *parts: Component) -> Path:
    mark = fingerprint_of_facts(checkout, stage, cell, *parts)
    return checkout.ahead / stage / str(cell.name) / mark
