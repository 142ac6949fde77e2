"""The settings of a study: params.yaml, read strictly, and the cells that it consists of."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, model_validator

from pamdp.algorithms import ALGORITHMS
from pamdp.base.component import Component, Finite, ListOf
from pamdp.base.errors import SettingsError, nearest
from pamdp.comparisons import Comparisons
from pamdp.evaluation import Evaluation
from pamdp.explain import distinct_and_known, explained
from pamdp.inheritance import origins, resolved
from pamdp.learning.cell import Cell, CellName, Problem
from pamdp.learning.training import Training
from pamdp.reading import read
from pamdp.strategies import STRATEGIES, AnyStrategy
from pamdp.tuning.checks import check_cell, check_paths, check_ranges
from pamdp.tuning.settings import Seeds, Tuning
from pamdp.tuning.space import Space
from pamdp.variants import AnyVariant, plain, problem_of

# Names become parts of shell commands, file names and keys; three make the name of a cell, and file
# systems allow 255 characters.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=36)]
Names = Annotated[ListOf[Name], Field(min_length=1)]
SHIPPED = Path(__file__).with_name("params.yaml")  # which settings files may extend


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


class Settings(Component):
    """All of params.yaml."""

    study: Study
    environments: dict[Name, Benchmark]
    algorithms: dict[Name, AnyVariant]  # pyright: ignore[reportInvalidTypeForm]
    gradients: dict[Name, AnyStrategy]
    tuning: Tuning
    evaluation: Evaluation
    comparisons: Comparisons = Comparisons()

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
        self._check_learners()
        self._check_comparisons()
        self._check_tuning()
        for cell in self.cells:
            name = cell.name.environment
            length = self.environments[name].training.steps
            path = f"environments.{name}.training.steps"
            _check_length(path, length, str(length), cell, self._origin(cell))
        return self

    def _check_learners(self) -> None:
        """An algorithm that is not run need not go with every environment, but with some."""
        wrong: list[str] = []
        for name in self.algorithms:
            run = name in self.study.algorithms
            found = [self._mistakes(e, name) for e in (self.study if run else self).environments]
            if run or all(found):
                wrong += chain(*found[: None if run else 1])
        if wrong:
            raise ValueError("\n  ".join(dict.fromkeys(wrong)))

    def _mistakes(self, environment: str, algorithm: str) -> list[str]:
        try:
            self._problem(environment, algorithm)
        except ValueError as error:
            return [f"algorithms.{algorithm}.{line}" for line in str(error).splitlines()]
        return []

    def _origin(self, cell: Cell) -> str:
        """Where it is said when the cell's learning starts."""
        algorithm = cell.name.algorithm
        own = "learning_starts" in self.algorithms[algorithm].learner
        return f"algorithms.{algorithm}.learner" if own else "learner"

    def _check_comparisons(self) -> None:
        known = {
            "strategies": list(self.gradients),
            "algorithms": list(self.algorithms),
            "measures": list(self.comparisons.measures),
        }
        # Of the study's own names alone: settings need not have what the defaults name.
        for field in sorted(self.comparisons.model_fields_set):
            names = getattr(self.comparisons, field)
            distinct_and_known(f"comparisons.{field}", names, known[field])

    def _check_tuning(self) -> None:
        # Known is what the settings define, and not only what the study runs, so that a smaller
        # study needs no smaller space.
        problems = self.environments.values()
        parts = [(field, getattr(p, field)) for p in problems for field in Problem.model_fields]
        parts += [("algorithm", plain(member)) for member in self.algorithms.values()]
        parts += [("strategy", member) for member in self.gradients.values()]
        parts += [("learner", cell.learner) for cell in self.cells]  # an algorithm may change it
        names = list(map("-".join, product(self.environments, self.algorithms, self.gradients)))
        _check_places(self.tuning, names)
        for name in ("", *self.tuning.cells):
            with _said_of(name, self.tuning):
                tuning = self.tuning.of(name)
                self._check_seeds(tuning)
                check_paths(tuning, parts)
        shared: dict[str, list[Space]] = {}  # by the cell that a space is said for
        for cell in self.cells:
            name, space = str(cell.name), Space(cell, self.tuning.of(cell.name))
            with _said_of(name, self.tuning):
                check_cell(space)
                if space.tuning.trials:
                    self._check_trials(space)
                    own = "space" in self.tuning.cells.get(name, {})
                    shared.setdefault(name if own else "", []).append(space)
        for name, spaces in shared.items():
            with _said_of(name, self.tuning):
                check_ranges(spaces)

    def _check_seeds(self, tuning: Tuning) -> None:
        distinct_and_known("tuning.seeds", tuning.seeds, list(tuning.seeds))
        shared = set(self.study.seeds) & set(tuning.seeds)
        if shared:
            raise ValueError(
                f"tuning.seeds: expected none of study.seeds, received {sorted(shared)}; scores "
                "of seeds that were tuned on are too good"
            )

    def _check_trials(self, space: Space) -> None:
        """No trial may need a larger memory than it has, or be too short."""
        name = space.cell.name.environment
        training = self.environments[name].training
        steps = space.tuning.training(training).steps
        told = (
            f"{space.tuning.share:g} of the {training.steps} steps of "
            f"environments.{name}.training.steps, {steps}"
        )
        demanding = space.most_demanding
        _check_length("tuning.share", steps, told, demanding, self._origin(demanding))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of the study."""
        study = self.study
        combined = product(study.environments, study.algorithms, study.strategies)
        return tuple(
            Cell.of(
                CellName(environment, algorithm, strategy),
                self._problem(environment, algorithm),
                plain(self.algorithms[algorithm]),
                self.gradients[strategy],
            )
            for environment, algorithm, strategy in combined
        )

    def _problem(self, environment: str, algorithm: str) -> Problem:
        """An environment, and how an algorithm learns it."""
        block = self.environments[environment]
        return problem_of(self.algorithms[algorithm], block, environment)

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
        whole = resolved(values, _shipped)
        return Settings.model_validate(whole)
    except ValidationError as error:
        lines = explained(error, whole, origins(values, _shipped))
    except ValueError as error:
        lines = [str(error)]
    raise SettingsError("\n".join([f"{name} is wrong:", *(f"  {line}" for line in lines)]))


def _shipped() -> Any:
    return read(SHIPPED)


def _check_places(tuning: Tuning, cells: Collection[str]) -> None:
    """What is said for single cells has to be said there, and of cells that there are."""
    if tuning.use_trial is not None:
        raise ValueError(
            f"tuning.use_trial: expected it under tuning.cells.<cell>, as trial {tuning.use_trial} "
            f"of each cell is another one, received {tuning.use_trial} for all cells"
        )
    for name, own in tuning.cells.items():
        if name not in cells:
            raise ValueError(
                f"tuning.cells.{name}: expected environment-algorithm-strategy of names under "
                f"environments, algorithms and gradients, received {name!r}{nearest(name, cells)}"
            )
        if "cells" in own:
            raise ValueError(
                f"tuning.cells.{name}.cells: expected what holds for this cell alone, received "
                "cells again; name others beside it"
            )


def _check_length(path: str, steps: int, told: str, cell: Cell, origin: str) -> None:
    """Runs too short to learn anything would look like any others."""
    starts = cell.learner.learning_starts
    if steps <= starts:
        raise ValueError(
            f"{path}: expected runs of more than {starts} steps in {cell.name.environment}, after "
            f"which learning starts ({origin}.learning_starts), received {told}"
        )


@contextmanager
def _said_of(cell: object, tuning: Tuning) -> Iterator[None]:
    """Around checks of what holds for a cell: they name the place where it is said."""
    own = tuning.cells.get(str(cell), {})
    try:
        yield
    except ValidationError as error:
        raise ValueError(f"tuning.cells.{cell}.{explained(error, own)[0]}") from None
    except ValueError as error:
        text = str(error).removeprefix("tuning.")
        if re.split(r"[.:]", text)[0] in own:
            raise ValueError(f"tuning.cells.{cell}.{text}") from None
        raise
