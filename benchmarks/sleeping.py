"""Tasks that sleep, and a search whose trials sleep instead of being trained."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Sequence
from functools import partial
from math import log10
from typing import Any
from unittest import mock

from benchmarks.measures import ROOT
from pamdp.engines import Engine
from pamdp.learning.cell import Cell
from pamdp.settings import load
from pamdp.tuning import study
from pamdp.tuning.scoring import Outcome
from pamdp.tuning.trials import Trial

CELL = "platform-mpdqn-inverting"
LAG, TRIALS = 64, 192

Span = tuple[float, float]  # when something began and ended


def sleep(seconds: float) -> Span:
    """When it began and ended."""
    began = time.time()
    time.sleep(seconds)
    return began, time.time()


def tell(number: int) -> Generator[int, None, int]:
    """Tells of so many steps."""
    yield from range(number)
    return number


def sleep_as_trial(
    seconds: float, spread: float, cell: Cell, *_: Any
) -> Generator[Span, None, Outcome]:
    """In place of `scoring.score`: sleeps, some trials longer than others, and tells when."""
    rate = cell.learner.q.learning_rate
    yield sleep(seconds * random.Random(str(rate)).uniform(1 - spread, 1 + spread))
    return Outcome(-abs(log10(rate) + 3), False, ())


class Watched(study.CellStudy):
    """A search that keeps when its trials were at work."""

    def _reported(self, key: int, _: int, event: Any) -> None:
        SPANS.append(event)


SPANS: list[Span] = []


def search(engine: Engine, seconds: float, spread: float) -> tuple[list[Trial], list[Span]]:
    """The trials of a search, and when they were at work."""
    settings = load(ROOT / "params.yaml")
    tuning = settings.tuning.model_copy(update={"lag": LAG, "trials": TRIALS})
    training = tuning.training(settings.environments["platform"].training)
    SPANS.clear()
    with mock.patch.object(study, "score", partial(sleep_as_trial, seconds, spread)), engine:
        trials = [*Watched(settings.cell(CELL), tuning, training, "sleeping", None).run(engine)]
    return trials, [*SPANS]


def most_at_once(spans: Sequence[Span]) -> int:
    """How many of some spans of time there are at a time at most."""
    edges = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    now, most = 0, 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


def at_once(spans: Sequence[Span], start: float, end: float) -> float:
    """How many of some spans of time there are at a time in the mean, from a start to an end."""
    within = (min(ended, end) - max(began, start) for began, ended in spans)
    return sum(max(0.0, each) for each in within) / (end - start)
