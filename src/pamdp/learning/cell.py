"""Cells: one environment, one algorithm and one strategy each, and all that learning takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import model_validator

from pamdp.algorithms import ALGORITHMS, AnyAlgorithm
from pamdp.base.component import Component, leaves, nodes, with_node
from pamdp.base.environment import Environment
from pamdp.base.errors import SettingsError, nearest
from pamdp.bridge.tasks import AnyTask
from pamdp.learning.learner import Learner
from pamdp.learning.learner_settings import LearnerSettings
from pamdp.learning.policy import InitialParameters, Policy
from pamdp.strategies import AnyStrategy

LEFT_OUT = ("name.", "algorithm.", "task.seen")  # of the parameters of a record


class CellName(NamedTuple):
    """What a cell combines, by names in params.yaml; as text `environment-algorithm-strategy`."""

    environment: str
    algorithm: str
    strategy: str

    def __str__(self) -> str:
        return "-".join(self)

    @classmethod
    def parse(cls, text: str) -> CellName:
        """The names in a text that `str` gave.

        Raises:
          ValueError: it gave no such text.
        """
        names = text.split("-")
        if len(names) != len(cls._fields):
            raise ValueError(f"expected environment-algorithm-strategy, received {text!r}")
        return cls(*names)


class Problem(Component):
    """An environment and how it is learned; all of it that a cell depends on.

    Attributes:
      task: the environment.
      initial_parameters: hand-set parameters to start from, or null.
      learner: hyper-parameters.
    """

    task: AnyTask  # pyright: ignore[reportInvalidTypeForm]
    initial_parameters: InitialParameters | None
    learner: LearnerSettings

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        # What another form of environment needs is known once it is made, which is not done here.
        if self.initial_parameters is not None and isinstance(self.task, Environment):
            num_features = len(self.task.observation_low)
            self.initial_parameters.check(self.task.actions.num_parameters, num_features)
        _check_memory(self.learner, self.task.side_by_side)
        return self


class Cell(Problem):
    """One combination of the study: all that its training depends on, but for its length."""

    labels: ClassVar[tuple[str, ...]] = ("name",)

    name: CellName
    algorithm: AnyAlgorithm  # pyright: ignore[reportInvalidTypeForm]
    strategy: AnyStrategy

    @model_validator(mode="after")
    def _able(self) -> Self:
        if self.learner.candidates is not None and not self.algorithm.own:
            able = ", ".join(f"`{kind}`" for kind, each in ALGORITHMS.items() if each.own)
            raise SettingsError(
                f"{self.name}: learner.candidates: expected null for {self.algorithm.title}, whose "
                "value of an action depends on the parameters of all actions, so that none can be "
                f"valued without the others; received {self.learner.candidates}. Take another "
                f"algorithm ({able}), or a block of environments without candidates"
            )
        return self

    @classmethod
    def of(cls, name: CellName, problem: Problem, algorithm: Any, strategy: Any) -> Cell:
        """The cell of this name, made of its three members."""
        values = {field: getattr(problem, field) for field in Problem.model_fields}
        return cls(name=name, algorithm=algorithm, strategy=strategy, **values)

    @property
    def nodes(self) -> dict[str, Any]:
        """Its settings as plain values by path, also of whole blocks and lists."""
        return {
            path: value
            for path, value in nodes(self.model_dump(mode="json"))
            if path.partition(".")[0] not in self.labels
        }

    def replace(self, values: Mapping[str, Any]) -> Cell:
        """The cell with other settings, by path; validated.

        Args:
          values: numbers, texts, lists or whole blocks, as params.yaml has them. Of another `kind`
            the rest of its block takes its defaults.

        Raises:
          SettingsError: the cell has no such path.
          ValidationError: a value is out of range, or does not fit the others.
        """
        known, plain = self.nodes, self.model_dump()
        for path, value in values.items():
            if path not in known:
                raise SettingsError(
                    f"{path}: expected the path of a setting of {self.name}, received {path!r}"
                    f"{nearest(path, known)}"
                )
            plain = with_node(plain, path, value)
        return Cell.model_validate(plain)

    @property
    def forward(self) -> Cell:
        """The cell as far as its forward passes go, so that more cells share a program."""
        return self.model_copy(update={"strategy": self.strategy.forward})

    def flattened(self) -> dict[str, bool | int | float | str | None]:
        """Settings by path, as a record lists them.

        An algorithm's are left out where its name tells them: a kind, with its defaults. So is what
        was seen of an environment: it is measured, and has two numbers for each feature.
        """
        environment, algorithm, strategy = self.name
        settings = dict(leaves(self))
        own = {path: value for path, value in settings.items() if path.startswith("algorithm.")}
        kind = self.algorithm.kind
        if kind == algorithm and self.algorithm == type(self.algorithm)(kind=kind):
            own = {}
        return {
            "name": str(self.name),
            "environment": environment,
            "algorithm": algorithm,
            "strategy_name": strategy,
            **own,
            **{p: v for p, v in settings.items() if not p.startswith(LEFT_OUT)},
        }


def _check_memory(learner: LearnerSettings, side_by_side: int) -> None:
    """The memory has to hold what is taken from it at a time, in rows."""
    sizes = {"batch_size": learner.batch_size}
    if learner.n_step is not None:
        sizes["n_step.steps"] = learner.n_step.steps * side_by_side
    for path, size in sizes.items():
        if size > learner.replay_size:
            raise SettingsError(
                f"learner.{path}: expected at most what the memory keeps, {learner.replay_size} "
                f"transitions (learner.replay_size), received {size}"
            )


def policy_of(cell: Cell) -> Policy:
    """The forward passes of a cell."""
    task, learner = cell.task, cell.learner
    return Policy(
        cell.algorithm.choices(task.actions),
        cell.algorithm.parameter_network(learner.parameters, task.actions),
        cell.strategy,
        cell.algorithm.q_function(learner.q, task.actions),
        task.observation_low,
        task.observation_high,
        cell.initial_parameters,
    )


def learner_of(cell: Cell) -> Learner:
    """The learner of a cell."""
    return Learner(cell.learner, policy_of(cell), cell.task.side_by_side)
