"""Summaries of returns over seeds, with bootstrap intervals.

The unit of everything here is the *seed*: training runs vary, and episodes of one trained policy
say nothing about another run. So the score of a seed is the mean over its episodes, an estimate is
made from the seeds' scores, and a resample draws seeds with replacement; episodes are never
resampled. Intervals are the 2.5 % and 97.5 % percentiles of 2,000 resamples (Agarwal et al. 2021,
"Deep reinforcement learning at the edge of the statistical precipice", arXiv 2108.13264).

With few seeds such intervals are too narrow: those of a mean held it in 83 % of simulations with 5
seeds, 88 % with 8, 90 % with 10 and 93 % with 20 where scores are normal, and in 65, 82, 87 and
90 % where 1 in 5 seeds fails (4,000 each, docs/statistics.md). So verdicts are those of a test
(`significance`). With one seed every interval collapses onto its estimate.

Randomness is the caller's: every function takes a `numpy.random.Generator`. Give each cell a
generator of its own, so that a cell's intervals do not depend on which other cells there are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

NUM_RESAMPLES = 2_000
PERCENTILES = (2.5, 97.5)

Array = np.ndarray
Curve = Sequence[tuple[int, float]]


class Estimate(NamedTuple):
    """A value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Band(NamedTuple):
    """A mean curve with the ends of its 95 % intervals, each of shape [T]."""

    mean: Array
    low: Array
    high: Array


def mean(scores: Array) -> Array:
    """The mean along the last axis, `[..., n] -> [...]`."""
    return scores.mean(axis=-1)


def interquartile_mean(scores: Array) -> Array:
    """The mean of the middle half along the last axis, `[..., n] -> [...]`.

    As in Agarwal et al. the `floor(n / 4)` smallest and as many of the largest scores are left out.
    """
    cut = scores.shape[-1] // 4
    return np.sort(scores, axis=-1)[..., cut : scores.shape[-1] - cut].mean(axis=-1)


def bootstrap(
    scores: Array, statistic: Callable[[Array], Array], generator: np.random.Generator
) -> Estimate:
    """A statistic of the scores with its stratified percentile bootstrap interval.

    Args:
      scores: the seeds' scores, `[seeds]` or `[seeds, tasks]`. Each task is a stratum: its seeds
        are resampled among themselves.
      statistic: maps all scores of a resample to a number, `[..., seeds * tasks] -> [...]`.
      generator: draws the resamples.

    Raises:
      ValueError: if there is no score or one is not finite.
    """
    scores = _checked(scores)
    draws = generator.integers(len(scores), size=(NUM_RESAMPLES, *scores.shape))
    resamples = np.take_along_axis(scores[None], draws, axis=1)  # [R, seeds, ...]
    low, high = np.percentile(statistic(resamples.reshape(NUM_RESAMPLES, -1)), PERCENTILES)
    return Estimate(float(statistic(scores.reshape(-1))), float(low), float(high))


def band(curves: Array, generator: np.random.Generator) -> Band:
    """The mean curve of the seeds with pointwise intervals.

    Whole curves are resampled: a resample takes the same seeds at every point.

    Args:
      curves: `[seeds, T]`.
      generator: draws the resamples.
    """
    curves = _checked(curves)
    draws = generator.integers(len(curves), size=(NUM_RESAMPLES, len(curves)))
    # Summed seed by seed: [R, T] at a time rather than [R, seeds, T].
    means = sum(curves[column] for column in draws.T) / len(curves)
    low, high = np.percentile(means, PERCENTILES, axis=0)
    return Band(curves.mean(axis=0), low, high)


def probability_of_improvement(x: Array, y: Array, generator: np.random.Generator) -> Estimate:
    """`P(X > Y) + P(X = Y) / 2` for one seed of each cell, with its bootstrap interval.

    The Mann-Whitney form: the share of pairs of seeds in which the first is better, ties counted
    half. The seeds of `x` and of `y` are resampled independently. It says how often, not how much.

    Args:
      x: the scores of the seeds of one cell, `[N]`.
      y: the scores of the seeds of the other, `[M]`.
      generator: draws the resamples.
    """
    x, y = _checked(x), _checked(y)
    wins = (np.sign(x[:, None] - y[None, :]) + 1) / 2  # [N, M]
    rows = generator.integers(len(x), size=(NUM_RESAMPLES, len(x), 1))
    columns = generator.integers(len(y), size=(NUM_RESAMPLES, 1, len(y)))
    low, high = np.percentile(wins[rows, columns].mean(axis=(1, 2)), PERCENTILES)
    return Estimate(float(wins.mean()), float(low), float(high))


def difference_of_means(x: Array, y: Array, generator: np.random.Generator) -> Estimate:
    """The mean of `x` minus that of `y`, with its bootstrap interval.

    Args:
      x: the scores of the seeds of one cell, `[N]`.
      y: the scores of the seeds of the other, `[M]`.
      generator: draws the resamples, of `x` and of `y` independently.
    """
    x, y = _checked(x), _checked(y)
    means = [
        scores[generator.integers(len(scores), size=(NUM_RESAMPLES, len(scores)))].mean(axis=1)
        for scores in (x, y)
    ]
    low, high = np.percentile(means[0] - means[1], PERCENTILES)
    return Estimate(float(x.mean() - y.mean()), float(low), float(high))


