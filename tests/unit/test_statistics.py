"""The statistics, on numbers worked by hand and by property."""

import numpy as np
import pytest

from pamdp import statistics
from pamdp.statistics import Estimate, Measured


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 6.0], 3.0),  # fewer than four: nothing to leave out
        ([100.0, 1.0, 0.0, 2.0], 1.5),
        ([5.0, 1.0, 50.0, 2.0, 3.0], 10 / 3),
        ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, -90.0], 4.5),
    ],
)
def test_interquartile_mean(scores: list[float], expected: float) -> None:
    assert statistics.interquartile_mean(np.array(scores)) == pytest.approx(expected)


def test_interquartile_mean_of_each_row() -> None:
    rows = np.array([[0.0, 1.0, 2.0, 100.0], [4.0, 4.0, 4.0, 4.0]])
    np.testing.assert_allclose(statistics.interquartile_mean(rows), [1.5, 4.0])


def test_bootstrap_of_two_scores_reaches_both(generator: np.random.Generator) -> None:
    # The resampled means are 0, 1/2 and 1 with probability 1/4, 1/2 and 1/4.
    found = statistics.bootstrap(np.array([0.0, 1.0]), statistics.mean, generator)
    assert found == Estimate(0.5, 0.0, 1.0)


def test_bootstrap_keeps_tasks_apart(generator: np.random.Generator) -> None:
    # [seeds, tasks]: all variation is between the tasks, so every stratified resample is the same.
    scores = np.array([[0.0, 10.0], [0.0, 10.0], [0.0, 10.0]])
    assert statistics.bootstrap(scores, statistics.mean, generator) == Estimate(5.0, 5.0, 5.0)
    merged = statistics.bootstrap(scores.ravel(), statistics.mean, generator)
    assert merged.low < 3
    assert merged.high > 7


def test_bootstrap_has_the_width_of_the_normal_interval(generator: np.random.Generator) -> None:
    scores = np.random.default_rng(0).normal(2.0, 3.0, size=400)
    value, low, high = statistics.bootstrap(scores, statistics.mean, generator)
    half = 1.96 * scores.std() / 20
    assert value == pytest.approx(scores.mean())
    assert low == pytest.approx(value - half, abs=0.15 * half)
    assert high == pytest.approx(value + half, abs=0.15 * half)


@pytest.mark.parametrize("statistic", [statistics.mean, statistics.interquartile_mean])
@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5, 8, 30])
def test_intervals_contain_their_estimate(statistic, num_seeds: int) -> None:
    for case in range(20):
        rng = np.random.default_rng(case)
        value, low, high = statistics.bootstrap(rng.exponential(size=num_seeds), statistic, rng)
        assert low - 1e-12 <= value <= high + 1e-12
        assert (high - low < 1e-12) == (num_seeds == 1)


def test_the_generator_decides(generator: np.random.Generator) -> None:
    scores = np.random.default_rng(0).normal(size=12)
    twice = [
        statistics.bootstrap(scores, statistics.mean, np.random.default_rng(3)) for _ in range(2)
    ]
    other = statistics.bootstrap(scores, statistics.mean, np.random.default_rng(4))
    assert twice[0] == twice[1] != other


def test_probability_of_improvement_by_hand(generator: np.random.Generator) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.0])
    # 1 wins against 0; 2 ties twice and wins once; 3 wins three times.
    found = statistics.probability_of_improvement(x, y, generator)
    assert found.value == pytest.approx((1 + 2 + 3) / 9)
    assert found.low <= found.value <= found.high


def test_probability_of_improvement_of_equal_samples(generator: np.random.Generator) -> None:
    x = np.array([0.3, 0.1, 0.2, 0.9])
    assert statistics.probability_of_improvement(x, x, generator).value == 0.5
    same = np.full(4, 0.7)
    assert statistics.probability_of_improvement(same, same, generator) == Estimate(0.5, 0.5, 0.5)


def test_probability_of_improvement_has_an_order(generator: np.random.Generator) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 7))
    forwards = statistics.probability_of_improvement(x, y, generator).value
    assert forwards == pytest.approx(1 - statistics.probability_of_improvement(y, x, generator)[0])
    assert statistics.probability_of_improvement(x + 9, y, generator) == Estimate(1, 1, 1)
    assert statistics.probability_of_improvement(x - 9, y[:2], generator) == Estimate(0, 0, 0)
    shifted = [statistics.probability_of_improvement(x + s, y, generator).value for s in range(4)]
    assert shifted == sorted(shifted)


def test_a_band_resamples_whole_curves(generator: np.random.Generator) -> None:
    column = np.array([[0.0], [1.0], [5.0], [2.0]])
    mean, low, high = statistics.band(np.repeat(column, 3, axis=1), generator)
    np.testing.assert_allclose(mean, [2.0, 2.0, 2.0])
    # With seeds drawn anew at each point the three ends would differ.
    assert np.ptp(low) == np.ptp(high) == 0
    assert low[0] < 2 < high[0]


