"""What a trial is worth: its training, judged on the way."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pamdp.base.errors import TrainingError
from pamdp.learning.cell import Cell
from pamdp.learning.training import Point, Training, train
from pamdp.tuning.pruners import Pruner
from pamdp.tuning.trials import Report, Trial, judging_study

LAST_POINTS = 2  # a trial's score is the mean of its last points: one alone is noisy


class Outcome(NamedTuple):
    """How a trial ended: its score, if it has one, whether it was given up, and its reports."""

    score: float | None
    pruned: bool
    reports: tuple[Report, ...]


@dataclass(frozen=True)
class Judge:
    """Decides whether to give a trial up.

    Attributes:
      pruner: by which rule.
      known: the trials that were told when it was asked for.
    """

    pruner: Pruner
    known: tuple[Trial, ...]

    def judged(self) -> Generator[bool, Report, None]:
        """Is sent the reports of a trial, one after another; yields whether to give it up."""
        study = judging_study(self.pruner, self.known)
        trial, given_up = study.ask(), False
        while True:
            step, value = yield given_up
            trial.report(value, step)
            given_up = trial.should_prune()


def score(
    cell: Cell, seeds: Sequence[int], training: Training, judge: Judge
) -> Generator[Report | Point, None, Outcome]:
    """Trains a trial until its end, or until it is given up.

    Its score is the mean greedy return of the last points over the seeds; none if one diverged.

    Yields:
      Its intermediate values; where its seeds are trained one after another, also the points of
      their curves.
    """
    way = _by_seed if judge.pruner.by_seed else _by_step
    reports, judged = [], judge.judged()
    next(judged)
    with closing(way(cell, seeds, training)) as events:
        try:
            while True:
                event = next(events)
                yield event
                if isinstance(event, Report):
                    reports.append(event)
                    if judged.send(event):
                        return Outcome(None, True, tuple(reports))
        except StopIteration as end:
            return Outcome(end.value, False, tuple(reports))
        except TrainingError:
            return Outcome(None, False, tuple(reports))


Events = Generator[Report | Point, None, float]


def _by_seed(cell: Cell, seeds: Sequence[int], training: Training) -> Events:
    """One seed after another; a report is the score of a seed."""
    scores = []
    for index, seed in enumerate(seeds):
        curve: list[Point] = []
        with closing(train(cell, seed, training)) as run:
            for point in _points(run):
                curve.append(point)
                yield point
        scores.append(_score(curve))
        yield Report(index, float(scores[-1]))
    return float(np.mean(scores))


def _by_step(cell: Cell, seeds: Sequence[int], training: Training) -> Events:
    """All seeds level; a report is the mean of their curves at a step."""
    curves: list[list[Point]] = [[] for _ in seeds]
    with ExitStack() as stack:
        runs = [stack.enter_context(closing(train(cell, seed, training))) for seed in seeds]
        for level in zip(*map(_points, runs), strict=True):
            for curve, point in zip(curves, level, strict=True):
                curve.append(point)
            values = [point.metrics["eval/return"] for point in level]
            yield Report(level[0].step, float(np.mean(values)))
    return float(np.mean([_score(curve) for curve in curves]))


def _points(run: Iterator) -> Iterator[Point]:
    return (event for event in run if isinstance(event, Point))


def _score(curve: Sequence[Point]) -> np.floating:
    return np.mean([point.metrics["eval/return"] for point in curve[-LAST_POINTS:]])
