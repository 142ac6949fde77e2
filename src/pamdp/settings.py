"""The settings of a study: params.yaml, read strictly, and the cells that it consists of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, model_validator

from pamdp.algorithms import ALGORITHMS, AnyAlgorithm
from pamdp.base.component import Component, Finite, ListOf, floats, leaves
from pamdp.base.environment import Environment
from pamdp.base.errors import SettingsError, nearest
from pamdp.evaluation import Evaluation
from pamdp.explain import distinct_and_known, expected, explained
from pamdp.inheritance import origins, resolved
from pamdp.learning.cell import Cell, CellName, Problem
from pamdp.learning.training import Training
from pamdp.reading import read
from pamdp.strategies import STRATEGIES, AnyStrategy
from pamdp.tuning.settings import Dimension, Seeds, Tuning

# Names become parts of shell commands, file names and keys; three make the name of a cell, and file
# systems allow 255 characters.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=36)]
Names = Annotated[ListOf[Name], Field(min_length=1)]


class Study(Component):
    """Which cells there are: environments x algorithms x strategies.

    Attributes:
      name: the MLflow experiment.
      environments: names under `environments`.
      algorithms: names under `algorithms`.
      strategies: names under `gradients`.
      seeds: one training run each.
    """

    name: Name
    environments: Names
    algorithms: Names
    strategies: Names
    seeds: Seeds


class Benchmark(Problem):
    """An environment and how it is learned.

    Attributes:
      task: the environment.
      initial_parameters: hand-set parameters to start from, or null.
      learner: hyper-parameters.
      training: how long it is learned.
      return_threshold: "steps to this return" is reported.
    """

    training: Training
    return_threshold: Finite

    @model_validator(mode="after")
    def _fitting(self) -> Benchmark:
        # What another form of environment needs is known once it is made, which is not done here.
        if self.initial_parameters is not None and isinstance(self.task, Environment):
            num_features = len(self.task.observation_low)
            self.initial_parameters.check(self.task.actions.num_parameters, num_features)
        learner = self.learner
        sizes = {"learner.batch_size": learner.batch_size}
        if learner.n_step is not None:
            sizes["learner.n_step.steps"] = learner.n_step.steps
        for path, size in sizes.items():
            if size > learner.replay_size:
                raise ValueError(
                    f"{path}: expected at most what the memory keeps, {learner.replay_size} "
                    f"transitions (learner.replay_size), received {size}"
                )
        return self


class Settings(Component):
    """All of params.yaml."""

    study: Study
    environments: dict[Name, Benchmark]
    algorithms: dict[Name, AnyAlgorithm]  # pyright: ignore[reportInvalidTypeForm]
    gradients: dict[Name, AnyStrategy]
    tuning: Tuning
    evaluation: Evaluation

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        _check_kinds("algorithms", self.algorithms, ALGORITHMS)
        _check_kinds("gradients", self.gradients, STRATEGIES)
        known = {
            "environments": list(self.environments),
            "algorithms": list(self.algorithms),
            "strategies": list(self.gradients),
            "seeds": list(self.study.seeds),
        }
        for field, names in known.items():
            distinct_and_known(f"study.{field}", getattr(self.study, field), names)
        distinct_and_known("tuning.seeds", self.tuning.seeds, list(self.tuning.seeds))
        shared = set(self.study.seeds) & set(self.tuning.seeds)
        if shared:
            raise ValueError(
                f"tuning.seeds: expected none of study.seeds, received {sorted(shared)}; scores "
                "of seeds that were tuned on are too good"
            )
        self._check_space()
        for name in self.study.environments:
            self._check_lengths(name)
        return self

    def _check_lengths(self, name: str) -> None:
        """Runs too short to learn anything would look like any others."""
        training, learner = self.environments[name].training, self.environments[name].learner
        path, steps = f"environments.{name}.training.steps", training.steps
        lengths = {path: (steps, str(steps))}
        if self.tuning.trials:
            trial = self.tuning.training(training).steps
            told = f"{self.tuning.share:g} of the {steps} steps of {path}, {trial}"
            lengths["tuning.share"] = (trial, told)
        for path, (steps, told) in lengths.items():
            if steps <= learner.learning_starts:
                raise ValueError(
                    f"{path}: expected runs of more than {learner.learning_starts} steps in {name},"
                    f" after which learning starts (learner.learning_starts), received {told}"
                )

    def _check_space(self) -> None:
        # Known is what the settings define, and not only what the study runs, so that a smaller
        # study needs no smaller space.
        problems = self.environments.values()
        parts = [(field, getattr(p, field)) for p in problems for field in Problem.model_fields]
        parts += [("algorithm", member) for member in self.algorithms.values()]
        parts += [("strategy", member) for member in self.gradients.values()]
        found = (leaf for field, part in parts for leaf in leaves(part, field))
        known = {path for path, value in found if isinstance(value, float)}
        paths = [dimension.path for dimension in self.tuning.space]
        for index, (path, dimension) in enumerate(zip(paths, self.tuning.space, strict=True)):
            where = f"tuning.space.{index}"
            if path not in known:
                raise ValueError(
                    f"{where}.path: expected the path of a float of a cell, received {path!r}"
                    f"{nearest(path, known)}"
                )
            if path in paths[:index]:
                raise ValueError(f"{where}.path: expected each path once, received {path!r} again")
            for cell in self.cells:
                if path in floats(cell):
                    _check_range(cell, dimension, where, self.tuning.trials > 0)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of the study."""
        study = self.study
        combined = product(study.environments, study.algorithms, study.strategies)
        return tuple(
            Cell.of(
                CellName(environment, algorithm, strategy),
                self.environments[environment],
                self.algorithms[algorithm],
                self.gradients[strategy],
            )
            for environment, algorithm, strategy in combined
        )

    def cell(self, name: str) -> Cell:
        """The cell of this name."""
        cells = {str(cell.name): cell for cell in self.cells}
        if name not in cells:
            raise SettingsError(
                f"cell: expected one of the study's, received {name!r}{nearest(name, cells)}"
            )
        return cells[name]


