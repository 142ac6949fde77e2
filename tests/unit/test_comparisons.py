"""What a study compares, and the verdicts on it."""

import math
import zlib

import numpy as np
import pytest
from pydantic import ValidationError

from pamdp.base.errors import SettingsError
from pamdp.comparisons import Comparisons
from pamdp.learning.cell import CellName
from pamdp.settings import Settings, validated
from pamdp.significance import smallest_p
from pamdp.statistics import Measured
from pamdp.verdicts import Comparison, compare
from tests.helpers import changed, params, settings

NAMES = [
    CellName(environment, algorithm, strategy)
    for environment in ("goal", "maze")
    for algorithm in ("pdqn", "mpdqn")
    for strategy in ("plain", "inverting", "zeroing")
]


def shown(comparisons: Comparisons, names: list[CellName] = NAMES) -> list[str]:
    return [f"{pair.kind}: {pair.cell} {pair.reference}" for pair in comparisons.pairs(names)]


def test_by_default_strategies_meet_inverting_and_algorithms_pdqn() -> None:
    assert shown(Comparisons(), NAMES[:6]) == [
        "strategies: goal-pdqn-plain goal-pdqn-inverting",
        "strategies: goal-pdqn-zeroing goal-pdqn-inverting",
        "strategies: goal-mpdqn-plain goal-mpdqn-inverting",
        "strategies: goal-mpdqn-zeroing goal-mpdqn-inverting",
        "algorithms: goal-mpdqn-plain goal-pdqn-plain",
        "algorithms: goal-mpdqn-inverting goal-pdqn-inverting",
        "algorithms: goal-mpdqn-zeroing goal-pdqn-zeroing",
    ]
    families = [pair.family for pair in Comparisons().pairs(NAMES)]
    assert [*dict.fromkeys(families)] == [
        (environment, kind)
        for environment in ("goal", "maze")
        for kind in ("strategies", "algorithms")
    ]


def test_two_references_meet_each_other_once() -> None:
    both = Comparisons(strategies=("inverting", "plain"), algorithms=())
    assert shown(both, NAMES[:3]) == [
        "strategies: goal-pdqn-plain goal-pdqn-inverting",
        "strategies: goal-pdqn-zeroing goal-pdqn-inverting",
        "strategies: goal-pdqn-zeroing goal-pdqn-plain",
    ]


def test_a_reference_that_is_not_in_the_study_is_met_by_none() -> None:
    assert shown(Comparisons(strategies=("reversal",), algorithms=("spdqn",))) == []
    assert shown(Comparisons(), [name for name in NAMES[:3] if name.strategy == "plain"]) == []


def test_the_settings_have_a_default_that_names_nothing_unknown() -> None:
    values = params()
    del values["comparisons"]
    del values["gradients"]["inverting"]
    values["gradients"].pop("reversal_inverting")
    values["study"]["strategies"] = ["plain"]
    assert Settings.model_validate(values).comparisons == Comparisons()
    assert settings().comparisons == Comparisons()  # what params.yaml says is the default


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("strategies", ["invertin"], r"comparisons.strategies.0: expected one of plain, .*, rec.*"),
        ("strategies", ["plain", "plain"], r"comparisons.strategies.1: expected each value once"),
        ("algorithms", ["inverting"], r"comparisons.algorithms.0: expected one of pdqn, "),
        ("algorithms", "pdqn", r"comparisons.algorithms: expected a list, received 'pdqn'"),
        ("measures", [], r"comparisons.measures: expected a list of at least 1, received \[\]"),
        (
            "measures",
            ["area"],
            r"comparisons.measures.0: expected 'final_return', 'area_under_curve' or "
            r"'above_threshold', received 'area'",
        ),
        ("measures", ["final_return"] * 2, r"comparisons.measures.1: expected each value once"),
        ("strategy", ["plain"], r"comparisons.strategy: unknown key; .*strategies"),
    ],
)
def test_mistakes_are_named(path: str, value: object, message: str) -> None:
    values = changed(params(), {f"comparisons.{path}": value})
    with pytest.raises(SettingsError, match=message):
        validated(values, "params.yaml")


def test_names_of_the_settings_need_not_be_in_the_study() -> None:
    study = settings(comparisons__strategies=["reversal_inverting"], study__strategies=["plain"])
    assert shown(study.comparisons, [cell.name for cell in study.cells]) == [
        "algorithms: platform-mpdqn-plain platform-pdqn-plain"
    ]


# -- Verdicts --------------------------------------------------------------------------------------


