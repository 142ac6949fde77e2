"""The tables of the report, of invented studies whose numbers are known."""

from dataclasses import replace
from pathlib import Path

from pamdp.reporting import compared, findings, tables, words
from pamdp.reporting.data import read_study
from pamdp.reporting.page import inline
from pamdp.strategies import STRATEGIES
from tests.unit.fake_study import Fake, grid, section_of

# Sorted by name, `mpdqn_wide` would come first, and `mild` before `plain`.
NAMED = {"mpdqn_wide": "mpdqn", "mild": "reversal", "reversal_weak": "reversal", "both": "chain"}
LEVELS = {
    f"platform-{algorithm}-{strategy}": 0.5 + 0.1 * row + 0.01 * column
    for column, algorithm in enumerate(("mpdqn_wide", "pdqn", "mpdqn"))
    for row, strategy in enumerate(("both", "mild", "plain", "reversal", "reversal_weak"))
}


def test_tables_by_hand(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake(grid(), spread=0.0))
    (returns,) = tables.score_tables(section)
    assert returns.markdown().splitlines() == [
        "| Strategy | P-DQN | MP-DQN |",
        "| --- | ---: | ---: |",
        "| `plain` | 0.620 [0.620, 0.620] | 0.640 [0.640, 0.640] |",
        "| `zeroing` | 0.780 [0.780, 0.780] | 0.800 [0.800, 0.800] |",
        "| `squashing` | 0.930 [0.930, 0.930] | 0.950 [0.950, 0.950] |",
        "| `inverting` | **0.960** [0.960, 0.960] | **0.980** [0.980, 0.980] |",
        "| `reversal` | 0.660 [0.660, 0.660] | 0.680 [0.680, 0.680] |",
        "| `selective` | 0.600 [0.600, 0.600] | 0.620 [0.620, 0.620] |",
        "| `pseudo_inverse` | 0.710 [0.710, 0.710] | 0.730 [0.730, 0.730] |",
        "| published (Bester et al. 2019) | 0.964 ± 0.068 | 0.987 ± 0.039 |",
        "| random policy | 0.291 | 0.291 |",
    ]
    details = {row[0]: row[1:] for row in tables.details_table(section, "pdqn").rows}
    assert details["`plain`"][2:] == ("0.0", "not reached", "58.0", "65.8")
    assert details["`inverting`"][:3] == ("0.960 [0.960, 0.960]", "0.960 [0.960, 0.960]", "100.0")
    strategies, algorithms = compared.verdict_tables(section)
    assert strategies.header[:2] == ("Comparison", "Verdict")
    assert strategies.caption.startswith("12 comparisons of strategies on Platform by final return")
    # With 6 seeds a complete separation has p 2/924, times 12.
    numbers = ("0.0022", "0.026")
    assert strategies.rows[0] == (
        "P-DQN: `plain` against `inverting`",
        "**worse**",
        "-0.340 [-0.340, -0.340]",
        "0.00 [0.00, 0.00]",
        *numbers,
    )
    names = [row[0].split("`")[1] for row in strategies.rows[:6]]
    assert names == [name for name in section.strategies if name != "inverting"]
    assert algorithms.rows[3] == (
        "`inverting`: MP-DQN against P-DQN",
        "**better**",
        "0.020 [0.020, 0.020]",
        "1.00 [1.00, 1.00]",
        "0.0022",
        "0.015",
    )


def test_success_that_is_never_told_is_a_dash(tmp_path: Path) -> None:
    levels = {"goal-pdqn-inverting": 0.96, "goal-pdqn-plain": 0.97}
    section = section_of(tmp_path, Fake(levels, spread=0.0))
    for cell in section.cells.values():
        cell.summary["success"].update(mean=None, low=None, high=None)
    _, shares = tables.score_tables(section)
    assert shares.markdown().splitlines()[2:4] == ["| `plain` | – |", "| `inverting` | – |"]
    assert [row[3] for row in tables.details_table(section, "pdqn").rows] == ["–", "–"]


def test_shares_of_successes_where_others_report_these(tmp_path: Path) -> None:
    levels = {"goal-pdqn-inverting": 0.96, "goal-mpdqn-inverting": 0.9, "goal-pdqn-plain": 0.97}
    section = section_of(tmp_path, Fake(levels, spread=0.0))
    successes = {"pdqn-inverting": 0.5, "mpdqn-inverting": 0.25, "pdqn-plain": 0.125}
    for cell in section.cells.values():
        share = successes[f"{cell.name.algorithm}-{cell.name.strategy}"]
        cell.summary["success"].update(mean=share, low=share - 0.1, high=share + 0.1)
    returns, shares = tables.score_tables(section)
    assert returns.markdown().splitlines()[2:] == [
        "| `plain` | **0.970** [0.970, 0.970] | – |",
        "| `inverting` | 0.960 [0.960, 0.960] | **0.900** [0.900, 0.900] |",
        "| random policy | 0.291 | 0.291 |",
    ]
    assert shares.markdown().splitlines()[2:] == [
        "| `plain` | 0.125 [0.025, 0.225] | – |",
        "| `inverting` | **0.500** [0.400, 0.600] | **0.250** [0.150, 0.350] |",
        "| published (Bester et al. 2019) | 0.701 ± 0.078 | 0.789 ± 0.070 |",
        "| published (CHDP 2026, PDQN-TD3) | 0.714 | – |",
    ]
    assert shares.caption.startswith("Share of successful greedy episodes on Goal with its 95 %")
    note = findings.published_note(section)
    assert note.count("arXiv 1905.04388") == note.count("The CHDP paper") == 1


