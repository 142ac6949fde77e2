"""Records of several processes that one of them shows."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pamdp.files import read_json
from pamdp.records import Run
from pamdp.tracking import Sink, open_sink, showing
from pamdp.tracking.folder import VARIABLE, Folder


class Shown(Sink):
    """Stands for what shows them in the process that does."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int, bool]] = []

    def put(self, run: Run, final: bool = False) -> None:
        self.got.append((run.key, len(run.metrics["m"]), final))


def record(key: str, points: int) -> Run:
    return Run(key=key, fingerprint="f", metrics={"m": [(n, 0.5) for n in range(points)]})


CHILD = """
import pathlib, sys
from pamdp.records import Run
from pamdp.tracking import open_sink

with open_sink("x", pathlib.Path(sys.argv[1])) as sink:
    for points in (1, 2, 3):
        metrics = {"m": [(n, 0.5) for n in range(points)]}
        run = Run(key=sys.argv[2], fingerprint="f", metrics=metrics)
        sink.put(run, final=points == 3)
assert "mlflow" not in sys.modules
"""


def test_what_processes_leave_is_shown_to_the_end(tmp_path, monkeypatch):
    shown, folder = Shown(), tmp_path / "records"
    with showing(shown, folder, interval=0.01) as variables:
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
    with showing(shown, tmp_path / "records", interval=60):
        left = Folder(tmp_path / "records", interval=60)
        for number in (1, 2):
            left.put(record("train/a", number), final=False)
            left.put(record("tune/a", number), final=False)
        written = [len(read_json(path)["run"]["metrics"]["m"]) for path in files(tmp_path)]
        assert written == [1, 1]
        left.put(record("train/a", 3), final=True)
        left.close()
    # A sink knows by the first one that the training began just now.
    train = [("train/a", 3, False), ("train/a", 3, True)]
    assert shown.got == [*train, ("tune/a", 2, False)]


def test_what_waits_is_left_with_a_later_call(tmp_path):
    left = Folder(tmp_path / "records", interval=0.2)
    for number in (1, 2):
        left.put(record("train/a", number), final=False)
    time.sleep(0.25)
    left.put(record("tune/a", 1), final=False)
    written = [len(read_json(path)["run"]["metrics"]["m"]) for path in files(tmp_path)]
    assert written == [2, 1]


def files(root: Path) -> list[Path]:
    return sorted((root / "records").glob("*.json"))


def test_a_folder_that_cannot_be_written_costs_one_line(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.delenv("PAMDP_TRACKING", raising=False)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    with open_sink("x", tmp_path) as sink:
        sink.put(record("train/a", 1))
        sink.put(record("train/a", 2), final=True)
    assert len(caplog.messages) == 1
    assert "Tracking failed and stops (FileExistsError" in caplog.text


def test_a_snapshot_that_cannot_be_read_costs_one_line(tmp_path, caplog):
    with Sink() as sink, showing(sink, tmp_path / "records", interval=0.01):
        (tmp_path / "records" / "x.json").write_text("{")
    assert len(caplog.messages) == 1
    assert "Tracking failed and stops (Damaged: " in caplog.text
    assert "x.json: expected a whole file" in caplog.text


def test_the_same_snapshot_is_shown_once(tmp_path):
    class Once(Shown):
        def put(self, run: Run, final: bool = False) -> None:
            super().put(run, final)
            (tmp_path / "shown").touch()

    shown = Once()
    with showing(shown, tmp_path / "records", interval=0.001):
        Folder(tmp_path / "records", 0).put(record("train/a", 1), final=False)
        for _ in range(1000):
            if (tmp_path / "shown").exists():
                break
            time.sleep(0.01)
    assert shown.got == [("train/a", 1, False)]


def test_what_an_earlier_run_left_is_not_shown(tmp_path):
    Folder(tmp_path, 0).put(record("train/a", 1), final=False)
    shown = Shown()
    with showing(shown, tmp_path):
        pass
    assert shown.got == []


@pytest.mark.parametrize("switch", ["on", "off"])
def test_off_means_off_here_too(tmp_path, monkeypatch, switch):
    monkeypatch.setenv("PAMDP_TRACKING", switch)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with open_sink("x", Path("nowhere")) as sink:
        sink.put(record("train/a", 1))
    assert len([*tmp_path.iterdir()]) == (switch == "on")
