"""A rank test that is exact for few seeds, and its correction for many comparisons.

The test is that of Mann and Whitney (1947): under the hypothesis that the scores of two cells are
of one distribution, each way of dealing the scores of all seeds out to the two is equally likely.
The ways are counted, with the ties that there are (the shift algorithm of Streitberg and Röhmel
1986), and not approximated: with any number of seeds, p <= 0.05 in at most 5 % of comparisons
without a difference. SciPy is exact without ties, or lists all ways, 1e11 of 20 seeds a cell.

The correction is that of Holm (1979): at most 5 % of families have a comparison without a
difference and with a corrected p <= 0.05, however the comparisons depend on each other, and
whichever others differ.

The test is not paired. The same seed gives two cells the same first weights and draws, but their
runs part with the first update, and nothing is left of it in the scores (docs/statistics.md). Of 8
pairs the smallest p is 2 / 2^8 = 0.008, of 8 seeds a side 0.00016.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np

LEVEL = 0.05  # of a family
MOST_COUNTED = 50  # seeds of a cell; beyond, counting takes seconds, and the normal law is as good

Array = np.ndarray


def mann_whitney(x: Array, y: Array) -> float:
    """The two-sided p of the hypothesis that both samples are of one distribution.

    Twice the smaller tail, ties included; 1 where all scores are equal.

    Args:
      x: the scores of the seeds of one cell, `[N]`.
      y: the scores of the seeds of the other, `[M]`.
    """
    _, place, counts = np.unique(np.concatenate([x, y]), return_inverse=True, return_counts=True)
    if len(counts) == 1:
        return 1.0
    if max(len(x), len(y)) > MOST_COUNTED:
        from scipy.stats import mannwhitneyu  # takes a second to load

        return float(mannwhitneyu(x, y, method="asymptotic").pvalue)
    ways, ranks = _rank_sums(len(x), tuple(counts.tolist()))
    rank_sum = int(ranks[place[: len(x)]].sum())
    tail = min(ways[: rank_sum + 1].sum(), ways[rank_sum:].sum())
    return min(1.0, 2 * float(tail) / comb(len(place), len(x)))


@lru_cache(maxsize=64)
def _rank_sums(number: int, counts: tuple[int, ...]) -> tuple[Array, Array]:
    """In how many ways so many of the scores have each sum of ranks; and the ranks.

    Args:
      number: of the scores that are drawn.
      counts: of equal scores, for each value, ascending.

    Returns:
      The ways by twice the sum, and twice the mean rank of each value, which is an integer.
    """
    ranks = 2 * np.cumsum(counts) - np.array(counts) + 1
    all_ranks = np.repeat(ranks, counts)
    ways = np.zeros((number + 1, all_ranks.sum() + 1))  # of so many of those seen so far
    ways[0, 0] = 1
    for rank in all_ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    return ways[number], ranks


def smallest_p(num_seeds: int) -> float:
    """The p of two cells with so many seeds each, of which one wins every comparison of seeds."""
    return min(1.0, 2 / comb(2 * num_seeds, num_seeds))


def least_seeds(num_comparisons: int) -> int:
    """The fewest seeds a cell with which a family of so many comparisons can have a verdict."""
    number = 1
    while num_comparisons * smallest_p(number) > LEVEL:
        number += 1
    return number


def holm(p: Sequence[float]) -> list[float]:
    """The p of a family's comparisons, corrected; each is to be compared with `LEVEL`."""
    corrected, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = largest
    return corrected
