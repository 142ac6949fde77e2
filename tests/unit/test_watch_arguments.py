"""What `pamdp watch` is told, and what it makes of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pamdp import cli
from pamdp.checkout import Checkout
from pamdp.stages import watch as module
from pamdp.stages.watch import Wanted

CELL = "platform-mpdqn-inverting"


@pytest.fixture
def asked(monkeypatch) -> list[Wanted]:
    requests: list[Wanted] = []
    monkeypatch.setattr(Checkout, "here", lambda: None)
    monkeypatch.setattr(module, "watch", lambda *arguments: requests.append(arguments[1]))
    return requests


def command(*arguments: str) -> None:
    module.run(cli.parser().parse_args(["watch", *arguments]))


def test_the_command_takes_a_source_alone(asked):
    command(CELL)
    assert asked == [Wanted(CELL, environment=None, seed=None, episodes=1, file=None)]


def test_the_command_takes_options(asked):
    command(CELL, "--file", "a.mp4", "--seed", "3", "--episodes", "2", "--environment", "goal")
    assert asked == [Wanted(CELL, "goal", 3, 2, Path("a.mp4"))]


USAGE = "usage: pamdp watch [-h] [--environment"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), USAGE), ((CELL, "--seed", "x"), USAGE), ((CELL, "y"), "unrecognized arguments: y")],
)
def test_the_command_explains_itself(asked, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert asked == []


def test_enough_was_seen_is_no_error(monkeypatch, asked):
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "watch", interrupted)
    command(CELL)