def measured(returns: list[float], curve: tuple[float, ...] = (0.0, 0.5, 1.0)) -> Measured:
    """Seeds of one episode each, with the same curve, whose last part is half as long."""
    episodes = np.array(returns, np.float32)[:, None]
    points = [*zip((100, 200, 250), curve, strict=True)]
    seeds = range(len(returns))
    return Measured(seeds, episodes, episodes, episodes, [points] * len(returns), 0.9, {})


def generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


LOW = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
HIGH = [0.7, 0.8, 0.9, 0.95, 0.97, 1.0]


def test_verdicts_by_hand() -> None:
    cells = {
        "goal-pdqn-inverting": measured(LOW, (0.0, 0.5, 1.0)),
        "goal-pdqn-plain": measured(HIGH, (0.0, 0.5, 0.5)),
        "goal-pdqn-zeroing": measured([0.15, 0.25, 0.35, 0.45, 0.55, 0.65]),
    }
    measures = ("final_return", "area_under_curve", "above_threshold")
    found = [Comparison(**e) for e in compare(Comparisons(measures=measures), cells, generator)]
    assert [(e.measure, e.cell, e.reference) for e in found] == [
        (measure, f"goal-pdqn-{strategy}", "goal-pdqn-inverting")
        for measure in measures
        for strategy in ("plain", "zeroing")
    ]
    final, other, area, same_area, above, _ = found
    assert final.p == smallest_p(6) == pytest.approx(2 / math.comb(12, 6))
    assert final.corrected == pytest.approx(2 * final.p)  # of two comparisons
    assert final.verdict == "better"
    assert final.probability == (1.0, 1.0, 1.0)
    assert final.difference.value == pytest.approx(np.mean(HIGH) - np.mean(LOW))
    assert final.difference.low < final.difference.value < final.difference.high
    # Of 36 pairs 21 are won: zeroing's seeds beat 1, 2, 3, 4, 5 and 6 of inverting's.
    assert other.probability.value == pytest.approx(21 / 36)
    assert other.verdict == "not told apart"
    # Over 150 steps: 100 of 0 to 0.5, 50 of 0.5 to 1 or of 0.5.
    difference = (25 + 25) / 150 - (25 + 37.5) / 150
    assert area.difference.value == pytest.approx(difference)
    assert area.verdict == "worse"
    assert (same_area.p, same_area.difference.value, same_area.verdict) == (1, 0, "not told apart")
    # 4 of 6 seeds reach 0.9, of the reference none; all 4 are drawn in C(8, 2) ways of C(12, 6).
    assert above.difference.value == pytest.approx(4 / 6)
    assert above.p == pytest.approx(2 * math.comb(8, 2) / math.comb(12, 6))
    assert above.verdict == "not told apart"  # 2 x 0.061


def test_a_family_is_corrected_by_itself() -> None:
    one = {f"goal-pdqn-{n}": measured(s) for n, s in (("inverting", LOW), ("plain", HIGH))}
    more = {name.replace("goal", "maze"): cell for name, cell in one.items()}
    more |= {f"maze-pdqn-{n}": measured(LOW) for n in ("zeroing", "squashing")}
    alone = compare(Comparisons(), one, generator)
    both = compare(Comparisons(), one | more, generator)
    assert both[: len(alone)] == alone  # intervals too
    maze = {entry["cell"]: entry for entry in both[len(alone) :]}
    assert maze["maze-pdqn-plain"]["corrected"] == pytest.approx(3 * alone[0]["p"])


def test_with_too_few_seeds_nothing_is_told_apart() -> None:
    cells = {"goal-pdqn-inverting": measured(LOW[:3]), "goal-pdqn-plain": measured(HIGH[:3])}
    (entry,) = compare(Comparisons(), cells, generator)
    assert (entry["p"], entry["verdict"]) == (pytest.approx(0.1), "not told apart")


def test_scores_that_are_not_finite_are_refused() -> None:
    cells = {"goal-pdqn-inverting": measured(LOW), "goal-pdqn-plain": measured([math.nan] * 6)}
    with pytest.raises(ValueError, match="expected finite values"):
        compare(Comparisons(), cells, generator)


def test_an_entry_is_what_the_report_reads() -> None:
    cells = {"goal-pdqn-inverting": measured(LOW), "goal-pdqn-plain": measured(HIGH)}
    (entry,) = compare(Comparisons(), cells, generator)
    assert Comparison(**entry).environment == "goal"
    with pytest.raises(ValidationError):
        Comparison(**entry | {"verdict": "open"})
