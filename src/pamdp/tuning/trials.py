"""Trials, and the forms that Optuna keeps them in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from pamdp.tuning.pruners import Pruner
from pamdp.tuning.settings import Choices
from pamdp.tuning.space import Space, shown

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Report(NamedTuple):
    """An intermediate value of a trial: at a step of its curve, or of one of its seeds."""

    step: int
    value: float


class Trial(NamedTuple):
    """A trial, finished but for what `study` has under way.

    Attributes:
      number: its own; Optuna's is that of its arrival.
      values: what is tried, by path.
      score: None if learning diverged or the trial was given up.
      earlier: whether an interrupted run had finished it before.
      pruned: whether it was given up.
      reports: its intermediate values.
    """

    number: int
    values: dict[str, Any]
    score: float | None
    earlier: bool = False
    pruned: bool = False
    reports: tuple[Report, ...] = ()

    @property
    def state(self) -> str:
        """How it ended: `complete`, `pruned` or `failed`."""
        if self.pruned:
            return "pruned"
        return "failed" if self.score is None else "complete"


STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Parameters:
    """What Optuna knows of a space, whose parameters are numbers and words.

    Attributes:
      space: of a cell.
    """

    space: Space

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions that the cell has, by path."""
        found: dict[str, BaseDistribution] = {}
        for path, dimension in self.space.dimensions.items():
            if isinstance(dimension, Choices):
                found[path] = CategoricalDistribution([*map(shown, self.space.choices[path])])
            elif self.space.is_integer(path):
                low, high = int(dimension.low), int(dimension.high)
                found[path] = IntDistribution(low, high, log=dimension.log)
            else:
                found[path] = FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        return found

    def encoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as parameters: lists and blocks as JSON."""
        return {path: shown(values[path]) for path in self.space.dimensions}

    def decoded(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as values."""
        values = dict(parameters)
        for path, choices in self.space.choices.items():
            values[path] = choices[[*map(shown, choices)].index(parameters[path])]
        return {path: values[path] for path in self.space.dimensions}

    def frozen(self, trial: Trial, state: TrialState, **attributes: Any) -> FrozenTrial:
        """A trial as Optuna has it; its attributes are for whoever reads the database."""
        return create_trial(
            params=self.encoded(trial.values),
            distributions=self.distributions,
            value=trial.score,
            intermediate_values=dict(trial.reports),
            user_attrs=attributes,
            state=state,
        )


def as_judged(trial: Trial, pruner: Pruner) -> tuple[TrialState, float | None]:
    """The state and the score of a trial for whoever learns from it.

    One that was given up after some of its seeds has a score, their mean. Optuna would take its
    last seed's, and advises this.
    """
    if trial.pruned and pruner.by_seed:
        values = [report.value for report in trial.reports]
        return TrialState.COMPLETE, sum(values) / len(values)
    return STATES[trial.state], trial.score


def tell(study: optuna.Study, asked: optuna.Trial, trial: Trial, pruner: Pruner) -> None:
    """Tells a study what came of a trial that it was asked for."""
    for step, value in trial.reports:
        asked.report(value, step)
        asked.should_prune()  # is known; the study's pruner takes its notes
    state, score = as_judged(trial, pruner)
    study.tell(asked, score, state)


def judging_study(pruner: Pruner, known: Iterable[Trial]) -> optuna.Study:
    """A study in memory that has told these trials, to judge another one by."""
    study = optuna.create_study(direction="maximize", pruner=pruner.pruner())
    for trial in known:
        if pruner.replayed:
            tell(study, study.ask(), trial, pruner)
        else:
            state, value = as_judged(trial, pruner)
            reports = dict(trial.reports)
            study.add_trial(create_trial(value=value, state=state, intermediate_values=reports))
    return study
