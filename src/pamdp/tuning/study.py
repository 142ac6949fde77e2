"""Optuna studies: deterministic for any number of workers, interrupted and resumed.

A suggestion is a pure function of (settings, number of the trial, the trials told before it), and
trial n is suggested from trials 0 to n - lag exactly, however many are finished. So neither the
number of workers nor an interruption changes a study. Optuna's database is written as trials
finish; it is where a study is resumed from and what the dashboard shows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna

from pamdp.base.component import floats
from pamdp.base.errors import TrainingError
from pamdp.engines import Engine
from pamdp.learning.cell import Cell
from pamdp.learning.training import Point, Training, train
from pamdp.tuning.database import open_database
from pamdp.tuning.settings import Tuning

STARTUP_TRIALS = 4  # random ones before the model; Optuna's 10 is made for longer studies
NUMBER = "number"  # of a trial, in its attributes
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
        """What is stored of it."""
        return open_database(self.root, f"{self.cell.name}-{self.fingerprint}")

    @property
    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The dimensions that this cell has, by path."""
        return {
            d.path: optuna.distributions.FloatDistribution(d.low, d.high, log=d.log)
            for d in self.tuning.space
            if d.path in floats(self.cell)
        }

    @property
    def missing(self) -> int:
        """How many trials are still to be run."""
        return self.tuning.trials - len(self.finished)

    @property
    def finished(self) -> list[Trial]:
        """The trials that are stored, in the order of their numbers, none left out in between."""
        known = {trial.number: trial for trial in map(_read, reversed(self.database.trials))}
        numbers = takewhile(known.__contains__, range(self.tuning.trials))
        return [known[number] for number in numbers]

    def run(self, engine: Engine) -> Iterator[Trial]:
        """Runs what is missing of the study, as many trials at a time as its lag allows.

        Yields:
          Every trial, in the order of their numbers, those of an earlier run included.
        """
        finished = self.finished
        yield from (trial._replace(earlier=True) for trial in finished)
        running: list[tuple[Trial, int]] = []  # with the number of its task

        def told() -> Trial:
            trial, task = running.pop(0)
            trial = trial._replace(score=engine.result(task))
            self.database.add_trial(_frozen(trial, self.distributions))
            finished.append(trial)
            return trial

        for number in range(len(finished), self.tuning.trials):
            known = max(0, number - self.tuning.lag + 1)
            while len(finished) < known:
                yield told()
            values = self.suggest(finished[:known], number)
            cell = self.cell.replace(values)
            task = engine.submit(score, cell, self.tuning.seeds, self.training)
            running.append((Trial(number, values, None), task))
        while running:
            yield told()

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


def score(
    cell: Cell, seeds: Sequence[int], training: Training
) -> Generator[Point, None, float | None]:
    """Trains a trial.

    Yields:
      The points of its curves, one seed after another.

    Returns:
      The mean greedy return of the last points over the seeds; None if one diverged.
    """
    scores = []
    for seed in seeds:
        points: list[Point] = []
        try:
            for event in train(cell, seed, training):
                if isinstance(event, Point):
                    points.append(event)
                    yield event
        except TrainingError:
            return None
        scores.append(np.mean([p.metrics["eval/return"] for p in points[-LAST_POINTS:]]))
    return float(np.mean(scores))


def _frozen(trial: Trial, distributions: dict) -> optuna.trial.FrozenTrial:
    failed = trial.score is None
    return optuna.trial.create_trial(
        params=trial.values,
        distributions=distributions,
        value=trial.score,
        user_attrs={NUMBER: trial.number},
        state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
    )


def _read(trial: optuna.trial.FrozenTrial) -> Trial:
    # Its own number: Optuna's is that of its arrival.
    return Trial(trial.user_attrs[NUMBER], dict(trial.params), trial.value)
