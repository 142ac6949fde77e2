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


def end(root: Path, fingerprint: str) -> None:
    """What a stage does last."""
    Run(key="x", fingerprint=fingerprint).write(root / "metrics" / "train" / PLAIN / "record.json")


def counted(root: Path) -> dict:
    return read_json(root / ".work" / "times" / "train" / f"{PLAIN}.json", dict)


def run(root: Path, fingerprint: str) -> None:
    with times.timed(root, "train", PLAIN):
        end(root, fingerprint)


def test_seconds_of_interrupted_runs_count_and_those_of_finished_ones_do_not(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt), times.timed(tmp_path, "train", PLAIN):
        raise KeyboardInterrupt
    assert counted(tmp_path) == {"seconds": 1.0, "fingerprint": None, "workers": None}
    run(tmp_path, "a")
    assert counted(tmp_path) == {"seconds": 3.0, "fingerprint": "a", "workers": 3}
    run(tmp_path, "b")
    assert counted(tmp_path) == {"seconds": 2.0, "fingerprint": "b", "workers": 3}


def test_a_result_that_is_taken_from_elsewhere_keeps_its_time(tmp_path) -> None:
    folder = tmp_path / "ahead"
    with times.timed(tmp_path, "train", PLAIN, folder):
        times.time.monotonic()  # it takes longer
        Run(key="x", fingerprint="a").write(folder / "record.json")
    expected = {"seconds": 3.0, "fingerprint": "a", "workers": 3}
    assert counted(tmp_path) == expected
    run(tmp_path, "a")
    assert counted(tmp_path) == expected


def test_a_process_that_is_killed_has_left_a_note(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(times, "INTERVAL", 0.01)
    path = tmp_path / ".work" / "times" / "train" / f"{PLAIN}.json"
    with times.timed(tmp_path, "train", PLAIN):
        for _ in range(1000):
            if path.is_file():
                break
            time.sleep(0.01)
        assert counted(tmp_path)["fingerprint"] is None
        end(tmp_path, "a")


def test_a_stage_without_a_record_has_not_ended(tmp_path) -> None:
    with times.timed(tmp_path, "train", PLAIN):
        pass
    assert counted(tmp_path)["fingerprint"] is None


def test_a_folder_that_may_not_be_written_is_no_failure(tmp_path) -> None:
    (tmp_path / ".work").write_text("a file")
    run(tmp_path, "a")


def test_times_are_kept_as_long_as_they_are_of_the_results(tmp_path) -> None:
    checkout = Checkout(small(), tmp_path)
    run(tmp_path, "a")
    marks = {PLAIN: {"tune": "t", "train": "a"}}
    times.collect(checkout, marks)
    expected = {PLAIN: {"train": {"seconds": 2.0, "fingerprint": "a", "workers": 3}}}
    assert read_json(checkout.times) == expected
    (tmp_path / ".work" / "times" / "train" / f"{PLAIN}.json").unlink()  # as in a fresh clone
    times.collect(checkout, marks)
    assert read_json(checkout.times) == expected
    run(tmp_path, "b")
    times.collect(checkout, marks)
    assert read_json(checkout.times) == expected
    times.collect(checkout, {PLAIN: {"tune": "t", "train": "b"}})
    assert read_json(checkout.times)[PLAIN]["train"]["fingerprint"] == "b"
    times.collect(checkout, {PLAIN: {"tune": "t", "train": "c"}})
    assert not checkout.times.exists()


def test_what_cannot_be_read_is_as_good_as_none(tmp_path) -> None:
    checkout = Checkout(small(), tmp_path)
    checkout.times.write_text("{")
    write_json(tmp_path / ".work" / "times" / "train" / f"{PLAIN}.json", {"seconds": "many"})
    times.collect(checkout, {PLAIN: {"train": "a"}})
    assert not checkout.times.exists()
