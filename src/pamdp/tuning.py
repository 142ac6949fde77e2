"""Optuna studies: deterministic for any number of workers, interrupted and resumed.

A suggestion is a pure function of (settings, number of the trial, the trials told before it), and
trial n is suggested from trials 0 to n - lag exactly, however many are finished. So neither the
number of workers nor an interruption changes a study. Optuna's database is written as trials
finish; it is where a study is resumed from and what the dashboard shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna

from pamdp.loops import loop_of
from pamdp.settings import Cell, Training, Tuning
from pamdp.structure import floats
from pamdp.training import TrainingError, train

DATABASE = "optuna.db"  # all studies of a checkout, beside params.yaml
STARTUP_TRIALS = 4  # random ones before the model; Optuna's 10 is made for longer studies
LAST_POINTS = 2  # a trial's score is the mean of its last points: one alone is noisy


class Trial(NamedTuple):
    """A finished trial: the values tried, by path, and the score, None if learning diverged.

    `earlier` tells that an interrupted run had finished it before.
    """

    number: int
    values: dict[str, float]
    score: float | None
    earlier: bool = False


@dataclass(frozen=True)
class CellStudy:
    """The study of one cell.

    Attributes:
      cell: what is tuned.
      tuning: its settings.
      training: of a trial.
      fingerprint: of all that its trials depend on; part of the study's name.
      root: the folder of the database.
    """

    cell: Cell
    tuning: Tuning
    training: Training
    fingerprint: str
    root: Path

    @cached_property
    def database(self) -> optuna.Study:
        """What is stored of it, in `DATABASE`."""
        return open_database(self.root, f"{self.cell.name}-{self.fingerprint}")

    @property
    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The dimensions that this cell has, by path."""
        return {
            d.path: optuna.distributions.FloatDistribution(d.low, d.high, log=d.log)
            for d in self.tuning.space
            if d.path in floats(self.cell)
        }

    def prepare(self) -> None:
        """Does what `Loop.prepare` says, if trials are missing."""
        if len(self.database.trials) < self.tuning.trials:
            with closing(loop_of(self.cell)) as loop:
                loop.prepare(self.training.evaluation_episodes)

    def run(self, num_workers: int) -> Iterator[Trial]:
        """Runs what is missing of the study.

        Yields:
          Every trial, in the order of their numbers, those of an earlier run included.
        """
        finished = [_read(trial) for trial in self.database.trials]
        yield from (trial._replace(earlier=True) for trial in finished)
        running: list[tuple[Trial, Future[float | None]]] = []
        with ThreadPoolExecutor(num_workers) as pool:
            try:
                for number in range(len(finished), self.tuning.trials):
                    known = max(0, number - self.tuning.lag + 1)
                    while len(finished) < known:
                        yield self._finish(finished, *running.pop(0))
                    values = self.suggest(finished[:known], number)
                    running.append((Trial(number, values, None), pool.submit(self._score, values)))
                while running:
                    yield self._finish(finished, *running.pop(0))
            finally:
                pool.shutdown(cancel_futures=True)

    def suggest(self, known: Sequence[Trial], number: int) -> dict[str, float]:
        """The values of trial `number`, given the trials before it that are told.

        Trial 0 is the settings as they stand, so that tuning cannot lose to them unnoticed.
        """
        current = floats(self.cell)
        if number == 0:
            return {path: current[path] for path in self.distributions}
        seed = int(np.random.SeedSequence([self.tuning.sampler_seed, number]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_frozen(trial, self.distributions) for trial in known])
        return study.ask(self.distributions).params

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The trial of the highest score; of equals the first, which favours the defaults."""
        scored = [trial for trial in trials if trial.score is not None]
        return max(scored, key=lambda trial: (trial.score, -trial.number), default=None)

    def _finish(self, finished: list[Trial], trial: Trial, future: Future[float | None]) -> Trial:
        trial = trial._replace(score=future.result())
        self.database.add_trial(_frozen(trial, self.distributions))
        finished.append(trial)
        return trial

    def _score(self, values: dict[str, float]) -> float | None:
        """Mean greedy return of the last points over the tuning's seeds; None if one diverged."""
        cell, scores = self.cell.replace(values), []
        try:
            for seed in self.tuning.seeds:
                points = list(train(cell, seed, self.training))
                scores.append(np.mean([p.metrics["eval/return"] for p in points[-LAST_POINTS:]]))
        except TrainingError:
            return None
        return float(np.mean(scores))


def create_database(root: Path) -> None:
    """Creates the checkout's database, which two processes at once cannot."""
    optuna.storages.RDBStorage(f"sqlite:///{root / DATABASE}")


def open_database(root: Path, name: str) -> optuna.Study:
    """The study of this name in the checkout's database, created where it is missing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=f"sqlite:///{root / DATABASE}",
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )


def _frozen(trial: Trial, distributions: dict) -> optuna.trial.FrozenTrial:
    failed = trial.score is None
    return optuna.trial.create_trial(
        params=trial.values,
        distributions=distributions,
        value=trial.score,
        state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
    )


def _read(trial: optuna.trial.FrozenTrial) -> Trial:
    return Trial(trial.number, dict(trial.params), trial.value)
