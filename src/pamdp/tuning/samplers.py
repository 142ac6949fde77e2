"""How the values of the next trial are suggested: Optuna's samplers as settings.

Their options have Optuna's names. A sampler is made anew for each trial, so that what it suggests
follows from the settings, the number of the trial and the trials that it is shown.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Discriminator, Field

from pamdp.base.component import LARGEST_INTEGER, Count, Index
from pamdp.tuning.from_optuna import FromOptuna, experimental

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Suggesting(FromOptuna):
    """A sampler.

    Attributes:
      seeded_by_trial: whether each trial has a seed of its own; else all have the study's.
    """

    seeded_by_trial: ClassVar[bool] = True

    def sampler(self, seed: int, number: int) -> BaseSampler:
        """Optuna's sampler for trial `number` of a study of this seed."""
        if self.seeded_by_trial:
            seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        with experimental():
            return self._made(seed)

    @abstractmethod
    def _made(self, seed: int) -> BaseSampler:
        """The sampler of this seed."""


class TPE(Suggesting):
    """Tree-structured Parzen estimator: where good trials lie more densely than the others.

    Attributes:
      n_startup_trials: random ones before the model; Optuna's 10 is made for longer studies.
      n_ei_candidates: drawn for each suggestion, of which the best is taken.
      multivariate: whether dimensions are modelled together.
    """

    kind: Literal["tpe"]
    n_startup_trials: Index = 4
    n_ei_candidates: Count = 24
    multivariate: bool = True

    def _made(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            seed=seed,
            n_startup_trials=self.n_startup_trials,
            n_ei_candidates=self.n_ei_candidates,
            multivariate=self.multivariate,
        )


class Random(Suggesting):
    """Independent draws."""

    kind: Literal["random"]

    def _made(self, seed: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


class QuasiRandom(Suggesting):
    """A sequence that fills the space evenly (Sobol, Halton).

    Attributes:
      qmc_type: which one.
      scramble: whether the study's seed moves it.
    """

    packages: ClassVar[tuple[str, ...]] = ("scipy",)
    replayed: ClassVar[bool] = True  # it counts its points
    seeded_by_trial: ClassVar[bool] = False  # which are those of one sequence

    kind: Literal["qmc"]
    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True

    def _made(self, seed: int) -> BaseSampler:
        from optuna.samplers import QMCSampler

        return QMCSampler(
            qmc_type=self.qmc_type,
            scramble=self.scramble,
            seed=seed,
            warn_independent_sampling=False,
        )


class CMAES(Suggesting):
    """Evolution strategy with an adapted covariance, for numbers; choices are drawn at random.

    Attributes:
      n_startup_trials: random ones before it.
      popsize: trials of a generation; null for `4 + 3 log(dimensions)`.
    """

    packages: ClassVar[tuple[str, ...]] = ("cmaes",)
    replayed: ClassVar[bool] = True  # its state is a note to the trials

    kind: Literal["cmaes"]
    n_startup_trials: Count = 1
    popsize: Annotated[int, Field(ge=2, le=LARGEST_INTEGER)] | None = None

    def _made(self, seed: int) -> BaseSampler:
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler(
            seed=seed,
            n_startup_trials=self.n_startup_trials,
            popsize=self.popsize,
            warn_independent_sampling=False,
        )


class GaussianProcess(Suggesting):
    """Bayesian optimisation with a Gaussian process.

    Attributes:
      n_startup_trials: random ones before the model.
    """

    packages: ClassVar[tuple[str, ...]] = ("scipy", "torch")

    kind: Literal["gp"]
    n_startup_trials: Count = 10

    def _made(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler

        return GPSampler(
            seed=seed, n_startup_trials=self.n_startup_trials, warn_independent_sampling=False
        )


Sampler = Annotated[TPE | Random | QuasiRandom | CMAES | GaussianProcess, Discriminator("kind")]
