"""How far the work is, where it is shown."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from pamdp import progress as module
from pamdp.progress import LINE_SECONDS, Progress


class Stream(io.StringIO):
    """A standard error stream that remembers what had been written at its last flush."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal, self.flushed = terminal, ""

    def isatty(self) -> bool:
        return self.terminal

    def flush(self) -> None:
        self.flushed = self.getvalue()


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time, as the module sees it; set `now`."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_lines_come_now_and_then_and_at_the_end(clock, capsys):
    with Progress("train x", 10_000) as progress:
        clock.now += 10
        progress.update(2_000, score=0.5)
        assert capsys.readouterr().err == ""
        clock.now += LINE_SECONDS
        progress.update(3_000, score=0.25)
        assert capsys.readouterr().err == (
            "train x: 5,000 of 10,000 steps, 200 steps/s, 25 s left, score 0.250\n"
        )
        clock.now += 1
        progress.update(1_000, score=0.25)
        assert capsys.readouterr().err == ""
        clock.now += 1
        progress.update(4_000, score=1.0)
    assert capsys.readouterr().err == (
        "train x: 10,000 of 10,000 steps in 27 s, 370 steps/s, score 1.000\n"
    )


def test_lines_do_not_wait_in_a_buffer(clock, monkeypatch):
    stream = Stream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("tune x", 1, "trial") as progress:
        progress.update(1)
        assert stream.flushed == "tune x: 1 of 1 trials in 0 s\n"


def test_several_numbers_with_names_of_several_words(clock, capsys):
    with Progress("tune x", 2, "trial") as progress:
        clock.now += 1
        progress.update(2, last_score=-0.5, best=1.0)
    line = "tune x: 2 of 2 trials in 1 s, 2.0 trials/s, last score -0.500, best 1.000\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("seconds", "done", "shown"),
    [
        (40, 1, "1 of 9 trials, 40 s per trial, 5 min 20 s left"),
        (30, 4, "4 of 9 trials, 7.5 s per trial, 38 s left"),
        (20, 8, "8 of 9 trials, 2.5 s per trial, 2.5 s left"),
        (1_800, 2, "2 of 9 trials, 15 min per trial, 1 h 45 min left"),
        (16, 8, "8 of 9 trials, 2 s per trial, 2 s left"),
    ],
)
def test_slow_units_show_what_one_takes(clock, capsys, seconds, done, shown):
    with Progress("tune x", 9, "trial") as progress:
        clock.now += seconds
        progress.update(done)
    assert capsys.readouterr().err == f"tune x: {shown}\n"


def test_speeds_below_ten_have_a_decimal(clock, capsys):
    with Progress("evaluate", 100, "cell") as progress:
        clock.now += 20
        progress.update(25)
        assert "1.2 cells/s, 1 min left" in capsys.readouterr().err
        clock.now += 20
        progress.update(74)
        assert "2.5 cells/s, 0.4 s left" in capsys.readouterr().err


def test_what_an_earlier_run_did_is_done_but_no_work(clock, capsys):
    with Progress("train x", 10_000) as progress:
        progress.update(6_000, earlier=True, score=0.5)
        clock.now += 20
        progress.update(1_000, score=0.75)
        assert capsys.readouterr().err == (
            "train x: 7,000 of 10,000 steps, 50 steps/s, 1 min left, score 0.750\n"
        )
        clock.now += 20
        progress.update(3_000)
    assert capsys.readouterr().err == "train x: 10,000 of 10,000 steps in 40 s, 100 steps/s\n"


def test_no_speed_is_made_up_where_all_was_done_before(clock, capsys):
    with Progress("train x", 10) as progress:
        clock.now += 3
        progress.update(10, earlier=True, score=0.5)
    assert capsys.readouterr().err == "train x: 10 of 10 steps in 3 s, score 0.500\n"


def test_work_that_takes_no_time_is_counted_too(clock, capsys):
    with Progress("train x", 5) as progress:
        progress.update(5)
    assert capsys.readouterr().err == "train x: 5 of 5 steps in 0 s\n"


def test_nothing_to_do_shows_nothing(clock, capsys):
    with Progress("tune x", 0, "trial"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0 s"),
        (0.43, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (41.4, "41 s"),
        (59.6, "1 min"),
        (200.0, "3 min 20 s"),
        (3_599.0, "59 min 59 s"),
        (3_599.6, "1 h"),
        (7_500.0, "2 h 5 min"),
        (360_000.0, "100 h"),
    ],
)
def test_durations(seconds, shown):
    assert module.duration(seconds) == shown


def test_a_terminal_gets_a_bar_with_the_same_text_and_no_lines(clock, monkeypatch):
    terminal = Stream(terminal=True)
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("train x", 20_000) as progress:
        clock.now += 100
        progress.update(5_000, earlier=True)
        progress.update(15_000, mean_return=0.5)
    shown = terminal.getvalue()
    text = "20,000 of 20,000 steps in 1 min 40 s, 150 steps/s, mean return 0.500"
    assert f"train x: {text} 100%|" in shown
    assert shown.count("\n") == 1


def test_the_bar_is_closed_when_the_work_fails(monkeypatch):
    terminal = Stream(terminal=True)
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("train x", 5)
    with pytest.raises(ValueError, match="broken"), progress:
        raise ValueError("broken")
    assert terminal.getvalue().endswith("\n")
