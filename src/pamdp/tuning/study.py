"""Optuna studies: deterministic for any number of workers, interrupted and resumed.

A suggestion is a pure function of (settings, number of the trial, the trials told before it), and
trial n is suggested from trials 0 to n - lag exactly, however many are finished. By the same trials
it is judged on its way. So neither the number of workers nor an interruption changes a study, and
one of more trials begins with those of one of fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna

from pamdp.base.errors import SettingsError
from pamdp.engines import Engine
from pamdp.learning.cell import Cell
from pamdp.learning.training import Training
from pamdp.tuning.ledger import Ledger
from pamdp.tuning.scoring import Judge, Outcome, score
from pamdp.tuning.settings import Tuning
from pamdp.tuning.space import Space, replaced
from pamdp.tuning.trials import Parameters, Report, Trial, as_judged, tell


@dataclass(frozen=True)
class CellStudy:
    """The study of one cell.

    Attributes:
      cell: what is tuned.
      tuning: its settings.
      training: of a trial.
      fingerprint: of all that its trials depend on, which is not how many there are; part of the
        study's name.
      root: the folder of the database; without one, the study is kept in memory.
    """

    cell: Cell
    tuning: Tuning
    training: Training
    fingerprint: str
    root: Path | None

    @cached_property
    def space(self) -> Space:
        """What is tuned."""
        return Space(self.cell, self.tuning)

    @cached_property
    def parameters(self) -> Parameters:
        """The same as Optuna knows it."""
        return Parameters(self.space)

    @cached_property
    def ledger(self) -> Ledger:
        """What is stored of it."""
        environment, algorithm, strategy = self.cell.name
        attributes = {
            "cell": str(self.cell.name),
            "environment": environment,
            "algorithm": algorithm,
            "strategy": strategy,
            "seeds": list(self.tuning.seeds),
        }
        name = f"{self.cell.name}-{self.fingerprint}"
        return Ledger(self.root, name, self.parameters, attributes)

    @property
    def missing(self) -> int:
        """How many trials are still to be run."""
        return self.space.num_trials - len(self.finished)

    @property
    def finished(self) -> list[Trial]:
        """The trials that are stored, in the order of their numbers, none left out in between."""
        return self.ledger.finished(self.space.num_trials)

    def run(self, engine: Engine) -> Iterator[Trial]:
        """Runs what is missing of the study, as many trials at a time as its lag allows.

        Yields:
          Every trial, in the order of their numbers, those of an earlier run included.
        """
        finished = self.finished
        yield from (trial._replace(earlier=True) for trial in finished)
        if len(finished) == self.space.num_trials:
            return
        self.ledger.open()
        running: list[tuple[Trial, int, int]] = []  # with its key in the storage and its task

        def told() -> Trial:
            trial, key, task = running.pop(0)
            outcome: Outcome = engine.result(task)
            trial = trial._replace(**outcome._asdict())
            self.ledger.tell(key, trial)
            finished.append(trial)
            return trial

        for number in range(len(finished), self.space.num_trials):
            while len(finished) < self._known(number):
                yield told()
            known = finished[: self._known(number)]
            trial = Trial(number, self.suggest(known, number), None)
            cell = self._tried(trial)
            key = self.ledger.begin(trial)
            judge = Judge(self.tuning.pruner, tuple(known))
            arguments = cell, self.tuning.seeds, self.training, judge
            task = engine.submit(score, *arguments, told=partial(self._reported, key))
            running.append((trial, key, task))
        while running:
            yield told()

    def suggest(self, known: Sequence[Trial], number: int) -> dict[str, Any]:
        """The values of trial `number`, given the trials before it that are told.

        Trial 0 is the settings as they stand, so that tuning cannot lose to them unnoticed. Those
        after it are the known points.
        """
        if number < len(self.space.given):
            return self.space.given[number]
        tuning, distributions = self.tuning, self.parameters.distributions
        if not distributions:
            return {}
        study = self._replayed(known, number) if tuning.sampler.replayed else self._told(known)
        study.sampler = tuning.sampler.sampler(tuning.sampler_seed, number)
        return self.parameters.decoded(study.ask(distributions).params)

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The trial of the highest score; of equals the first, which favours the defaults."""
        scored = [trial for trial in trials if trial.score is not None]
        return max(scored, key=lambda trial: (trial.score, -trial.number), default=None)

    def used(self, trials: Sequence[Trial]) -> Trial | None:
        """The trial whose values are trained: that of the settings, or the best.

        Raises:
          SettingsError: that of the settings has no score.
        """
        number = self.tuning.use_trial
        if number is None:
            return self.best(trials)
        if trials[number].score is None:
            how = "was given up" if trials[number].pruned else "diverged"
            raise SettingsError(
                f"tuning.cells.{self.cell.name}.use_trial: expected a trial with a score, received "
                f"{number}, which {how}; choose another, or leave it out for the best"
            )
        return trials[number]

    def _known(self, number: int) -> int:
        """How many trials are told when one is asked for."""
        return max(0, number - self.tuning.lag + 1)

    def _tried(self, trial: Trial) -> Cell:
        where = (
            f"tuning.space: expected values that go together, received {trial.values} in trial "
            f"{trial.number} of {self.cell.name}"
        )
        return replaced(self.cell, trial.values, where)

    def _reported(self, key: int, _: int, event: Any) -> None:
        if isinstance(event, Report):
            self.ledger.report(key, event)

    def _told(self, known: Sequence[Trial]) -> optuna.Study:
        """A study in memory with exactly these trials."""
        study = optuna.create_study(direction="maximize")
        for trial in known:
            state, value = as_judged(trial, self.tuning.pruner)
            study.add_trial(self.parameters.frozen(trial._replace(score=value), state))
        return study

    def _replayed(self, known: Sequence[Trial], number: int) -> optuna.Study:
        """The same, in which all trials before one were asked for, each at its time."""
        sampler, pruner = self.tuning.sampler, optuna.pruners.NopPruner()
        study = optuna.create_study(direction="maximize", pruner=pruner)
        distributions = self.parameters.distributions
        asked: list[optuna.Trial] = []
        told = 0
        for each in range(number + 1):
            for trial in known[told : self._known(each)]:
                tell(study, asked[told], trial, self.tuning.pruner)
                told += 1
            if each == number:
                break
            if each < max(len(known), len(self.space.given)):
                values = known[each].values if each < len(known) else self.space.given[each]
                study.enqueue_trial(self.parameters.encoded(values))
            study.sampler = sampler.sampler(self.tuning.sampler_seed, each)
            asked.append(study.ask(distributions))
            # Optuna asks a sampler only when a value is not given; it has to take its notes.
            _ = asked[-1].relative_params
        return study
