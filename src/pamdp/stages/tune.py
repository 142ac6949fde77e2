"""Runs the Optuna study of a cell, or takes what it has given."""

from __future__ import annotations

from argparse import Namespace

from pamdp.checkout import Checkout
from pamdp.stages import ahead


def run(options: Namespace) -> None:
    """Tunes the cell of the command line, unless that has been done ahead."""
    checkout, name = Checkout.here(), options.cell
    if not ahead.take(ahead.search(checkout, name), checkout.tune(name)):
        from pamdp.stages.search import tune_cell  # slow to import

        tune_cell(checkout, name)
