"""What is tuned, and how long; apart from the study, which needs Optuna."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pamdp.base.component import Component, Count, Finite, Index, ListOf, Text
from pamdp.learning.training import Training

Seeds = Annotated[ListOf[Index], Field(min_length=1, max_length=1000)]


class Dimension(Component):
    """A float of a cell to tune, by its path there, such as `learner.q.learning_rate`."""

    path: Text
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

    trials: Index
    share: Annotated[float, Field(gt=0, le=1)]
    seeds: Seeds
    sampler_seed: Index
    lag: Count
    space: ListOf[Dimension]

    def training(self, full: Training) -> Training:
        """The training of a trial, given that of the environment."""
        return full.model_copy(update={"steps": max(1, round(self.share * full.steps))})