def test_nothing_is_published_about_other_environments(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake({"maze-pdqn-inverting": 0.9}))
    (returns,) = tables.score_tables(section)
    assert [row[0] for row in returns.rows] == ["`inverting`", "random policy"]
    assert findings.published_note(section) == ""


def test_a_thousand_actions_are_not_all_listed(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake({"maze-pdqn-inverting": 0.9}))
    assert len(tables.actions_table(section).rows) == 4
    many = [{"name": f"{n:010b}", "low": [-1.0], "high": [1.0]} for n in range(1024)]
    object.__setattr__(section, "facts", {**section.facts, "actions": many})
    rows = tables.actions_table(section).rows
    assert rows[19] == ("`0000010011`", "[-1, 1]")
    assert rows[20:] == (("and 1,004 more", "likewise"),)


def test_steps_name_the_seeds_that_got_there(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake({"platform-pdqn-inverting": 0.95}))
    cell = section.cells["pdqn", "inverting"]
    steps = {"threshold": 0.9, "per_seed": [12_000, None, 9_000], "median": 12_000}
    changed = {**cell.summary, "steps_to_return": steps}
    object.__setattr__(cell, "summary", changed)
    assert tables.details_table(section, "pdqn").rows[0][4] == "12,000 (2 of 3)"


def test_names_stand_beside_their_kinds(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake(LEVELS, spread=0.0, kinds=NAMED))
    (returns,) = tables.score_tables(section)
    assert returns.header == ("Strategy", "P-DQN", "MP-DQN", "MP-DQN (mpdqn_wide)")
    assert returns.markdown().splitlines()[2:7] == [
        "| `plain` | 0.710 [0.710, 0.710] | 0.720 [0.720, 0.720] | 0.700 [0.700, 0.700] |",
        "| `mild` | 0.610 [0.610, 0.610] | 0.620 [0.620, 0.620] | 0.600 [0.600, 0.600] |",
        "| `reversal` | 0.810 [0.810, 0.810] | 0.820 [0.820, 0.820] | 0.800 [0.800, 0.800] |",
        "| `reversal_weak` | **0.910** [0.910, 0.910] | **0.920** [0.920, 0.920] "
        "| **0.900** [0.900, 0.900] |",
        "| `both` | 0.510 [0.510, 0.510] | 0.520 [0.520, 0.520] | 0.500 [0.500, 0.500] |",
    ]
    details = tables.details_table(section, "mpdqn_wide")
    assert details.caption.startswith("MP-DQN (mpdqn_wide) on Platform.")
    assert words.describe(section.best) == "MP-DQN with `reversal_weak`"
    against = [line for line in compared.differences(section) if "against P-DQN" in line]
    worse = "`plain`, `mild`, `reversal`, `reversal_weak` and `both`"
    assert against[1] == f"MP-DQN (mpdqn_wide) against P-DQN: worse with {worse}."


def test_the_rule_of_a_name_is_that_of_its_kind(tmp_path: Path) -> None:
    section_of(tmp_path, Fake(LEVELS, kinds=NAMED))
    assert tables.strategies_table(read_study(tmp_path)).rows == (
        ("`plain`", STRATEGIES["plain"].rule),
        ("`mild`", STRATEGIES["reversal"].rule),
        ("`reversal`", STRATEGIES["reversal"].rule),
        ("`reversal_weak`", STRATEGIES["reversal"].rule),  # a chain is explained by its members
    )


def test_a_new_measure_can_be_shown_by_one_more_column(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake(LEVELS, kinds=NAMED, means={"effort": 0.123456}))
    shown = tables.details_table(section, "mpdqn_wide")
    cells = section.of("mpdqn_wide")
    rows = [
        (*row, tables.number(cell.summary["effort"], 2))
        for row, cell in zip(shown.rows, cells, strict=True)
    ]
    more = replace(shown, header=(*shown.header, "Effort"), rows=tuple(rows))
    lines = more.markdown().splitlines()
    assert lines[0].endswith("| Clipped % | Near bound % | Effort |")
    assert [line.split(" | ")[-1] for line in lines[2:]] == ["0.12 |"] * 5


def test_numbers_have_no_negative_zero() -> None:
    assert tables.number(-0.0004) == "0.000"
    assert tables.with_interval((-0.001, -0.0004, 0.0)) == "-0.001 [0.000, 0.000]"


def test_texts_are_escaped() -> None:
    table = tables.Table("", ("a|b",), (("x|y",),))
    assert "a\\|b" in table.markdown()
    assert "x\\|y" in table.markdown()
    assert inline("a < `b` & **c**") == ("a &lt; <code>b</code> &amp; <strong>c</strong>")
