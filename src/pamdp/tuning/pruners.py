"""When a trial is given up: Optuna's pruners as settings, whose options have Optuna's names.

A trial is compared with those that were told when it was asked for, and with no others. So whether
it is given up follows from the study alone, and not from what else happens to have finished.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from pamdp.base.component import Count, Index, PositiveShare
from pamdp.tuning.from_optuna import FromOptuna, experimental

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruning(FromOptuna):
    """A pruner.

    Attributes:
      by_seed: whether a trial is judged after each of its seeds, by their scores, and its seeds are
        trained one after another; else at each point of its curve, the mean of the seeds' curves.
      reported: what that is, as records name it.
    """

    by_seed: ClassVar[bool] = False
    reported: ClassVar[str] = "eval/return"

    @property
    def least_seeds(self) -> int:
        """How many seeds a trial has to have for any to be given up."""
        return 1

    def pruner(self) -> BasePruner:
        """Optuna's pruner."""
        with experimental():
            return self._made()

    @abstractmethod
    def _made(self) -> BasePruner:
        """The pruner."""


class Nop(Pruning):
    """Every trial is run to its end."""

    kind: Literal["nop"]

    def _made(self) -> BasePruner:
        from optuna.pruners import NopPruner

        return NopPruner()


class Percentile(Pruning):
    """Gives up a trial whose best point lies below a percentile of the others at that step.

    Attributes:
      percentile: those kept, the upper 25 % by default.
      n_startup_trials: to be told before any is given up.
      n_warmup_steps: training steps before which none is given up.
    """

    kind: Literal["percentile"]
    percentile: Annotated[float, Field(ge=0, le=100)] = 25.0
    n_startup_trials: Index = 5
    n_warmup_steps: Index = 0

    def _made(self) -> BasePruner:
        from optuna.pruners import PercentilePruner

        return PercentilePruner(self.percentile, self.n_startup_trials, self.n_warmup_steps)


class Median(Pruning):
    """Gives up a trial whose best point lies below the median of the others at that step.

    Attributes:
      n_startup_trials: to be told before any is given up.
      n_warmup_steps: training steps before which none is given up.
    """

    kind: Literal["median"]
    n_startup_trials: Index = 5
    n_warmup_steps: Index = 0

    def _made(self) -> BasePruner:
        from optuna.pruners import MedianPruner

        return MedianPruner(self.n_startup_trials, self.n_warmup_steps)


class SuccessiveHalving(Pruning):
    """Keeps one in `reduction_factor` at each rung; rungs lie at multiples of each other.

    Attributes:
      min_resource: training steps up to the first rung.
      reduction_factor: of trials, and of the steps between rungs.
      min_early_stopping_rate: rungs that are left out.
    """

    replayed: ClassVar[bool] = True  # it notes which rung a trial has reached

    kind: Literal["successive_halving"]
    min_resource: Count
    reduction_factor: Annotated[int, Field(ge=2, le=100)] = 4
    min_early_stopping_rate: Annotated[int, Field(ge=0, le=30)] = 0

    def _made(self) -> BasePruner:
        from optuna.pruners import SuccessiveHalvingPruner

        return SuccessiveHalvingPruner(
            self.min_resource, self.reduction_factor, self.min_early_stopping_rate
        )


class Wilcoxon(Pruning):
    """Gives up a trial whose seeds are worse than the best trial's, seed by seed.

    Attributes:
      p_threshold: of Wilcoxon's signed-rank test, below which it is.
      n_startup_steps: seeds before which none is given up.
    """

    packages: ClassVar[tuple[str, ...]] = ("scipy",)
    by_seed: ClassVar[bool] = True
    reported: ClassVar[str] = "score/seed"

    kind: Literal["wilcoxon"]
    p_threshold: PositiveShare = 0.1
    n_startup_steps: Index = 2

    @property
    def least_seeds(self) -> int:
        """So many that the test's p can fall below the threshold: it is 2^-n if all n are worse."""
        return max(2, self.n_startup_steps, math.floor(-math.log2(self.p_threshold)) + 1)

    def _made(self) -> BasePruner:
        from optuna.pruners import WilcoxonPruner

        return WilcoxonPruner(p_threshold=self.p_threshold, n_startup_steps=self.n_startup_steps)


Pruner = Annotated[Nop | Median | Percentile | SuccessiveHalving | Wilcoxon, Discriminator("kind")]
