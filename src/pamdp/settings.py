"""The settings of a study: params.yaml, read strictly, and the cells that it consists of."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Union

import ruamel.yaml
from pydantic import Discriminator, Field, StringConstraints, ValidationError, model_validator

from pamdp.algorithms import ALGORITHMS
from pamdp.agents.learner import LearnerSettings
from pamdp.agents.policy import InitialParameters
from pamdp.envs import ENVIRONMENTS
from pamdp.envs.gymnasium import Gymnasium
from pamdp.gradients import AnyStrategy
from pamdp.gradients.plain import Plain
from pamdp.structure import Component, Count, Finite, Sequence, floats, leaves, with_floats

# Names become parts of shell commands, file names and keys.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Names = Annotated[Sequence[Name], Field(min_length=1)]
AnyEnvironment = Annotated[Union[(Gymnasium, *ENVIRONMENTS.values())], Discriminator("kind")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class SettingsError(ValueError):
    """The settings are wrong; the message names the key, what was received and expected."""


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


class Benchmark(Component):
    """An environment and how to learn it.

    Attributes:
      task: the environment.
      initial_parameters: hand-set parameters to start from, or null.
      learner: hyper-parameters.
    """

    task: AnyEnvironment
    initial_parameters: InitialParameters | None
    learner: LearnerSettings


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
      training: length of a trial.
      seeds: one run each for every trial; none of the training's own.
      sampler_seed: seed of the TPE sampler.
      lag: trial n is asked for once trials 0 to n - lag are told. It bounds how many run at a
        time, and makes the study the same for any number of workers.
      space: what is tuned; a cell without such a path leaves it out.
    """

    trials: Annotated[int, Field(ge=0)]
    training: Training
    seeds: Annotated[Sequence[Seed], Field(min_length=1)]
    sampler_seed: Seed
    lag: Count
    space: Sequence[Dimension]


class Evaluation(Component):
    """The final evaluation.

    Attributes:
      episodes: greedy episodes of each seed.
      return_threshold: "steps to this return" is reported.
    """

    episodes: Count
    return_threshold: Finite


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
        """The cell with other floats, by path; validated."""
        return Cell.model_validate(with_floats(self, values).model_dump())

    @property
    def forward(self) -> Cell:
        """The cell as far as its forward passes go: cells that differ in no more share a program."""
        members = getattr(self.strategy, "members", (self.strategy,))
        bounding = [member for member in members if member.bounds_forward]
        strategy = bounding[0] if bounding else Plain(kind="plain")
        return self.model_copy(update={"strategy": strategy, "strategy_name": "", "name": ""})

    def flattened(self) -> dict[str, bool | int | float | str | None]:
        """Settings by path, as a record lists them."""
        return dict(leaves(self))


