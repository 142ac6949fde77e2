"""Cells: one environment, one algorithm and one strategy each, and what their results depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union

from pydantic import Discriminator

from pamdp.agents.learner import LearnerSettings
from pamdp.agents.policy import InitialParameters
from pamdp.algorithms import ALGORITHMS
from pamdp.envs import ENVIRONMENTS, Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.gradients import AnyStrategy
from pamdp.gradients.plain import Plain
from pamdp.problems import SettingsError, nearest
from pamdp.structure import Component, floats, leaves, with_floats

AnyEnvironment = Annotated[Union[(Gymnasium, *ENVIRONMENTS.values())], Discriminator("kind")]


class Cell(Component):
    """One combination of the study: all that its training depends on."""

    name: str
    environment: str
    algorithm: str
    strategy_name: str
    task: AnyEnvironment
    initial_parameters: InitialParameters | None
    learner: LearnerSettings
    strategy: AnyStrategy

    def replace(self, values: Mapping[str, float]) -> Cell:
        """The cell with other floats, by path; validated.

        Raises:
          SettingsError: the cell has no such float.
          ValidationError: a value is out of range.
        """
        known = floats(self)
        for path in values:
            if path not in known:
                raise SettingsError(
                    f"{path}: expected the path of a float of {self.name}, received {path!r}"
                    f"{nearest(path, known)}"
                )
        return Cell.model_validate(with_floats(self, values).model_dump())

    @property
    def forward(self) -> Cell:
        """The cell as far as its forward passes go, so that more cells share a program."""
        members = getattr(self.strategy, "members", (self.strategy,))
        bounding = [member for member in members if member.bounds_forward]
        strategy = bounding[0] if bounding else Plain(kind="plain")
        return self.model_copy(update={"strategy": strategy, "strategy_name": "", "name": ""})

    @property
    def functional(self) -> Environment:
        """The environment as pure functions, for the compiled loop."""
        if isinstance(self.task, Environment):
            return self.task
        raise TypeError(f"{self.name}: expected a functional environment, received {self.task}")

    @property
    def hosted(self) -> Gymnasium:
        """The environment of Gymnasium, for the host loop."""
        if isinstance(self.task, Gymnasium):
            return self.task
        raise TypeError(f"{self.name}: expected `kind: gymnasium`, received {self.task}")

    def flattened(self) -> dict[str, bool | int | float | str | None]:
        """Settings by path, as a record lists them."""
        return dict(leaves(self))


def fingerprint(cell: Cell, *parts: Any) -> str:
    """Hash of what a cell's results depend on: its settings, `parts`, and the code it runs."""
    values = [
        part.model_dump(mode="json") if isinstance(part, Component) else part for part in parts
    ]
    content = json.dumps([cell.model_dump(mode="json"), values], sort_keys=True)
    digest = hashlib.sha256(content.encode())
    for source in sources(cell):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def sources(cell: Cell) -> list[Path]:
    """The files of the code that a cell runs: the shared ones and its own plug-ins."""
    package = Path(__file__).parent
    members = getattr(cell.strategy, "members", (cell.strategy,))
    plug_ins = [*map(type, (cell.task, cell.strategy, *members)), ALGORITHMS[cell.algorithm]]
    files = {Path(inspect.getfile(plug_in)) for plug_in in plug_ins}
    for name in SHARED_SOURCES:
        path = package / name
        files.update(path.glob("*.py") if path.is_dir() else [path])
    return sorted(files)


SHARED_SOURCES = (
    "agents",
    "cells.py",
    "evaluation.py",
    "host.py",
    "loops.py",
    "networks.py",
    "seeding.py",
    "spaces.py",
    "structure.py",
    "training.py",
    "algorithms/base.py",
    "envs/base.py",
    "gradients/base.py",
)
