"""Records of several processes that one of them shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pamdp.records import Run
from pamdp.tracking import Tracker, relayed
from pamdp.tracking.relay import FOLDER, Relay


class Shown:
    """Stands for the tracker of the process that shows."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int, bool]] = []

    def put(self, run: Run, final: bool = False) -> None:
        self.got.append((run.key, len(run.metrics["m"]), final))


def record(key: str, points: int) -> Run:
    return Run(key=key, fingerprint="f", metrics={"m": [(n, 0.5) for n in range(points)]})


CHILD = """
import pathlib, sys
from pamdp.records import Run
from pamdp.tracking import Tracker

with Tracker("x", pathlib.Path(sys.argv[1])) as tracker:
    for points in (1, 2, 3):
        metrics = {"m": [(n, 0.5) for n in range(points)]}
        run = Run(key=sys.argv[2], fingerprint="f", metrics=metrics)
        tracker.put(run, final=points == 3)
assert "mlflow" not in sys.modules
"""


def test_what_processes_leave_is_shown_to_the_end(tmp_path, monkeypatch):
    shown, folder = Shown(), tmp_path / "records"
    with relayed(shown, folder, interval=0.01) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        children = [
            subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), f"train/{name}"])
            for name in ("a", "b")
        ]
        assert [child.wait() for child in children] == [0, 0]
    assert {("train/a", 3, True), ("train/b", 3, True)} <= {*shown.got}
    assert not folder.exists()


def test_snapshots_that_follow_each_other_are_left_out_but_the_last(tmp_path):
    shown = Shown()
    with relayed(shown, tmp_path / "records", interval=60):
        relay = Relay(tmp_path / "records", interval=60)
        relay.put(record("train/a", 1))
        relay.put(record("tune/a", 1))
        (first,) = (tmp_path / "records").glob("train*")
        before = first.read_bytes()
        relay.put(record("train/a", 2))
        assert first.read_bytes() == before
        relay.put(record("train/a", 3), final=True)
    assert shown.got == [("train/a", 3, True), ("tune/a", 1, False)]


def test_the_same_snapshot_is_shown_once(tmp_path):
    class Once(Shown):
        def put(self, run: Run, final: bool = False) -> None:
            super().put(run, final)
            (tmp_path / "shown").touch()

    shown = Once()
    with relayed(shown, tmp_path / "records", interval=0.001):
        Relay(tmp_path / "records").put(record("train/a", 1))
        while not (tmp_path / "shown").exists():
            pass
    assert shown.got == [("train/a", 1, False)]


def test_what_an_earlier_run_left_is_not_shown(tmp_path):
    Relay(tmp_path).put(record("train/a", 1))
    shown = Shown()
    with relayed(shown, tmp_path):
        pass
    assert shown.got == []


@pytest.mark.parametrize("switch", ["on", "off"])
def test_off_means_off_here_too(tmp_path, monkeypatch, switch):
    monkeypatch.setenv("PAMDP_TRACKING", switch)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with Tracker("x", Path("nowhere")) as tracker:
        tracker.put(record("train/a", 1))
    assert len([*tmp_path.iterdir()]) == (switch == "on")
