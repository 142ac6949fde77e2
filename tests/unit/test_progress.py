"""How far the work is, where it is shown."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from pamdp import progress as module
from pamdp.progress import LINE_SECONDS, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


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
        first = capsys.readouterr().err
        assert first.startswith("train x: 5,000 of 10,000 steps, 200 steps/s, 25 s left, ")
        assert first.endswith("score 0.250\n")
        clock.now += 1
        progress.update(1_000, score=0.25)
        assert capsys.readouterr().err == ""
        clock.now += 1
        progress.update(4_000, score=1.0)
    last = capsys.readouterr().err
    assert last.startswith("train x: 10,000 of 10,000 steps, 370 steps/s, ")
    assert last.endswith("score 1.000\n")
    assert last.count("\n") == 1


def test_several_numbers_and_another_unit(clock, capsys):
    with Progress("tune x", 2, "trial") as progress:
        clock.now += 1
        progress.update(2, score=-0.5, best=1.0)
    line = capsys.readouterr().err
    assert line.startswith("tune x: 2 of 2 trials, ")
    assert line.endswith("score -0.500, best 1.000\n")


def test_work_that_takes_no_time_is_counted_too(clock, capsys):
    with Progress("train x", 5) as progress:
        progress.update(5)
    assert capsys.readouterr().err.startswith("train x: 5 of 5 steps, ")


def test_nothing_to_do_shows_nothing(clock, capsys):
    with Progress("tune x", 0, "trial"):
        pass
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("train x", 20_000) as progress:
        progress.update(20_000, score=0.5)
    shown = terminal.getvalue()
    assert "train x" in shown
    assert "100%" in shown
    assert "20.0k/20.0k" in shown
    assert "score 0.500" in shown
    assert "20,000 of 20,000" not in shown


def test_the_bar_is_closed_when_the_work_fails(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("train x", 5)
    with pytest.raises(ValueError, match="broken"), progress:
        raise ValueError("broken")
    assert terminal.getvalue().endswith("\n")
