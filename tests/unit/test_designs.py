"""What trials of other designs would have said, worked out from curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import designs
from pamdp.settings import SHIPPED, load


def curves_of_designs(of: Callable[[int, int], list[float]]) -> dict[str, list[float]]:
    """Made up by the number of the settings and the seed."""
    return {key: of(*map(int, key.split("/")[1:])) for key in designs.runs()}


def test_a_score_is_of_the_seeds_and_the_part_of_the_curve_that_a_design_has() -> None:
    curve = np.arange(8.0) + 100 * np.arange(4)[:, None]
    assert designs.Design(1, 0.5, whole=False).scores(curve[None]) == [2.5]
    assert designs.Design(2, 1.0, whole=True).scores(curve[None]) == [53.5]
    trials = [designs.Design(seeds, share, False).trials for seeds, share in ((1, 1.0), (2, 0.5))]
    assert trials == [designs.BUDGET] * 2


def test_a_score_that_tells_all_gains_all_and_one_that_tells_nothing_loses_nothing() -> None:
    known = curves_of_designs(lambda number, seed: [0.1 * number] * 20)
    searched, finals = designs.curves(known, "pdqn-inverting", designs.SEARCH), 0.1 * np.arange(17)
    finals = np.repeat(finals[:, None], len(designs.FRESH), 1)
    assert designs.correlation(designs.CURRENT, searched, finals)[0] == pytest.approx(1)
    mean, low, high = designs.gains(designs.CURRENT, searched, finals)
    assert 0 < low <= mean <= high == pytest.approx(1.6)
    same = np.zeros_like(searched)  # trial 0 is kept then
    assert designs.gains(designs.CURRENT, same, finals) == (0, 0, 0)


def test_the_page_has_rows_of_each_design_and_the_settings_are_always_the_same(monkeypatch) -> None:
    monkeypatch.setattr(designs, "REPEATS", 10)
    rng = np.random.default_rng(0)
    known = curves_of_designs(lambda number, seed: rng.random(20).tolist())
    assert len(known) == len(designs.CELLS) * (designs.SETTINGS + 1) * 9
    text = "\n".join(designs.tables(known))
    assert text.count("\n| ") == 2 * (2 + len(designs.DESIGNS))
    first, *drawn = designs.settings()
    assert (first, len(drawn)) == ({}, designs.SETTINGS)
    assert designs.settings()[1:] == drawn


def test_designs_search_what_the_study_searches() -> None:
    space = {dimension.path: dimension for dimension in load(SHIPPED).tuning.space}
    for path, ends in designs.SPACE.items():
        assert (space[path].low, space[path].high, space[path].log) == (*ends, True)
    assert load(SHIPPED).tuning.share == designs.CURRENT.share
    assert len(load(SHIPPED).tuning.seeds) == designs.CURRENT.seeds