def test_steps() -> None:
    curve = [(0, 0.1), (1_000, 0.9), (2_000, 0.2), (3_000, 1.0)]
    assert statistics.steps_to(curve, 0.9) == 1_000
    assert statistics.steps_to(curve, 0.95) == 3_000
    assert statistics.steps_to(curve, 1.1) is None
    assert statistics.median_steps([3_000, None, 1_000]) == 3_000
    assert statistics.median_steps([None, None, 1_000]) is None
    assert statistics.median_steps([1_000, 2_000]) == 1_500
    assert statistics.median_steps([1_000, None]) is None


def measured(**changes) -> Measured:
    values = {
        "seeds": [1, 2],
        "returns": np.array([[0.0, 1.0], [1.0, 1.0]], np.float32),
        "lengths": np.array([[4, 8], [8, 8]]),
        "successes": np.array([[False, True], [True, True]]),
        "curves": [[(0, 0.2), (500, 0.95)], [(0, 0.1), (500, 0.8)]],
        "threshold": 0.9,
        "means": {"clipped_share": 0.25, "near_bound_share": 0.5},
    }
    return Measured(**(values | changes))


def test_summary_by_hand(generator: np.random.Generator) -> None:
    # The seeds' scores are 1/2 and 1: mean 3/4, sample deviation sqrt(1/8).
    assert statistics.summarise(measured(), generator) == {
        "return": {
            "mean": 0.75,
            "mean_low": 0.5,
            "mean_high": 1.0,
            "iqm": 0.75,
            "iqm_low": 0.5,
            "iqm_high": 1.0,
            "std": pytest.approx(0.125**0.5),
        },
        "per_seed": [
            {"seed": 1, "mean": 0.5, "std": pytest.approx(0.5**0.5)},
            {"seed": 2, "mean": 1.0, "std": 0.0},
        ],
        "success": {"mean": 0.75, "low": 0.5, "high": 1.0},
        "length": {"mean": 7.0},
        "steps_to_return": {"threshold": 0.9, "per_seed": [500, None], "median": None},
        "clipped_share": 0.25,
        "near_bound_share": 0.5,
    }


def test_summary_without_success_and_of_one_seed(generator: np.random.Generator) -> None:
    single = measured(
        seeds=[5],
        returns=np.array([[0.4]]),
        lengths=np.array([[3]]),
        successes=np.array([[np.nan]]),
        curves=[[]],
    )
    found = statistics.summarise(single, generator)
    assert found["success"] == {"mean": None, "low": None, "high": None}
    assert found["return"]["std"] is None
    assert found["per_seed"][0]["std"] is None
    assert found["return"]["mean_low"] == found["return"]["mean_high"] == 0.4


def test_success_that_only_some_episodes_tell_is_none_of_the_others(generator) -> None:
    successes = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    found = statistics.summarise(measured(successes=successes), generator)
    assert found["success"]["mean"] == 0.25


def test_unusable_values_are_refused(generator: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"\[2 seeds, episodes\], received shape \(3, 2\)"):
        statistics.summarise(measured(returns=np.zeros((3, 2))), generator)
    with pytest.raises(ValueError, match=r"at positions \[1\]"):
        statistics.summarise(measured(returns=np.array([[0.0], [np.nan]])), generator)
    with pytest.raises(ValueError, match="at least one seed"):
        statistics.bootstrap(np.array([]), statistics.mean, generator)


def test_difference_of_means_by_hand(generator: np.random.Generator) -> None:
    # Means of resamples of 0 and 1 are 0, 1/2 and 1, and 4 of both 4s: 3, 3.5 or 4 apart.
    x, y = np.array([4.0, 4.0]), np.array([0.0, 1.0])
    assert statistics.difference_of_means(x, y, generator) == Estimate(3.5, 3.0, 4.0)
    assert statistics.difference_of_means(y, x, generator) == Estimate(-3.5, -4.0, -3.0)
    assert statistics.difference_of_means(x, x, generator) == Estimate(0, 0, 0)


def test_the_difference_of_means_has_the_width_of_the_normal_interval(generator) -> None:
    x, y = np.random.default_rng(0).normal([[1.0], [0.0]], size=(2, 400))
    value, low, high = statistics.difference_of_means(x, y, generator)
    half = 1.96 * np.sqrt((x.var() + y.var()) / 400)
    assert (value - low, high - value) == pytest.approx((half, half), rel=0.15)


def test_scores_of_each_measure_by_hand() -> None:
    # The areas over 500 steps are means of both ends; a curve of one point is that point.
    assert statistics.final_returns(measured()) == pytest.approx([0.5, 1.0])
    assert statistics.areas_under_curves(measured()) == pytest.approx([0.575, 0.45])
    assert statistics.areas_under_curves(measured(curves=[[(9, 0.2)]])) == pytest.approx([0.2])
    assert statistics.above_threshold(measured()).tolist() == [0.0, 1.0]
    exact = measured(returns=np.full((2, 3), 0.9, np.float32))
    assert statistics.above_threshold(exact).tolist() == [1.0, 1.0]
    curves = [[(0, 1.0), (10, 3.0), (20, np.nan)], [(0, 1.0)]]
    with pytest.raises(ValueError, match=r"at positions \[0\]"):
        statistics.areas_under_curves(measured(curves=curves))
