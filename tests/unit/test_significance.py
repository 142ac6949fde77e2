"""The rank test and its correction, on p worked by hand and against SciPy where SciPy is exact."""

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy import stats

from pamdp.significance import LEVEL, holm, least_seeds, mann_whitney, smallest_p


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [4, 5, 6], Fraction(2, 20)),
        # Rank sum 11; of four ranks up to 8 only 1, 2, 3, 4 have a smaller one: 2 ways of 70.
        ([1, 2, 3, 5], [4, 6, 7, 8], Fraction(4, 70)),
        # 1, 3 and 4 of five: rank sum 8; 6, 7, 8 and 8 are as small, of 10 ways.
        ([1, 3, 4], [2, 5], Fraction(8, 10)),
        # Ties. Three 0 and three 1: k of three ones are drawn in C(3, k)^2 ways of 20.
        ([0, 0, 0], [1, 1, 1], Fraction(2, 20)),
        ([0, 0, 1], [0, 1, 1], Fraction(1)),
        # Four 0 and two 1: no one is drawn in C(4, 3) = 4 ways of 20.
        ([0, 0, 0], [0, 1, 1], Fraction(8, 20)),
        # Mean ranks 1, 2.5, 2.5, 4: the smaller two sum up to 3.5, in 2 ways of 6.
        ([1, 2], [2, 3], Fraction(4, 6)),
        ([7, 7, 7], [7, 7], Fraction(1)),
    ],
)
def test_p_by_hand(x: list[float], y: list[float], expected: Fraction) -> None:
    x_, y_ = np.array(x, float), np.array(y, float)
    assert mann_whitney(x_, y_) == pytest.approx(float(expected), rel=1e-12)
    assert mann_whitney(y_, x_) == pytest.approx(float(expected), rel=1e-12)
    assert mann_whitney(np.exp(x_), np.exp(y_)) == mann_whitney(x_, y_)  # of ranks alone


@pytest.mark.parametrize("sizes", [(5, 5), (8, 8), (4, 9), (20, 20), (50, 50)])
def test_p_without_ties_is_scipys(sizes: tuple[int, int]) -> None:
    for shift in (0.0, 0.8, 2.0):
        rng = np.random.default_rng(7)
        x, y = rng.normal(size=sizes[0]), rng.normal(shift, size=sizes[1])
        expected = stats.mannwhitneyu(x, y, method="exact").pvalue
        assert mann_whitney(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sizes", [(5, 5), (6, 6), (4, 7)])
def test_p_with_ties_is_that_of_all_permutations(sizes: tuple[int, int]) -> None:
    for case in range(8):
        rng = np.random.default_rng(case)
        x, y = (rng.integers(0, 4, size) / 3 for size in sizes)

        def rank_sum(x, y, axis):
            return stats.rankdata(np.concatenate([x, y], axis), axis=axis)[..., : sizes[0]].sum(-1)

        expected = stats.permutation_test((x, y), rank_sum, n_resamples=np.inf, vectorized=True)
        assert mann_whitney(x, y) == pytest.approx(expected.pvalue, rel=1e-9)


def test_of_yes_and_no_it_is_fishers_test() -> None:
    for a, b in ((8, 3), (7, 4), (5, 5), (8, 0)):
        x, y = (np.array([1.0] * n + [0.0] * (8 - n)) for n in (a, b))
        expected = stats.fisher_exact([[a, 8 - a], [b, 8 - b]]).pvalue
        assert mann_whitney(x, y) == pytest.approx(min(1, expected), rel=1e-9)


def test_many_seeds_are_not_counted_and_give_nearly_the_same() -> None:
    x, y = np.random.default_rng(2).normal([[0.0], [0.3]], size=(2, 60))
    exact = stats.mannwhitneyu(x, y, method="exact").pvalue
    assert mann_whitney(x, y) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("scores", [[1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 1, 1, 2, 2, 2]])
def test_its_error_rate_holds_with_few_seeds(scores: list[int]) -> None:
    # All ways in which eight scores can be dealt out, each as likely as any other.
    found = []
    for chosen in combinations(range(8), 4):
        mask = np.isin(np.arange(8), chosen)
        found.append(mann_whitney(np.array(scores)[mask], np.array(scores)[~mask]))
    assert len(found) == 70
    for level in (*sorted(set(found)), LEVEL):
        assert np.mean(np.array(found) <= level) <= level + 1e-12


def test_holm_by_hand() -> None:
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which cannot be smaller than the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
    assert holm([0.02, 0.02]) == [0.04, 0.04]


def test_how_many_seeds_a_verdict_takes() -> None:
    assert [smallest_p(n) for n in (1, 3, 5)] == pytest.approx([1, 2 / 20, 2 / 252])
    for seeds in (2, 5, 8):
        low = np.arange(seeds, dtype=float)
        assert mann_whitney(low, low + 100) == pytest.approx(smallest_p(seeds))
    # 2/70 = 0.029; 6 x 2/252 = 0.048, 7 x 2/252 = 0.056; 23 x 2/924 = 0.0498, 24 x 2/924 = 0.052.
    assert [least_seeds(size) for size in (1, 6, 7, 12, 23, 24)] == [4, 5, 6, 6, 6, 7]
    for fewer, more in pairwise(map(least_seeds, range(1, 200))):
        assert fewer <= more
