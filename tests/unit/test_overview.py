"""The line of a whole study."""

from __future__ import annotations

import io

import pytest

from pamdp.stages import overview
from pamdp.stages.overview import Overview

# Seconds of one core; two cores are at work, and 60 seconds come after the cells.
WORK = {"p-m-plain": {"tune": 40.0, "train": 60.0}, "p-m-zeroing": {"train": 100.0}}


class Clock:
    """A time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(overview, "time", clock)
    return clock


def test_it_starts_with_what_was_estimated(clock, capsys) -> None:
    with Overview(WORK, 2, 60.0):
        assert capsys.readouterr().err == "study: 0 of 2 cells; about 2 min 40 s left\n"


def test_it_tells_the_stages_that_are_under_way(clock) -> None:
    shown = Overview(WORK, 2, 60.0)
    for cell in WORK:
        shown.begin(cell)
    assert "; tune p-m-plain, train p-m-zeroing under way; " in shown.text
    shown.hear("train p-m-plain: 1,000 of 4,000 steps, 90 steps/s\n")
    assert "; train p-m-plain, train p-m-zeroing under way; " in shown.text
    shown.end("p-m-zeroing", well=True)
    assert shown.text.startswith("1 of 2 cells; train p-m-plain under way; about ")


def test_a_cell_that_failed_is_under_way_no_more_and_not_done(clock) -> None:
    shown = Overview(WORK, 2, 60.0)
    shown.begin("p-m-plain")
    shown.end("p-m-plain", well=False)
    assert shown.text == "0 of 2 cells; about 2 min 40 s left"


def test_the_time_left_follows_the_pace_more_and_more(clock) -> None:
    shown = Overview(WORK, 2, 60.0)
    for cell in WORK:
        shown.begin(cell)
    # As fast as estimated: 20 of 200 seconds of work in 10 seconds by two cores.
    clock.now += 10
    shown.hear("tune p-m-plain: 2 of 8 trials, 5 s per trial\n")
    shown.hear("train p-m-zeroing: 10 of 100 steps\n")
    assert shown.text.endswith("about 2 min 30 s left")
    # At half that speed from here on: 180 seconds of work, and no more of it done.
    clock.now += 600
    left = (200 - 20) * (610 + 60) / (20 + 120) + 60
    assert shown._left(610) == pytest.approx(left)


def test_a_stage_that_has_begun_says_that_those_before_are_done(clock) -> None:
    shown = Overview(WORK, 2, 60.0)
    shown.hear("train p-m-plain: 0 of 4,000 steps\n")
    assert shown._seconds() == (200.0, 40.0)


@pytest.mark.parametrize(
    "line", ["working on it", "tune other: 1 of 2 trials", "setup: 1 of 2 cells", "study: 1 of 2 "]
)
def test_other_lines_tell_nothing(clock, line: str) -> None:
    shown = Overview(WORK, 2, 60.0)
    before = shown.text
    shown.hear(line)
    assert shown.text == before


def test_many_stages_are_told_by_their_number(clock) -> None:
    work = {f"p-m-s{number}": {"train": 1.0} for number in range(6)}
    shown = Overview(work, 6, 60.0)
    for cell in work:
        shown.begin(cell)
    assert "; train p-m-s0, train p-m-s1, train p-m-s2, 3 more under way; " in shown.text


def test_off_a_terminal_lines_come_now_and_then(clock, monkeypatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(overview.sys, "stderr", written)
    with Overview(WORK, 2, 60.0) as shown:
        for step in range(100):
            clock.now += 1
            shown.hear(f"train p-m-zeroing: {step} of 100 steps\n")
    assert len(written.getvalue().splitlines()) == 1 + 100 // 16
