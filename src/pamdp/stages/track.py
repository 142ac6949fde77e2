"""Shows in MLflow all that this checkout holds: runs not tracked live, or restored by DVC."""

from __future__ import annotations

from argparse import Namespace

from pamdp.checkout import Checkout
from pamdp.tracking import rebuild


def run(_: Namespace) -> None:
    """Shows all records and models."""
    checkout = Checkout.here()
    shown = rebuild(checkout.settings.study.name, checkout.root)
    print(*shown, f"{len(shown)} shown in MLflow", sep="\n")
