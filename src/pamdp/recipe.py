"""What a settings file says of one cell, changed and completed from Python."""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.base.component import leaves, with_node
from pamdp.base.errors import SettingsError, nearest
from pamdp.base.task import Task
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.inheritance import merged
from pamdp.learning.cell import Cell, CellName
from pamdp.learning.learner_settings import LearnerSettings
from pamdp.learning.training import Training
from pamdp.naming import block_of, name_of, task_of
from pamdp.settings import SHIPPED, Benchmark, Settings, load, validated
from pamdp.stages.setup import driven, measure

HERE = os.path.dirname(__file__) + os.sep
GIVEN = "what `{}` was given"


@dataclass(frozen=True, repr=False)
class Recipe:
    """A cell, and how it is trained, tuned and evaluated; `pamdp.cell` gives it.

    Attributes:
      settings: those of a study of this cell alone.
      measured: whether `task.seen` was measured here, and is not the user's own.
    """

    settings: Settings
    measured: bool = False

    @property
    def cell(self) -> Cell:
        """The environment, the algorithm, the strategy and the hyper-parameters."""
        (only,) = self.settings.cells
        return only

    @property
    def name(self) -> CellName:
        """As text `environment-algorithm-strategy`."""
        return self.cell.name

    @property
    def task(self) -> Task:
        """The environment; `task.make()` gives its Gymnasium form."""
        return self.cell.task

    @property
    def learner(self) -> LearnerSettings:
        """The hyper-parameters."""
        return self.cell.learner

    @property
    def training(self) -> Training:
        """How long a seed is trained."""
        return self.settings.environments[self.name.environment].training

    def replace(self, changes: Mapping[str, Any]) -> Recipe:
        """The same with other values.

        Args:
          changes: values by their paths in a cell, such as `learner.gamma` or `strategy.factor`;
            besides there are `training.*`, `tuning.*` and `evaluation.*`. Numbers of NumPy are
            taken for Python's.

        Raises:
          SettingsError: a path or a value is wrong.
          EnvironmentFailure: under `task` is another environment, which cannot be played.
        """
        return self.changed(changes, "cell.replace")

    def changed(self, changes: Mapping[str, Any], function: str) -> Recipe:
        """The same, for a function that errors name."""
        if not isinstance(changes, Mapping) or not all(isinstance(path, str) for path in changes):
            raise SettingsError(
                "changes: expected values by their paths, such as {'learner.gamma': 0.9}, received "
                f"{changes!r}"
            )
        values, measured = self.settings.model_dump(mode="json"), self.measured
        if measured and any(path.split(".")[0] == "task" for path in changes):
            values["environments"][self.name.environment]["task"].pop("seen", None)
            measured = False
        for path, value in changes.items():
            try:
                values = with_node(values, self._located(path), _plain(value))
                values = _folded(values, *self.name[:2])
            except LookupError:
                known = [each for each, _ in leaves(self.cell)]
                raise SettingsError(
                    f"{path}: expected the path of a setting of {self.name}, received {path!r}"
                    f"{nearest(path, known)}"
                ) from None
        return _measured(Recipe(validated(values, GIVEN.format(function)), measured))

    def _located(self, path: str) -> str:
        """The path of a setting in the file."""
        first, *rest = path.split(".")
        environment, algorithm, strategy = self.name
        families = {
            "algorithm": ["algorithms", algorithm],
            "strategy": ["gradients", strategy],
            "tuning": ["tuning"],
            "evaluation": ["evaluation"],
        }
        # What an algorithm says of the learner stands in the cell's own, which this would hide.
        hidden = path.startswith("algorithm.learner")
        if hidden or first not in [*families, *Benchmark.model_fields]:
            raise KeyError(first)
        return ".".join([*families.get(first, ["environments", environment, first]), *rest])

    def __repr__(self) -> str:
        """In a line."""
        return f"Recipe({self.name}, {self.training.steps:,} steps)"


def recipe(
    names: tuple[Any, str, str], changes: Mapping[str, Any] | None, params: Path | str | None
) -> Recipe:
    """What `pamdp.cell` gives, whose arguments these are."""
    path = SHIPPED if params is None else Path(params)
    settings = load(path)
    values = settings.model_dump(mode="json")
    environment, algorithm, strategy = names
    _check_name("algorithm", algorithm, settings.algorithms)
    _check_name("strategy", strategy, settings.gradients)
    blocks = values["environments"]
    if not isinstance(environment, str) or environment not in blocks:
        task = _plain(task_of(environment, blocks))
        known = block_of(task, settings)
        block = blocks[known or settings.study.environments[0]] | {"task": task}
        environment = known or name_of(task)
        blocks[environment] = block if known else block | {"initial_parameters": None}
    values["study"] |= {
        "environments": [environment],
        "algorithms": [algorithm],
        "strategies": [strategy],
    }
    values = _folded(values, environment, algorithm)
    tuning = settings.tuning.of(CellName(environment, algorithm, strategy))
    # Without a search runs may be too short for one.
    values["tuning"] = tuning.model_dump(mode="json") | {"trials": 0, "use_trial": None}
    made = Recipe(validated(values, GIVEN.format("pamdp.cell")))
    return made.changed({} if changes is None else changes, "pamdp.cell")


def _folded(values: Any, environment: str, algorithm: str) -> Any:
    """What the algorithm says of the learner goes to where changes of it go."""
    variant = values["algorithms"][algorithm]
    own = variant.get("learner") if isinstance(variant, dict) else None
    if not (own and isinstance(own, dict)):
        return values
    learner = merged(values["environments"][environment]["learner"], own)
    values = with_node(values, f"algorithms.{algorithm}.learner", {})
    return with_node(values, f"environments.{environment}.learner", learner)


def _check_name(what: str, name: Any, known: Collection[str]) -> None:
    if not isinstance(name, str) or name not in known:
        raise SettingsError(
            f"{what}: expected one of {', '.join(known)}, received {name!r}{nearest(name, known)}"
        )


def _plain(value: Any) -> Any:
    """The value, with Python's own numbers and lists in the place of NumPy's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value


def _measured(made: Recipe) -> Recipe:
    """The same with what random episodes show of a user's environment, as `setup` has it measured.

    It is done in this process: what a notebook has registered is known nowhere else.
    """
    task = made.task
    if not isinstance(task, Gymnasium) or task.seen is not None:
        return made
    facts: dict[str, Any] = {}

    def lines() -> Generator[str]:
        facts.update((yield from measure(task)))

    told = [*lines()]
    known = [*driven(facts)]
    for line in told:
        text = f"{made.name.environment}: {line}"
        if line in known:
            logging.getLogger("pamdp").info(text)
        else:
            _warn(text)
    values = made.settings.model_dump(mode="json")
    seen = task.with_facts(facts).model_dump(mode="json")
    values["environments"][made.name.environment]["task"] = seen
    return Recipe(validated(values, GIVEN.format("pamdp.cell")), measured=True)


def _warn(text: str) -> None:
    """Warns, in the name of the user's line that has called us."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)
