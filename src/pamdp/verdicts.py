"""The verdicts on what a study compares: `better`, `worse` or `not told apart`, by the test alone.

Difference of means and probability of improvement stand beside a verdict and have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from pamdp.comparisons import Comparisons, Kind, Measure, Pair
from pamdp.learning.cell import CellName
from pamdp.significance import LEVEL, holm, mann_whitney
from pamdp.statistics import (
    Estimate,
    Measured,
    above_threshold,
    areas_under_curves,
    difference_of_means,
    final_returns,
    probability_of_improvement,
)

Verdict = Literal["better", "worse", "not told apart"]

SCORES: Mapping[Measure, Callable[[Measured], np.ndarray]] = {
    "final_return": final_returns,
    "area_under_curve": areas_under_curves,
    "above_threshold": above_threshold,
}


class Comparison(BaseModel):
    """An entry of `comparisons.json`: a comparison by one measure, and the verdict on it.

    Attributes:
      kind: whether strategies or algorithms are compared.
      measure: what of each seed.
      cell: its name.
      reference: the cell that it is compared with.
      difference: mean of the cell minus mean of the reference.
      probability: of improvement.
      p: of the rank test.
      corrected: the same, corrected within the family.
      verdict: on the cell, by the corrected p alone.
    """

    kind: Kind
    measure: Measure
    cell: str
    reference: str
    difference: Estimate
    probability: Estimate
    p: float
    corrected: float
    verdict: Verdict

    @property
    def environment(self) -> str:
        """The environment of both cells."""
        return CellName.parse(self.cell).environment


def compare(
    comparisons: Comparisons,
    measured: Mapping[str, Measured],
    generator: Callable[[str], np.random.Generator],
) -> list[dict[str, Any]]:
    """The entries of `comparisons.json`, plain values as `Comparison` has them.

    Args:
      comparisons: of the study.
      measured: what was measured of each cell, by its name.
      generator: gives the generator of a comparison's intervals for a text that names it.
    """
    found = []
    pairs = [*comparisons.pairs([CellName.parse(name) for name in measured])]
    for measure in comparisons.measures:
        scores = {name: SCORES[measure](each) for name, each in measured.items()}
        for _, family in groupby(pairs, lambda pair: pair.family):
            found += _compared(measure, [*family], scores, generator)
    return found


def _compared(
    measure: Measure,
    family: Sequence[Pair],
    scores: Mapping[str, np.ndarray],
    generator: Callable[[str], np.random.Generator],
) -> Iterator[dict[str, Any]]:
    samples = [(scores[str(pair.cell)], scores[str(pair.reference)]) for pair in family]
    p = [mann_whitney(x, y) for x, y in samples]
    for pair, (x, y), own, corrected in zip(family, samples, p, holm(p), strict=True):
        draws = generator(f"{measure} {pair.cell} {pair.reference}")
        probability = probability_of_improvement(x, y, draws)
        verdict: Verdict = "not told apart"
        if corrected <= LEVEL:
            verdict = "better" if probability.value > 0.5 else "worse"
        yield {
            "kind": pair.kind,
            "measure": measure,
            "cell": str(pair.cell),
            "reference": str(pair.reference),
            "difference": difference_of_means(x, y, draws)._asdict(),
            "probability": probability._asdict(),
            "p": own,
            "corrected": corrected,
            "verdict": verdict,
        }
