"""Runs the Optuna study of a cell, unless that has been done."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

from pamdp.checkout import Checkout
from pamdp.stages import ahead


def run(options: Namespace) -> None:
    """Tunes the cell of the command line."""
    checkout, name = Checkout.here(), options.cell
    ahead.search(checkout, name)  # refuses wrong settings before anything is removed
    # DVC has not removed it: success is what is written from here on, and not how the process ends.
    shutil.rmtree(checkout.tune(name), ignore_errors=True)
    ahead.take(tune_ahead(checkout, name), checkout.tune(name))


def tune_ahead(checkout: Checkout, name: str) -> Path:
    """The folder of what the search of a cell gives, which runs if need be."""

    def make(folder: Path) -> None:
        from pamdp.stages.search import tune_cell  # slow to import

        tune_cell(checkout, name, folder)

    return ahead.made(checkout, lambda here: ahead.search(here, name), make)
