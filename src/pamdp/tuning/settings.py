"""What is tuned, how and how long; apart from the study, which needs Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from pamdp.base.component import Component, Count, Finite, Index, ListOf, Text
from pamdp.learning.training import Training
from pamdp.tuning.pruners import Nop, Pruner
from pamdp.tuning.samplers import TPE, Sampler

Seeds = Annotated[ListOf[Index], Field(min_length=1, max_length=1000)]


def _frozen(value: Any) -> Any:
    """Plain values with tuples for lists, as settings have them."""
    if isinstance(value, Mapping):
        return {name: _frozen(member) for name, member in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


Plain = Annotated[Any, BeforeValidator(_frozen)]
Point = Annotated[dict[Text, Plain], Field(min_length=1)]  # values by path


class Range(Component):
    """A number of a cell to tune, by its path there, such as `learner.q.learning_rate`.

    Where the cell has an integer, integers are tried.
    """

    path: Text
    low: Finite
    high: Finite
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"expected low < high, received low {self.low}, high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low > 0 on a log scale, received {self.low}")
        return self


class Choices(Component):
    """Values of a cell to choose from, by the path there: numbers, texts, lists or whole blocks."""

    path: Text
    choices: Annotated[ListOf[Plain], Field(min_length=2, max_length=1000)]


def _form(value: Any) -> str:
    chosen = "choices" in value if isinstance(value, Mapping) else isinstance(value, Choices)
    return "choices" if chosen else "range"


Dimension = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_form)
]


class Tuning(Component):
    """The Optuna study of each cell.

    Attributes:
      trials: number of trials; 0 uses the settings as they stand. Trial 0 is these settings. A
        larger number goes on with the study.
      share: length of a trial, as a share of the environment's training.
      seeds: one run each for every trial; none of the training's own.
      sampler_seed: seed of the sampler.
      lag: trial n is asked for once trials 0 to n - lag are told. It bounds how many run at a
        time, and makes the study the same for any number of workers.
      sampler: how values are suggested.
      pruner: when a trial is given up.
      enqueue: points to be tried right after trial 0, as values by path; what a point does not
        name is as it stands.
      space: what is tuned; a cell without such a path leaves it out.
      use_trial: the number of the trial whose values are trained, of a single cell under `cells`;
        null for the best one.
      cells: what is said otherwise for a single cell, by its name.
    """

    trials: Index
    share: Annotated[float, Field(gt=0, le=1)]
    seeds: Seeds
    sampler_seed: Index
    lag: Count
    sampler: Sampler = TPE(kind="tpe")
    pruner: Pruner = Nop(kind="nop")
    enqueue: ListOf[Point] = ()
    space: ListOf[Dimension]
    use_trial: Index | None = None
    cells: dict[Text, dict[Text, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _trial_there(self) -> Tuning:
        if self.use_trial is not None and self.use_trial >= self.trials:
            raise ValueError(
                f"use_trial: expected a trial below {self.trials} (trials), received "
                f"{self.use_trial}"
            )
        return self

    @model_validator(mode="after")
    def _seeds_enough(self) -> Tuning:
        if len(self.seeds) < self.pruner.least_seeds:
            raise ValueError(
                f"seeds: expected at least {self.pruner.least_seeds} of them, with fewer of which "
                f"pruner {self.pruner.kind} can give no trial up, received {len(self.seeds)}"
            )
        return self

    def of(self, cell: object) -> Tuning:
        """What holds for the cell of this name.

        Raises:
          ValidationError: what is said for it alone is wrong.
        """
        common = self.model_copy(update={"cells": {}})
        own = self.cells.get(str(cell))
        return Tuning.model_validate(common.model_dump() | own) if own else common

    @property
    def identity(self) -> Tuning:
        """All that its trials follow from; not how many there are, and which of them is used."""
        return self.model_copy(update={"trials": 0, "use_trial": None, "cells": {}})

    @property
    def packages(self) -> tuple[str, ...]:
        """What its sampler and its pruner need besides Optuna."""
        return tuple(sorted({*self.sampler.packages, *self.pruner.packages}))

    def training(self, full: Training) -> Training:
        """The training of a trial, given that of the environment."""
        return full.model_copy(update={"steps": max(1, round(self.share * full.steps))})
