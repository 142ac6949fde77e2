"""What stages read of each other's results, and what their records have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pamdp import checkpoint
from pamdp.base.component import Component, leaves
from pamdp.base.environment import Environment
from pamdp.base.errors import PamdpError
from pamdp.base.task import Task
from pamdp.checkout import Checkout
from pamdp.files import read_json
from pamdp.learning.cell import Cell, learner_of
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Weights
from pamdp.provenance import digest
from pamdp.records import Best, Facts, Run
from pamdp.stages.facts import code_of, environment_settings, search_settings, versions


def task_of(checkout: Checkout, name: str) -> Task:
    """The environment of this name, with what `setup` has measured and it needs.

    Raises:
      PamdpError: `setup` has not run.
    """
    task = checkout.settings.environments[name].task
    if isinstance(task, Environment):  # all of these is known
        return task
    return task.with_facts(read_json(checkout.setup / "environments" / f"{name}.json", Facts))


def checked_fact(checkout: Checkout, name: str, settings: Any) -> Any:
    """The fact of that name, which `setup` has written of these settings.

    Raises:
      PamdpError: they are others: a result would be filed under settings that it does not have.
    """
    found = read_json(checkout.setup / f"{name}.json")
    if found != json.loads(json.dumps(settings)):
        raise PamdpError(
            f"{name}: expected the settings that `setup` has looked at, received others; run "
            "`pamdp setup`, or `pamdp study` for all that depends on it"
        )
    return found


def check_settings(checkout: Checkout, environment: str) -> None:
    """Compares the settings of an environment with what `setup` has written; raises as above."""
    block = checkout.settings.environments[environment]
    checked_fact(checkout, f"settings/{environment}", environment_settings(block))


def cells(checkout: Checkout) -> list[Cell]:
    """All cells of the study, with what `setup` has measured of their environments.

    Raises:
      PamdpError: their settings are not what they were then.
    """
    for name in checkout.settings.study.environments:
        check_settings(checkout, name)
    tasks = {name: task_of(checkout, name) for name in checkout.settings.study.environments}
    return [
        cell.model_copy(update={"task": tasks[cell.name.environment]})
        for cell in checkout.settings.cells
    ]


def cell_of(checkout: Checkout, name: str) -> Cell:
    """The cell of this name, likewise."""
    cell = checkout.settings.cell(name)
    return cell.model_copy(update={"task": task_of(checkout, cell.name.environment)})


def fingerprint(checkout: Checkout, stage: str, cell: Cell, *parts: Component) -> str:
    """Hash of what a stage's results of a cell depend on.

    These are the settings, and what `setup` found out about code and versions.

    Raises:
      PamdpError: settings or code are not what they were then.
    """
    mark = fingerprint_of_facts(checkout, stage, cell, *parts)
    check_code(checkout, stage, [cell])
    return mark


def check_code(checkout: Checkout, stage: str, cells: Iterable[Cell]) -> None:
    """Compares the code and the packages of a stage of some cells with what `setup` has found.

    Raises:
      PamdpError: they are others: a result would be filed under code that it is not of.
    """
    subjects = {name: each for cell in cells for name, each in _subjects(stage, cell).items()}
    codes = ((name, digest(code_of(subject))) for name, subject in subjects.items())
    for name, now in chain(codes, [("versions", versions())]):
        if not now.items() <= read_json(checkout.setup / f"{name}.json", dict).items():
            raise PamdpError(
                f"{name}: expected what `setup` has looked at, received other code or packages; "
                "run `pamdp setup`, or `pamdp study` for all that depends on it"
            )


def fingerprint_of_facts(checkout: Checkout, stage: str, cell: Cell, *parts: Component) -> str:
    """The same, of whatever code `setup` has looked at: enough to look for what it has given.

    Raises:
      PamdpError: settings are not what they were then.
    """
    check_settings(checkout, cell.name.environment)
    names = (*_subjects(stage, cell), "versions")
    found = {name: read_json(checkout.setup / f"{name}.json", dict) for name in names}
    if stage == "tune":
        search = search_settings(checkout.settings.tuning.of(cell.name))
        found["search"] = checked_fact(checkout, f"tuning/{cell.name}", search)["versions"]
    values = [part.model_dump(mode="json") for part in (cell, *parts)]
    content = json.dumps([values, found], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _subjects(stage: str, cell: Cell) -> dict[str, str | Task | Component]:
    """What code results depend on, by the names of the facts about it."""
    environment, algorithm, strategy = cell.name
    return {
        f"algorithms/{algorithm}": cell.algorithm,
        f"code/{stage}": stage,
        f"environments/{environment}": cell.task,
        f"strategies/{strategy}": cell.strategy,
    }


def tuned(checkout: Checkout, cell: Cell, found: Path | None = None) -> Cell:
    """The cell with the values that its search found best.

    Args:
      checkout: of the study.
      cell: with the values of the settings.
      found: the folder of what its search gave, by default where DVC looks.
    """
    best = (found or checkout.tune(cell.name)) / "best.json"
    return cell.replace(read_json(best, Best)["values"])


def trained(checkout: Checkout, cell: Cell) -> dict[int, Weights]:
    """The weights that training gave, by seed."""
    return {seed: packed(cell, leaves) for seed, leaves in saved(checkout, cell).items()}


def saved(checkout: Checkout, cell: Cell) -> dict[int, list[np.ndarray]]:
    """The leaves of these weights, for which TensorFlow need not be loaded."""
    return checkpoint.read_weights(checkout.train(cell.name) / "weights.npz")


def packed(cell: Cell, leaves: Sequence[np.ndarray]) -> Weights:
    """The weights that leaves are of.

    Raises:
      PamdpError: they are of other networks.
    """
    like = learner_of(cell).evaluated(loop_of(cell).programs.like)
    return checkpoint.packed(leaves, like, f"metrics/train/{cell.name}/weights.npz")


def initial_parameters(cell: Cell) -> str:
    """Whether hand-set parameters were used: `none` or `hand-set`."""
    return "none" if cell.initial_parameters is None else "hand-set"


def record(cell: Cell, stage: str, mark: str, **settings: Component) -> Run:
    """The record of what a stage does for a cell, without results.

    Args:
      cell: what it is about.
      stage: its name.
      mark: the fingerprint.
      settings: what else its results depend on, by the name it has in the parameters.
    """
    parameters = cell.flattened()
    for name, component in settings.items():
        parameters |= {f"{name}.{path}": leaf for path, leaf in leaves(component)}
    return Run(
        key=f"{stage}/{cell.name}",
        fingerprint=mark,
        tags={
            "stage": stage,
            "cell": str(cell.name),
            "environment": cell.name.environment,
            "algorithm": cell.name.algorithm,
            "strategy": cell.name.strategy,
            "initial_parameters": initial_parameters(cell),
        },
        parameters=parameters,
    )


def child(parent: Run, name: str, number: int, **fields: Any) -> Run:
    """The record of a part of a run, such as seed 3 of a training."""
    return Run(
        key=f"{parent.key}/{name}-{number}",
        fingerprint=parent.fingerprint,
        tags={**parent.tags, name: str(number)},
        **fields,
    )
