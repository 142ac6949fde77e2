"""Cells: one environment, one algorithm and one strategy each, and what their results depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
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
from pamdp.structure import Component, components, floats, leaves, with_floats

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
    files = {*code_of(cell), Path(inspect.getfile(ALGORITHMS[cell.algorithm]))}
    if isinstance(cell.task, Gymnasium):
        files.update(cell.task.source_files.values())
    for name in SHARED_SOURCES:
        path = package / name
        files.update(path.glob("*.py") if path.is_dir() else [path])
    return sorted(files)


def code_of(component: Component) -> list[Path]:
    """The files of this package that a component, and those within, are written in.

    Those of their classes and, as environments may share code, what these use of `pamdp.envs`.
    """
    classes = {ancestor for part in components(component) for ancestor in type(part).__mro__}
    waiting = {c.__module__ for c in classes if c.__module__.startswith("pamdp.")}
    modules: set[str] = set()
    while waiting:
        modules.add(name := waiting.pop())
        if name.startswith("pamdp.envs."):
            used = {_home(value) for value in vars(sys.modules[name]).values()}
            waiting |= {home for home in used if home.startswith("pamdp.envs.")} - modules
    return sorted(Path(inspect.getfile(sys.modules[name])) for name in modules)


def _home(value: Any) -> str:
    """The module that a value is or comes from, "" if it does not tell."""
    name = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", "")
    return name if isinstance(name, str) else ""


SHARED_SOURCES = (
    "agents",
    "cells.py",
    "direct.py",
    "evaluation.py",
    "host.py",
    "loops.py",
    "networks.py",
    "packing.py",
    "programs.py",
    "seeding.py",
    "spaces.py",
    "structure.py",
    "training.py",
    "algorithms/base.py",
    "envs/base.py",
    "gradients/base.py",
)