class Settings(Component):
    """All of params.yaml."""

    study: Study
    environments: dict[Name, Benchmark]
    gradients: dict[Name, AnyStrategy]
    training: Training
    tuning: Tuning
    evaluation: Evaluation

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        known = {
            "environments": list(self.environments),
            "algorithms": list(ALGORITHMS),
            "strategies": [n for n, s in self.gradients.items() if s.kind == n],
            "chains": [n for n, s in self.gradients.items() if s.kind == "chain"],
            "seeds": list(self.study.seeds),
        }
        for field, names in known.items():
            _distinct_and_known(f"study.{field}", getattr(self.study, field), names)
        if not self.study.strategies + self.study.chains:
            raise ValueError("study.strategies: expected at least one strategy or chain")
        for name, strategy in self.gradients.items():
            if strategy.kind not in (name, "chain"):
                raise ValueError(
                    f"gradients.{name}.kind: expected {name!r}, the name it stands under, "
                    f"received {strategy.kind!r}"
                )
        shared = set(self.study.seeds) & set(self.tuning.seeds)
        if shared:
            raise ValueError(
                f"tuning.seeds: expected none of study.seeds, received {sorted(shared)}; scores "
                "of seeds that were tuned on are too good"
            )
        self._check_space()
        return self

    def _check_space(self) -> None:
        paths = {path for cell in self.cells for path in floats(cell)}
        for index, dimension in enumerate(self.tuning.space):
            where = f"tuning.space.{index}"
            if dimension.path not in paths:
                raise ValueError(
                    f"{where}.path: expected the path of a float of a cell, received "
                    f"{dimension.path!r}{_nearest(dimension.path, paths)}"
                )
            for cell in self.cells:
                for end in ("low", "high"):
                    value = getattr(dimension, end)
                    try:
                        if dimension.path in floats(cell):
                            cell.replace({dimension.path: value})
                    except ValidationError as error:
                        reason = error.errors()[0]["msg"]
                        raise ValueError(f"{where}.{end}: received {value}; {reason}") from None

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of the study."""
        return tuple(
            Cell(
                name=f"{environment}-{algorithm}-{strategy}",
                environment=environment,
                algorithm=algorithm,
                strategy_name=strategy,
                strategy=self.gradients[strategy],
                **dict(self.environments[environment]),
            )
            for environment in self.study.environments
            for algorithm in self.study.algorithms
            for strategy in self.study.strategies + self.study.chains
        )

    def cell(self, name: str) -> Cell:
        """The cell of this name."""
        for cell in self.cells:
            if cell.name == name:
                return cell
        names = [cell.name for cell in self.cells]
        raise SettingsError(f"cell: expected one of the study's, received {name!r}{_nearest(name, names)}")


def load(path: Path = Path("params.yaml")) -> Settings:
    """Reads and validates a settings file (YAML 1.2).

    Raises:
      SettingsError: one message that lists every wrong key: its path, the value received, what
        was expected, and the nearest known name of an unknown one.
    """
    try:
        values = ruamel.yaml.YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise SettingsError(f"{path}: expected a settings file, found none") from None
    except ruamel.yaml.error.YAMLError as error:
        raise SettingsError(f"{path}: expected YAML 1.2, received: {error}") from None
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [_explained(e, values) for e in error.errors()]
        raise SettingsError("\n".join([f"{path} is wrong:", *lines])) from None


def fingerprint(cell: Cell, *parts: Any) -> str:
    """Hash of what a cell's results depend on: its settings, `parts`, and the code it runs."""
    values = [part.model_dump(mode="json") if isinstance(part, Component) else part for part in parts]
    content = json.dumps([cell.model_dump(mode="json"), values], sort_keys=True)
    digest = hashlib.sha256(content.encode())
    for source in sources(cell):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def sources(cell: Cell) -> list[Path]:
    """The files of the code that a cell runs: the shared ones and its own plug-ins."""
    package = Path(__file__).parent
    members = getattr(cell.strategy, "members", (cell.strategy,))
    plug_ins = [*map(type, (cell.task, *members)), ALGORITHMS[cell.algorithm]]
    files = {Path(inspect.getfile(plug_in)) for plug_in in plug_ins}
    for name in SHARED_SOURCES:
        path = package / name
        files.update(path.glob("*.py") if path.is_dir() else [path])
    return sorted(files)


SHARED_SOURCES = (
    "structure.py",
    "seeding.py",
    "spaces.py",
    "networks.py",
    "evaluation.py",
    "loops.py",
    "training.py",
    "agents",
    "algorithms/base.py",
    "envs/base.py",
    "gradients/base.py",
    "gradients/chain.py",
)


def _distinct_and_known(path: str, received: tuple, known: list) -> None:
    for index, name in enumerate(received):
        if name in received[:index]:
            raise ValueError(f"{path}.{index}: expected each name once, received {name!r} again")
        if name not in known:
            raise ValueError(
                f"{path}.{index}: expected one of {', '.join(map(str, known))}, received "
                f"{name!r}{_nearest(name, known)}"
            )


def _nearest(name: Any, known: Any) -> str:
    close = difflib.get_close_matches(str(name), [str(k) for k in known], 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _explained(error: Any, values: Any) -> str:
    """One line for one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    path, received = _located(error["loc"], values, kind == "missing")
    if kind == "unknown_key":
        key = context["key"]
        hint = _nearest(key, context["known"].split(", "))
        return f"  {_joined(path, key)}: unknown key; {error['msg']}{hint}"
    if kind == "missing":
        return f"  {path}: expected a value, received none"
    if kind.startswith("union_tag"):
        known = context.get("expected_tags", "").replace("'", "").split(", ")
        tag = context.get("tag")
        return (
            f"  {_joined(path, 'kind')}: expected one of {', '.join(known)}, "
            f"received {tag!r}{_nearest(tag, known)}"
        )
    message = error["msg"].removeprefix("Value error, ")
    if kind == "value_error":  # ours: it says what was received
        return f"  {_joined(path, message) if ':' in message.split(' ')[0] else f'{path}: {message}'}"
    return f"  {path}: {message[0].lower() + message[1:]}, received {received!r}"


def _located(location: tuple, values: Any, missing: bool) -> tuple[str, Any]:
    """The path of a key as the file spells it, and the value there.

    Pydantic's locations also name the members of unions that were tried; those are left out.
    """
    path = []
    for part in location:
        if isinstance(values, dict) and part in values:
            values = values[part]
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        elif not (missing and part == location[-1]):
            continue
        path.append(str(part))
    return ".".join(path), values


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml, for completion in editors."""
    return Settings.model_json_schema()


if __name__ == "__main__":
    Path("params.schema.json").write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n")
    sys.exit()
