"""What a training loses whose worker is killed, against the time between two checkpoints.

    python -m tests.soak.losses --kills 10 --seed 1

Two seeds with the settings of params.yaml are trained through Ray on this machine, and their worker
processes are killed at random moments. Each loss is printed: how far the seed was when its worker
was killed, and from where it goes on. That has to be the last checkpoint that was told, and what is
told a second time has to be the same.

This takes about eight minutes and is no part of the test suite.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from typing import NamedTuple

from pamdp.engines.ray import Ray
from pamdp.learning.training import CHECKPOINT_SECONDS, Checkpoint, Point, train
from tests import helpers
from tests.soak.cluster import workers

CELL, SEEDS = "platform-mpdqn-inverting", (1, 2)
LONGEST = 30.0  # seconds until the next kill, at most
ENDLESS = 10**9  # steps


class Enough(Exception):
    """There were as many kills as wanted."""


class Again(NamedTuple):
    """A seed that begins again: how far it was, and up to which step it was saved, since when."""

    reached: int
    saved: int
    since: float


class Loss(NamedTuple):
    """What was lost with a worker: steps that were told, and seconds until it was killed."""

    steps: int
    seconds: float


class Attack:
    """Hears what seeds tell, and kills one of their workers now and then.

    Attributes:
      losses: those so far.
    """

    def __init__(self, kills: int, rng: random.Random) -> None:
        self.losses: list[Loss] = []
        self._kills, self._rng = kills, rng
        self._known: list[dict[int, dict]] = [{} for _ in SEEDS]  # metrics by step
        self._last, self._saved, self._resumed = ([0] * len(SEEDS) for _ in range(3))  # steps
        self._since = [0.0] * len(SEEDS)  # when it was saved, or went on, or told its first point
        self._begun: dict[int, Again] = {}  # until there are new steps
        self._killed: float | None = None
        self._next = time.monotonic() + rng.uniform(0.0, LONGEST)

    def __call__(self, index: int, event: Point | Checkpoint) -> None:
        """Takes an event of a seed."""
        if isinstance(event, Checkpoint):  # it comes before its last point
            step = event.points[-1][0]
            self._look(index, step)
            self._saved[index], self._since[index] = step, time.monotonic()
            return
        self._look(index, event.step)
        if self._known[index].setdefault(event.step, event.metrics) != event.metrics:
            raise SystemExit(f"seed {SEEDS[index]}, step {event.step}: other figures than before")
        if event.earlier:
            self._resumed[index] = event.step
        elif index in self._begun:
            self._note(index, self._begun.pop(index))
        self._last[index] = event.step
        if self._killed is None and time.monotonic() > self._next and all(self._last):
            self._rng.choice(workers()).kill()
            self._killed = time.monotonic()

    def _look(self, index: int, step: int) -> None:
        """Looks whether a seed begins again, which tells of steps anew."""
        reached, saved = self._last[index], self._saved[index]
        if step <= reached and index not in self._begun:
            self._begun[index] = Again(reached, saved, self._since[index])
            self._resumed[index] = 0
        if not reached or index in self._begun:
            self._since[index] = time.monotonic()

    def _note(self, index: int, again: Again) -> None:
        """Notes what was lost."""
        resumed = self._resumed[index]
        if self._killed is None or resumed != again.saved:
            raise SystemExit(f"seed {SEEDS[index]} goes on from {resumed}, expected {again}")
        loss = Loss(max(0, again.reached - resumed), self._killed - again.since)
        print(
            f"seed {SEEDS[index]}: {again.reached:,} steps were told, goes on from {resumed:,}; "
            f"lost {loss.steps:,} steps, {loss.seconds:.1f} s",
            flush=True,
        )
        self.losses.append(loss)
        self._killed, self._next = None, time.monotonic() + self._rng.uniform(0.0, LONGEST)
        if len(self.losses) == self._kills:
            raise Enough


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["PAMDP_WORKERS"] = str(len(SEEDS))
    settings = helpers.settings()
    cell = settings.cell(CELL)
    training = settings.environments["platform"].training.model_copy(update={"steps": ENDLESS})
    attack = Attack(options.kills, random.Random(options.seed))
    items = [(cell, seed, training, None) for seed in SEEDS]
    try:
        with Ray(len(SEEDS)) as engine:
            engine.map(train, items, attack, resumes=Checkpoint)
    except Enough:
        steps, seconds = (max(each) for each in zip(*attack.losses, strict=True))
        print(
            f"{len(attack.losses)} kills: {steps:,} steps and {seconds:.1f} s lost at most; a "
            f"checkpoint is given at the first point after {CHECKPOINT_SECONDS:.0f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
