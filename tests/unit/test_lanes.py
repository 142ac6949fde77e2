"""Several cells at a time, with a DVC that only keeps a record of what it was asked."""

from __future__ import annotations

import json
import os
import sys

import pytest

from pamdp.stages import lanes
from tests.helpers import settings

CELLS = [f"platform-mpdqn-{strategy}" for strategy in ("plain", "zeroing", "inverting", "both")]
DVC = """
import json, os, pathlib, sys, time
here, command = pathlib.Path(__file__).parent, sys.argv[1:]
cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
record = {"command": command, "workers": os.environ.get("PAMDP_WORKERS"), "cores": cores}
with (here / "calls").open("a") as file:
    file.write(json.dumps(record) + "\\n")
if command[0] == "status":
    print((here / "status").read_text())
elif command[-1] == "setup":
    status = json.loads((here / "status").read_text())
    (here / "status").write_text(json.dumps([name for name in status if name != "setup"]))
else:
    print("working on", command[-1])
    failing = (here / "fail").exists()
    time.sleep(0.5 if failing and "plain" in command[-1] else 0.1)
    sys.exit(failing and "zeroing" in command[-1])
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with a database and a lock file, in which nothing is up to date."""
    (tmp_path / "dvc.py").write_text(DVC)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n")
    (tmp_path / "optuna.db").touch()
    monkeypatch.setattr(lanes, "DVC", (sys.executable, str(tmp_path / "dvc.py")))
    monkeypatch.setenv("PAMDP_WORKERS", "2")
    stale(tmp_path, *(stage for name in CELLS for stage in stages(name)))
    return tmp_path


def stale(root, *names: str) -> None:
    (root / "status").write_text(json.dumps(names))


def stages(name: str) -> list[str]:
    chain = "_chain" if name.endswith("both") else ""
    return [f"tune{chain}@{name}", f"train{chain}@{name}"]


def study():
    return settings(
        study__algorithms=["mpdqn"],
        study__strategies=["plain", "zeroing", "inverting"],
        study__chains=["both"],
        gradients__both=[{"kind": "zeroing"}, {"kind": "inverting"}],
    )


def calls(root) -> list[dict]:
    return [json.loads(line) for line in (root / "calls").read_text().splitlines()]


def worked(root) -> list[dict]:
    return [call for call in calls(root) if "--single-item" in call["command"]]


def test_every_cell_that_is_out_of_date_runs_once(root, capsys):
    lanes.run_cells(study(), root)
    expected = [["repro", "--quiet", "--single-item", *stages(name)] for name in CELLS]
    assert sorted(call["command"] for call in worked(root)) == sorted(expected)
    shown = capsys.readouterr().err
    assert {f"working on {stages(name)[1]}" for name in CELLS} <= {*shown.splitlines()}
    assert "study: 4 of 4 cells in" in shown


def test_one_that_is_out_of_date_in_part_runs_too(root):
    stale(root, stages(CELLS[0])[1], stages(CELLS[2])[0], "evaluate")
    lanes.run_cells(study(), root)
    assert sorted(call["command"][-1] for call in worked(root)) == sorted(
        stages(name)[1] for name in (CELLS[0], CELLS[2])
    )


@pytest.mark.parametrize(
    ("workers", "names"), [("1", CELLS), ("2", CELLS[:1]), ("2", [])], ids=["core", "cell", "none"]
)
def test_without_two_cells_and_two_workers_all_is_left_to_dvc(root, monkeypatch, workers, names):
    monkeypatch.setenv("PAMDP_WORKERS", workers)
    stale(root, "report", *(stage for name in names for stage in stages(name)))
    lanes.run_cells(study(), root)
    assert [call["command"][0] for call in calls(root)] == ["status"]


def test_without_memory_for_two_all_is_left_to_dvc(root, monkeypatch):
    monkeypatch.setattr(lanes, "CELL_MEMORY", 1e15)
    lanes.run_cells(study(), root)
    assert worked(root) == []


def test_setup_comes_first(root):
    stale(root, "setup", *stages(CELLS[0]), *stages(CELLS[1]))
    lanes.run_cells(study(), root)
    commands = [call["command"] for call in calls(root)]
    assert [command[0] for command in commands] == ["status", "repro", "status", "repro", "repro"]
    assert commands[1][-1] == "setup"


@pytest.mark.parametrize(("workers", "each"), [("2", "1"), ("9", "2")])
def test_workers_are_shared(root, monkeypatch, workers, each):
    monkeypatch.setenv("PAMDP_WORKERS", workers)
    lanes.run_cells(study(), root)
    assert {call["workers"] for call in worked(root)} == {each}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
@pytest.mark.skipif(os.cpu_count() == 1, reason="one core cannot be shared")
def test_each_lane_keeps_to_its_cores(root):
    own = sorted(os.sched_getaffinity(0))
    lanes.run_cells(study(), root)
    shares = {tuple(call["cores"]) for call in worked(root)}
    assert shares <= {tuple(own[::2]), tuple(own[1::2])}
    assert sorted(os.sched_getaffinity(0)) == own


def test_a_failure_is_told_and_no_other_cell_begins(root):
    (root / "fail").touch()
    (root / "dvc.lock").write_text("stages:\n  train@b:\n    cmd: b\n  setup:\n    cmd: s\n")
    with pytest.raises(SystemExit, match=r"^error: platform-mpdqn-zeroing failed, see above"):
        lanes.run_cells(study(), root)
    assert len(worked(root)) < 4
    assert (root / "dvc.lock").read_text().index("setup") < 15  # in order all the same


def test_what_dvc_refuses_ends_it(root, monkeypatch):
    monkeypatch.setattr(lanes, "DVC", (sys.executable, "-c", "raise SystemExit(255)"))
    with pytest.raises(SystemExit) as caught:
        lanes.run_cells(study(), root)
    assert caught.value.code == 255


def test_entries_of_the_lock_file_are_put_in_order(tmp_path):
    path = tmp_path / "dvc.lock"
    entries = {
        name: f"  {name}:\n    cmd: python x.py\n    deps:\n    - path: a\n"
        for name in ("report", "train@b", "tune@b", "setup", "train@a", "tune_chain@c", "tune@a")
    }
    head = "schema: '2.0'\nstages:\n"
    path.write_text(head + "".join(entries.values()))
    lanes.order_lock(path, ["a", "b", "c"])
    order = ["setup", "tune@a", "tune@b", "tune_chain@c", "train@a", "train@b", "report"]
    assert path.read_text() == head + "".join(entries[name] for name in order)
