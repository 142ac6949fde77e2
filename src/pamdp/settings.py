"""The settings of a study: params.yaml, read strictly, and the cells that it consists of."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pamdp.agents.learner import LearnerSettings
from pamdp.agents.policy import InitialParameters
from pamdp.algorithms import ALGORITHMS
from pamdp.cells import AnyEnvironment, Cell, fingerprint
from pamdp.envs.gymnasium import Gymnasium
from pamdp.gradients import STRATEGIES, AnyStrategy
from pamdp.problems import SettingsError, distinct_and_known, expected, explained, nearest
from pamdp.structure import Component, Count, Finite, Sequence, floats

__all__ = ["Cell", "Settings", "SettingsError", "Training", "fingerprint", "load"]

# Names become parts of shell commands, file names and keys.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Names = Annotated[Sequence[Name], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
KINDS = {get_args(strategy.model_fields["kind"].annotation)[0] for strategy in STRATEGIES}


class Study(Component):
    """Which cells there are: environments x algorithms x (strategies and chains).

    Attributes:
      name: the MLflow experiment.
      environments: names under `environments`.
      algorithms: names of algorithms.
      strategies: names under `gradients`, each named after its kind.
      chains: names under `gradients` that are lists.
      seeds: one training run each.
    """

    name: Name
    environments: Names
    algorithms: Names
    strategies: Sequence[Name]
    chains: Sequence[Name]
    seeds: Annotated[Sequence[Seed], Field(min_length=1)]


class Training(Component):
    """Length of a training run, in environment steps.

    Attributes:
      steps: steps of each seed.
      report_every: steps between two points of the learning curves.
      evaluation_episodes: greedy episodes at each point.
    """

    steps: Count
    report_every: Count
    evaluation_episodes: Count


class Benchmark(Component):
    """An environment and how to learn it.

    Attributes:
      task: the environment.
      initial_parameters: hand-set parameters to start from, or null.
      learner: hyper-parameters.
      training: how long it is learned.
      return_threshold: "steps to this return" is reported.
    """

    task: AnyEnvironment
    initial_parameters: InitialParameters | None
    learner: LearnerSettings
    training: Training
    return_threshold: Finite

    @model_validator(mode="after")
    def _fitting(self) -> Benchmark:
        # What a Gymnasium environment needs is known once it is made, which is not done here.
        if self.initial_parameters is not None and not isinstance(self.task, Gymnasium):
            num_features = len(self.task.observation_low)
            self.initial_parameters.check(self.task.actions.num_parameters, num_features)
        return self


class Dimension(Component):
    """A float of a cell to tune, by its path there, such as `learner.q.learning_rate`."""

    path: str
    low: Finite
    high: Finite
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Dimension:
        if self.low >= self.high:
            raise ValueError(f"expected low < high, received low {self.low}, high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low > 0 on a log scale, received {self.low}")
        return self


class Tuning(Component):
    """The Optuna study of each cell.

    Attributes:
      trials: number of trials; 0 uses the settings as they stand. Trial 0 is these settings.
      share: length of a trial, as a share of the environment's training.
      seeds: one run each for every trial; none of the training's own.
      sampler_seed: seed of the TPE sampler.
      lag: trial n is asked for once trials 0 to n - lag are told. It bounds how many run at a
        time, and makes the study the same for any number of workers.
      space: what is tuned; a cell without such a path leaves it out.
    """

    trials: Annotated[int, Field(ge=0)]
    share: Annotated[float, Field(gt=0, le=1)]
    seeds: Annotated[Sequence[Seed], Field(min_length=1)]
    sampler_seed: Seed
    lag: Count
    space: Sequence[Dimension]

    def training(self, full: Training) -> Training:
        """The training of a trial, given that of the environment."""
        return full.model_copy(update={"steps": max(1, round(self.share * full.steps))})


class Evaluation(Component):
    """The final evaluation.

    Attributes:
      episodes: greedy episodes of each seed.
    """

    episodes: Count


class Settings(Component):
    """All of params.yaml."""

    study: Study
    environments: dict[Name, Benchmark]
    gradients: dict[Name, AnyStrategy]
    tuning: Tuning
    evaluation: Evaluation

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for name, strategy in self.gradients.items():
            if strategy.kind == "chain" and name in KINDS:
                raise ValueError(
                    f"gradients.{name}: expected a strategy of kind {name!r}, received a chain; "
                    "give the chain a name of its own"
                )
            if strategy.kind not in (name, "chain"):
                raise ValueError(
                    f"gradients.{name}.kind: expected {name!r}, the name it stands under, "
                    f"received {strategy.kind!r}"
                )
        known = {
            "environments": list(self.environments),
            "algorithms": list(ALGORITHMS),
            "strategies": [n for n, s in self.gradients.items() if s.kind == n],
            "chains": [n for n, s in self.gradients.items() if s.kind == "chain"],
            "seeds": list(self.study.seeds),
        }
        for field, names in known.items():
            distinct_and_known(f"study.{field}", getattr(self.study, field), names)
        if not self.study.strategies + self.study.chains:
            raise ValueError(
                "study.strategies: expected at least one strategy or chain, received none"
            )
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
        lengths = {f"environments.{name}.training.steps": training.steps}
        if self.tuning.trials:
            lengths["tuning.share"] = self.tuning.training(training).steps
        for path, steps in lengths.items():
            if steps < learner.learning_starts:
                raise ValueError(
                    f"{path}: expected runs of at least {learner.learning_starts} steps in {name}, "
                    f"with which learning starts (learner.learning_starts), received {steps}"
                )

    def _check_space(self) -> None:
        # Known is what the settings define, and not only what the study runs, so that a smaller
        # study needs no smaller space. The algorithms do not differ in their floats.
        defined = self._cells(self.environments, self.study.algorithms[:1], self.gradients)
        known = {path for cell in defined for path in floats(cell)}
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
        return self._cells(study.environments, study.algorithms, study.strategies + study.chains)

    def _cells(
        self, environments: Iterable[str], algorithms: Iterable[str], strategies: Iterable[str]
    ) -> tuple[Cell, ...]:
        def cell(environment: str, algorithm: str, strategy: str) -> Cell:
            benchmark = self.environments[environment]
            return Cell(
                name=f"{environment}-{algorithm}-{strategy}",
                environment=environment,
                algorithm=algorithm,
                strategy_name=strategy,
                strategy=self.gradients[strategy],
                task=benchmark.task,
                initial_parameters=benchmark.initial_parameters,
                learner=benchmark.learner,
            )

        return tuple(cell(*names) for names in product(environments, algorithms, strategies))

    def cell(self, name: str) -> Cell:
        """The cell of this name."""
        for cell in self.cells:
            if cell.name == name:
                return cell
        names = [cell.name for cell in self.cells]
        raise SettingsError(
            f"cell: expected one of the study's, received {name!r}{nearest(name, names)}"
        )


def load(path: Path = Path("params.yaml")) -> Settings:
    """Reads and validates a settings file (YAML 1.2).

    Raises:
      SettingsError: one message that lists every wrong key: its path, the value received, what
        was expected, and the nearest known name of an unknown one.
    """
    try:
        values = YAML(typ="safe").load(path)
    except OSError as error:
        raise SettingsError(
            f"{path}: expected a settings file, received {error.strerror}"
        ) from None
    except YAMLError as error:
        raise SettingsError(f"{path}: expected valid YAML 1.2, received: {_first(error)}") from None
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [f"  {line}" for line in explained(error, values)]
        raise SettingsError("\n".join([f"{path} is wrong:", *lines])) from None


def _first(error: YAMLError) -> str:
    """What is wrong, without the library's advice on how to allow it."""
    return str(error).split("\n\n")[0]


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
