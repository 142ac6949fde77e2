"""The simulation of verdicts and intervals, and the figures that others take from its page."""

import re

import numpy as np
import pytest

from benchmarks import error_rates
from pamdp import statistics
from pamdp.reporting.compared import INTERVAL_NOTE
from pamdp.significance import LEVEL
from tests.helpers import ROOT


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_rates, "STUDIES", 400)
    monkeypatch.setattr(error_rates, "TRUTH", 100_000)


@pytest.mark.parametrize("name", error_rates.SHAPES)
@pytest.mark.parametrize("num_unlike", [0, 3])
def test_at_most_5_percent_of_families_have_a_false_verdict(name: str, num_unlike: int) -> None:
    found = error_rates.false_verdicts(name, error_rates.SHAPES[name], 8, num_unlike)
    assert found <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 400)


def test_what_is_clear_is_found_and_what_is_not_is_not() -> None:
    same = error_rates._normal()
    assert error_rates.power("clear", (error_rates._normal(9), same), 8) == 1
    assert error_rates.power("clear", (error_rates._normal(9), same), 5) == 0  # of 12 comparisons
    assert error_rates.power("equal", (same, same), 8) < LEVEL


def test_an_interval_of_a_certain_truth_holds_it() -> None:
    certain = error_rates._reached(1.0), error_rates._reached(0.0)
    assert error_rates.coverage("certain", certain, 5) == (1, 1, 1)


def rows(title: str) -> dict[str, list[str]]:
    """A table of the page, by its first column."""
    text = (ROOT / "docs" / "statistics.md").read_text()
    lines = text.partition(title)[2].strip().partition("\n\n")[2].splitlines()
    table = [line.strip("| ").split(" | ") for line in lines[: [*lines, ""].index("")]]
    return {name: cells for name, *cells in table}


def test_the_page_has_no_family_beyond_5_percent() -> None:
    for title in ("where no cell differs", "where half of the strategies differ"):
        shares = [cell for name, cells in rows(title).items() for cell in cells if "%" in cell]
        assert len(shares) == 4 * len(error_rates.SHAPES)
        assert max(float(share.removesuffix(" %")) for share in shares) <= 5.0


@pytest.mark.parametrize("text", [INTERVAL_NOTE, statistics.__doc__])
def test_the_coverage_that_is_told_is_that_of_the_page(text: str) -> None:
    found = rows("Intervals that hold the truth")
    told = [
        f"{float(cell.split(' ')[0]):.0f}"
        for name in ("normal", "1 in 5 seeds fails")
        for cell in found[name]
    ]
    words = " ".join(text.split())
    (said,) = re.findall(
        r"held it in (\d+) % of simulations with 5 seeds, (\d+) % with 8, (\d+) % with 10 and "
        r"(\d+) % with 20 where scores are normal, and in (\d+), (\d+), (\d+) and (\d+) % where",
        words,
    )
    assert [*said] == told
