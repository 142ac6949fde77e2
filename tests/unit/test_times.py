"""What stages have taken: counted over interruptions, and kept as long as it is of the results."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pamdp.checkout import Checkout
from pamdp.files import read_json, write_json
from pamdp.records import Run
from pamdp.stages import times
from tests.unit.two_cells import PLAIN, small


@pytest.fixture(autouse=True)
def _clock(monkeypatch) -> None:
    """Each look at the clock is a second after the last one."""
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(times.time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setenv("PAMDP_WORKERS", "3")


def end(folder: Path, fingerprint: str) -> None:
    """What a stage does last."""
    Run(key="x", fingerprint=fingerprint).write(folder / "record.json")


def counted(folder: Path) -> dict:
    return read_json(folder.with_name(f"{folder.name}.json"), dict)


def run(folder: Path, fingerprint: str = "a") -> None:
    with times.timed(folder):
        end(folder, fingerprint)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "ahead" / "train" / PLAIN / "mark"


def test_seconds_of_interrupted_runs_count_and_those_of_finished_ones_do_not(folder) -> None:
    with pytest.raises(KeyboardInterrupt), times.timed(folder):
        raise KeyboardInterrupt
    assert counted(folder) == {"seconds": 1.0, "fingerprint": None, "workers": None}
    run(folder, "a")
    assert counted(folder) == {"seconds": 3.0, "fingerprint": "a", "workers": 3}
    run(folder, "b")
    assert counted(folder) == {"seconds": 2.0, "fingerprint": "b", "workers": 3}


def test_a_process_that_is_killed_has_left_a_note(folder, monkeypatch) -> None:
    monkeypatch.setattr(times, "INTERVAL", 0.01)
    with times.timed(folder):
        for _ in range(1000):
            if folder.with_name(f"{folder.name}.json").is_file():
                break
            time.sleep(0.01)
        assert counted(folder)["fingerprint"] is None
        end(folder, "a")


def test_a_stage_without_a_record_has_not_ended(folder) -> None:
    with times.timed(folder):
        pass
    assert counted(folder)["fingerprint"] is None


def test_a_folder_that_may_not_be_written_is_no_failure(tmp_path) -> None:
    (tmp_path / "file").write_text("a file")
    with times.timed(tmp_path / "file" / "mark"):
        pass


def test_times_are_kept_as_long_as_they_are_of_the_results(tmp_path, folder) -> None:
    checkout, searched = Checkout(small(), tmp_path), tmp_path / "none"

    def collect(mark: str, trained: Path) -> dict:
        results = {PLAIN: {"tune": ("t", searched), "train": (mark, trained)}}
        times.collect(checkout, results)
        return read_json(checkout.times) if checkout.times.exists() else {}

    run(folder, "a")
    expected = {PLAIN: {"train": {"seconds": 2.0, "fingerprint": "a", "workers": 3}}}
    assert collect("a", folder) == expected
    # As in a fresh clone, which has no `.work`.
    assert collect("a", tmp_path / "other") == expected
    other = folder.with_name("others")
    run(other, "b")
    assert collect("b", other)[PLAIN]["train"]["fingerprint"] == "b"
    # Settings that come back have the time that they took.
    assert collect("a", folder) == expected
    assert collect("c", tmp_path / "other") == {}


def test_what_cannot_be_read_is_as_good_as_none(tmp_path) -> None:
    checkout = Checkout(small(), tmp_path)
    checkout.times.write_text("{")
    write_json(tmp_path / "mark.json", {"seconds": "many"})
    times.collect(checkout, {PLAIN: {"train": ("a", tmp_path / "mark")}})
    assert not checkout.times.exists()
