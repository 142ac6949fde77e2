"""A study in Optuna's storage: where it is resumed from, and what its dashboard shows.

Results follow from finished trials alone. What is under way is written for who watches.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from pamdp.tuning.database import open_database
from pamdp.tuning.trials import STATES, Parameters, Report, Trial

NUMBER, INTERRUPTED = "number", "interrupted"  # attributes of a trial


@dataclass(frozen=True)
class Ledger:
    """The stored study of a cell.

    Attributes:
      root: the checkout's folder; without one, the study is kept in memory.
      name: of the study.
      parameters: of its trials.
      attributes: of the study and of each trial, such as its cell, for who reads them.
    """

    root: Path | None
    name: str
    parameters: Parameters
    attributes: Mapping[str, Any]
    _noted: dict[int, int] = field(default_factory=dict)  # reports of trials under way

    @cached_property
    def study(self) -> optuna.Study:
        """The study as Optuna has it."""
        if self.root is None:
            return optuna.create_study(study_name=self.name, direction="maximize")
        return open_database(self.root, self.name)

    def finished(self, most: int) -> list[Trial]:
        """At most so many trials, in the order of their numbers, none left out in between."""
        # Some may be there twice: an interruption, or another machine with the same storage.
        known = {
            trial.user_attrs[NUMBER]: trial
            for trial in reversed(self.study.trials)
            if trial.state.is_finished() and _ours(trial) and INTERRUPTED not in trial.user_attrs
        }
        return [self._read(known[n]) for n in takewhile(known.__contains__, range(most))]

    def open(self) -> None:
        """Says what the study is of, and closes the trials that an interruption left open."""
        for name, value in self.attributes.items():
            self.study.set_user_attr(name, value)
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in filter(_ours, running):
            with suppress(UpdateFinishedTrialError):  # just now, by another machine
                self._storage.set_trial_user_attr(trial._trial_id, INTERRUPTED, True)
                self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def begin(self, trial: Trial) -> int:
        """Notes a trial that runs from now on; returns what it is known by in the storage."""
        frozen = self._frozen(trial, TrialState.RUNNING)
        # There is no public way to begin a trial whose values are known.
        return self._storage.create_new_trial(self.study._study_id, frozen)

    def report(self, key: int, report: Report) -> None:
        """Notes an intermediate value of a trial that has begun."""
        self._noted[key] = self._noted.get(key, 0) + 1
        # Another machine may have taken it for interrupted; `tell` puts that right.
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_intermediate_value(key, report.step, report.value)

    def tell(self, key: int, trial: Trial) -> None:
        """Notes how a trial ended, and what of its reports was not heard."""
        for report in trial.reports[self._noted.pop(key, 0) :]:
            self.report(key, report)
        state = STATES[trial.state]
        # Of one that was given up Optuna shows the last intermediate value.
        shown = trial.reports[-1].value if trial.pruned else trial.score
        values = None if shown is None else [shown]
        try:
            self._storage.set_trial_state_values(key, state, values)
        except UpdateFinishedTrialError:
            self.study.add_trial(self._frozen(trial._replace(score=shown), state))

    @property
    def _storage(self) -> optuna.storages.BaseStorage:
        return self.study._storage

    def _frozen(self, trial: Trial, state: TrialState) -> FrozenTrial:
        return self.parameters.frozen(trial, state, **{NUMBER: trial.number}, **self.attributes)

    def _read(self, trial: FrozenTrial) -> Trial:
        reports = (Report(*item) for item in sorted(trial.intermediate_values.items()))
        values = self.parameters.decoded(trial.params)
        pruned = trial.state is TrialState.PRUNED
        score = trial.value if trial.state is TrialState.COMPLETE else None
        return Trial(trial.user_attrs[NUMBER], values, score, pruned=pruned, reports=tuple(reports))


def _ours(trial: FrozenTrial) -> bool:
    """Whether a trial is of a search, and not one that something else has added."""
    return NUMBER in trial.user_attrs
