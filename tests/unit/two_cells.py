"""A study of two cells and what its earlier stages leave behind, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.learning.training import Point
from pamdp.provenance import digest
from pamdp.settings import Settings
from pamdp.stages import search, train
from pamdp.stages.facts import STAGES, code_of, settings_of, versions
from tests.helpers import settings

PLAIN, INVERTING = "platform-mpdqn-plain", "platform-mpdqn-inverting"


def small(**changes: Any) -> Settings:
    """Its settings, with changes by dotted path, or with `__` for the dots."""
    few = {"study.algorithms": ["mpdqn"], "study.strategies": ["plain", "inverting"]}
    return settings(**few | {"study.seeds": [1, 2], "tuning.trials": 2} | changes)


def found(root: Path, name: str, values: dict[str, float]) -> None:
    """Writes what the search of a cell found."""
    write_json(root / "metrics/tune" / name / "best.json", {"values": values, "score": 1.0})


def looked_at(settings: Settings, root: Path) -> Checkout:
    """A checkout in which `setup` has looked at these settings."""
    checkout = Checkout(settings, root)
    for name, fact in settings_of(settings).items():
        write_json(checkout.setup / f"{name}.json", fact)
    return checkout


def set_up(root: Path, **changes: Any) -> Checkout:
    """A checkout of it in which `setup` has looked at settings and code."""
    checkout = looked_at(small(**changes), root)
    plain, inverting = checkout.settings.cells
    subjects: dict[str, Any] = {
        **{f"code/{stage}": stage for stage in STAGES},
        "algorithms/mpdqn": plain.algorithm,
        "environments/platform": plain.task,
        "strategies/plain": plain.strategy,
        "strategies/inverting": inverting.strategy,
    }
    for name, subject in subjects.items():
        write_json(checkout.setup / f"{name}.json", digest(code_of(subject)))
    write_json(checkout.setup / "versions.json", versions())
    return checkout


def tune_cell(checkout: Checkout, name: str) -> None:
    """Has a cell tuned, with the result where DVC looks."""
    search.tune_cell(checkout, name, checkout.tune(name))


def train_cell(checkout: Checkout, name: str) -> None:
    """Has a cell trained, likewise."""
    train.train_cell(checkout, name, checkout.tune(name), checkout.train(name))


def curve(*values: float) -> list[Point]:
    """Points of one seed, ten steps apart."""
    return [Point(10 * (n + 1), {"eval/return": v, "a": n}) for n, v in enumerate(values)]