def _check_kinds(path: str, members: Mapping[str, Any], kinds: Collection[str]) -> None:
    """A name may be anything but that of another kind: reports and references go by names."""
    for name, member in members.items():
        if name in kinds and member.kind != name:
            raise ValueError(
                f"{path}.{name}: expected the kind {name!r}, which has this name, received "
                f"{member.kind!r}; give it a name of its own"
            )


def load(path: Path = Path("params.yaml")) -> Settings:
    """Reads and validates a settings file (YAML 1.2).

    Raises:
      SettingsError: one message that lists every wrong key: its path, the value received, what
        was expected, and the nearest known name of an unknown one.
    """
    return validated(read(path), path)


def validated(values: Any, name: object) -> Settings:
    """Settings of the plain values that stand in a file; some of its blocks may extend others.

    Raises:
      SettingsError: as above, with the name of the file.
    """
    whole = values
    try:
        whole = resolved(values)
        return Settings.model_validate(whole)
    except ValidationError as error:
        lines = explained(error, whole, origins(values))
    except ValueError as error:
        lines = [str(error)]
    raise SettingsError("\n".join([f"{name} is wrong:", *(f"  {line}" for line in lines)]))


def _check_range(cell: Cell, dimension: Dimension, where: str, used: bool) -> None:
    """A float has to allow both ends of its range and, if that is used, to lie within."""
    value, low, high = floats(cell)[dimension.path], dimension.low, dimension.high
    for name, end in (("low", low), ("high", high)):
        try:
            cell.replace({dimension.path: end})
        except ValidationError as error:
            reason = expected(error.errors()[0])
            raise ValueError(
                f"{where}.{name}: expected {reason}, as {dimension.path} has to be, received {end}"
            ) from None
    if used and not low <= value <= high:  # it is trial 0
        raise ValueError(
            f"{where}: expected a range around {value}, with which {cell.name} starts, received "
            f"{low} to {high}"
        )