def steps_to(curve: Curve, threshold: float) -> int | None:
    """The first step at which a curve of `(step, value)` reaches the threshold, if it does."""
    return next((int(step) for step, value in curve if value >= threshold), None)


def median_steps(steps: Sequence[int | None]) -> int | None:
    """The median over seeds; a seed that never got there counts as infinitely late."""
    middle = float(np.median([np.inf if step is None else step for step in steps]))
    return round(middle) if np.isfinite(middle) else None


@dataclass(frozen=True)
class Measured:
    """What was measured of one cell.

    Attributes:
      seeds: the seeds, N of them.
      returns: of the greedy episodes, `[N, E]`.
      lengths: of the same episodes, in actions, `[N, E]`.
      successes: whether they succeeded, `[N, E]`; NaN where the environment told neither.
      curves: per seed the periodic greedy evaluations while training, `(step, mean return)`.
      threshold: the return whose first step is reported.
      means: of whatever else was measured, by name.
    """

    seeds: Sequence[int]
    returns: Array
    lengths: Array
    successes: Array
    curves: Sequence[Curve]
    threshold: float
    means: Mapping[str, float]


def final_returns(evaluation: Measured) -> Array:
    """The mean return of each seed's greedy episodes, `[N]`."""
    return _per_seed(evaluation.returns, len(evaluation.seeds)).mean(axis=1)


def areas_under_curves(evaluation: Measured) -> Array:
    """The area under each seed's learning curve by the steps it spans: a mean return, `[N]`."""
    return _checked(np.array([_area(curve) for curve in evaluation.curves]))


def above_threshold(evaluation: Measured) -> Array:
    """For each seed 1 if its final return is at least the threshold, else 0, `[N]`."""
    # Returns are float32: what is 0.9 there is a little less than 0.9.
    reached = final_returns(evaluation) >= np.float32(evaluation.threshold)
    return reached.astype(np.float64)


def summarise(evaluation: Measured, generator: np.random.Generator) -> dict[str, Any]:
    """A cell's entry of `summary.json`, plain values only.

    `return.std` is the sample standard deviation of the seeds' mean returns, `per_seed[].std` that
    of a seed's episodes; both are null where there is only one value.
    """
    returns = _per_seed(evaluation.returns, len(evaluation.seeds))
    scores = returns.mean(axis=1)
    average = bootstrap(scores, mean, generator)
    middle = bootstrap(scores, interquartile_mean, generator)
    steps = [steps_to(curve, evaluation.threshold) for curve in evaluation.curves]
    return {
        "return": {
            "mean": average.value,
            "mean_low": average.low,
            "mean_high": average.high,
            "iqm": middle.value,
            "iqm_low": middle.low,
            "iqm_high": middle.high,
            "std": _deviation(scores),
        },
        "per_seed": [
            {"seed": int(seed), "mean": float(score), "std": _deviation(episodes)}
            for seed, score, episodes in zip(evaluation.seeds, scores, returns, strict=True)
        ],
        "success": _success(evaluation, generator),
        "length": {"mean": float(_per_seed(evaluation.lengths, len(evaluation.seeds)).mean())},
        "steps_to_return": {
            "threshold": float(evaluation.threshold),
            "per_seed": steps,
            "median": median_steps(steps),
        },
        **evaluation.means,
    }


def _success(evaluation: Measured, generator: np.random.Generator) -> dict[str, float | None]:
    missing = np.isnan(np.asarray(evaluation.successes, np.float64))
    if missing.all():
        return {"mean": None, "low": None, "high": None}
    # Where it told of others, it may tell of success only when there is one.
    successes = np.where(missing, 0.0, evaluation.successes)
    shares = _per_seed(successes, len(evaluation.seeds)).mean(axis=1)
    return dict(zip(("mean", "low", "high"), bootstrap(shares, mean, generator), strict=True))


def _area(curve: Curve) -> float:
    steps, values = np.array(curve, np.float64).T
    if len(steps) == 1:
        return float(values[0])
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def _deviation(values: Array) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _per_seed(values: Array, num_seeds: int) -> Array:
    values = _checked(values)
    if values.ndim != 2 or len(values) != num_seeds:
        raise ValueError(
            f"expected an array [{num_seeds} seeds, episodes], received shape {values.shape}"
        )
    return values


def _checked(values: Array) -> Array:
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise ValueError("expected the values of at least one seed, received none")
    if not np.isfinite(values).all():
        rows = sorted({int(index) for index in np.argwhere(~np.isfinite(values))[:, 0]})
        raise ValueError(
            f"expected finite values, received NaN or infinity for the seeds at positions {rows}; "
            "a run that diverged has to be trained again with other settings"
        )
    return values
