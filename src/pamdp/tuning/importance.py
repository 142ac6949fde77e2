"""How much each dimension of a space mattered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from pamdp.tuning.from_optuna import experimental
from pamdp.tuning.trials import STATES, Parameters, Trial

LEAST_TRIALS = 8  # complete ones: of fewer, the best quarter is one trial
BEST = 0.25  # the share of trials that are compared with all of them


def importance(parameters: Parameters, trials: Sequence[Trial]) -> dict[str, float]:
    """The importance of each dimension, by path; together 1.

    PED-ANOVA: how differently a dimension's values are distributed among the best quarter of the
    trials and among all of them (Watanabe et al. 2023). It draws no random numbers.

    Returns:
      None of them where there are too few trials, or none mattered.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < LEAST_TRIALS or not parameters.space.dimensions:
        return {}
    study = optuna.create_study(direction="maximize")
    study.add_trials([parameters.frozen(trial, STATES[trial.state]) for trial in complete])
    with experimental():
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
        found = evaluator.evaluate(study)
    total = sum(found.values())
    if not np.isfinite(total) or total <= 0:
        return {}
    return {path: found.get(path, 0.0) / total for path in parameters.space.dimensions}
