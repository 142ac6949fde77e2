"""The tables of the report, of invented studies whose numbers are known."""

from pathlib import Path

from pamdp.reporting import findings, tables
from pamdp.reporting.page import inline
from tests.unit.fake_study import Fake, grid, section_of


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
    comparisons = {row[0]: row[1:] for row in tables.comparisons_table(section).rows}
    # P-DQN over plain, over inverting; MP-DQN over plain, over inverting, over P-DQN.
    sure, never = "**1.00 [1.00, 1.00]**", "**0.00 [0.00, 0.00]**"
    assert comparisons["`inverting`"] == (sure, "–", sure, "–", sure)
    assert comparisons["`selective`"] == (never, never, never, never, sure)


def test_shares_of_successes_where_others_report_these(tmp_path: Path) -> None:
    levels = {"goal-pdqn-inverting": 0.96, "goal-mpdqn-inverting": 0.9, "goal-pdqn-plain": 0.97}
    section = section_of(tmp_path, Fake(levels, spread=0.0))
    successes = {"pdqn-inverting": 0.5, "mpdqn-inverting": 0.25, "pdqn-plain": 0.125}
    for cell in section.cells.values():
        share = successes[f"{cell.algorithm}-{cell.strategy}"]
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


def test_texts_are_escaped() -> None:
    table = tables.Table("", ("a|b",), (("x|y",),))
    assert "a\\|b" in table.markdown()
    assert "x\\|y" in table.markdown()
    assert inline("a < `b` & **c**") == ("a &lt; <code>b</code> &amp; <strong>c</strong>")
