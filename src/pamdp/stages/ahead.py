"""Results that cells have ahead of DVC, which runs one stage after another.

A study computes cells side by side, and leaves what it finds in `.work/ahead`. From there the
command of a stage takes it when DVC has come to that stage, and has removed its outputs. A result
is named by the fingerprint of all that it depends on, so it is never taken for another one. It
stays there, for settings that come back.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from pamdp.base.component import Component
from pamdp.checkout import Checkout
from pamdp.learning.cell import Cell
from pamdp.learning.training import Training
from pamdp.stages.results import cell_of, fingerprint_of_facts, tuned


def search(checkout: Checkout, name: str) -> Path:
    """The folder of what the search of a cell gives."""
    cell = cell_of(checkout, name)
    tuning = checkout.settings.tuning.of(cell.name)
    # With the number of trials, which is no part of a search's own fingerprint.
    return _folder(checkout, "tune", cell, tuning, tuning.training(_training(checkout, cell)))


def training(checkout: Checkout, name: str, found: Path | None = None) -> Path:
    """The folder of what the training of a cell gives, with all of its seeds.

    Args:
      checkout: of the study.
      name: of the cell.
      found: the folder of what its search gave, by default where DVC looks.
    """
    cell = tuned(checkout, cell_of(checkout, name), found)
    folder = _folder(checkout, "train", cell, _training(checkout, cell))
    # Each seed is trained by itself: they are no part of the fingerprint, which checkpoints have.
    seeds = hashlib.sha256(json.dumps(checkout.settings.study.seeds).encode()).hexdigest()[:8]
    return folder.with_name(f"{folder.name}-{seeds}")


def is_there(folder: Path) -> bool:
    """Whether a result is complete: its record is written last."""
    return (folder / "record.json").is_file()


def agree(*folders: Path) -> bool:
    """Whether some searches have found the same, so that a training is of all of them."""
    best = [folder / "best.json" for folder in folders]
    return len({path.read_bytes() if path.is_file() else b"" for path in best}) == 1


def take(folder: Path, place: Path) -> bool:
    """Puts a result, if it is there, where DVC looks; whether it was."""
    if not is_there(folder):
        return False
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    return True


def _training(checkout: Checkout, cell: Cell) -> Training:
    return checkout.settings.environments[cell.name.environment].training


def _folder(checkout: Checkout, stage: str, cell: Cell, *parts: Component) -> Path:
    mark = fingerprint_of_facts(checkout, stage, cell, *parts)
    return checkout.ahead / stage / str(cell.name) / mark
