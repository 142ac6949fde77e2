"""Several cells at a time, with a DVC and with lanes that only keep a record of what is asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from threading import Barrier, Event
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML

from pamdp import cli
from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.stages import lane, sharing, study
from tests.helpers import ROOT, changed, params, settings

CELLS = [f"platform-mpdqn-{strategy}" for strategy in ("plain", "zeroing", "inverting", "both")]
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]
DVC = """
import json, os, pathlib, sys
here, command = pathlib.Path(__file__).parent, sys.argv[1:]
record = {"command": command, "said": os.environ.get("PAMDP_SETUP_SAID")}
with (here / "calls").open("a") as file:
    file.write(json.dumps(record) + "\\n")
if command[0] == "status":
    print((here / "status").read_text())
elif command[-1] == "setup":
    status = json.loads((here / "status").read_text())
    (here / "status").write_text(json.dumps([name for name in status if name != "setup"]))
"""


class Lanes:
    """Does nothing, and writes down what it was asked to do."""

    def __init__(self, root: Path) -> None:
        self.root, self.failed = root, Event()

    def run(self, cells: lane.Cells, told, hear) -> bool:
        well = True
        for name, share in zip(cells.stages, [*cells.shares] * len(cells.stages), strict=False):
            told(name, None)
            hear(f"working on {name}")
            record = {"name": name, "stages": cells.stages[name], "cores": [*share.cores]}
            record |= {"workers": cells.variables["PAMDP_WORKERS"]}
            record |= {"folder": cells.variables["PAMDP_RECORDS"]}
            record |= {"database": (self.root / "optuna.db").exists(), "at once": len(cells.shares)}
            with (self.root / "work").open("a") as file:
                file.write(json.dumps(record) + "\n")
            well = self.cell(name)
            if well is not None:
                told(name, well)
        return bool(well)

    def cell(self, name: str) -> bool | None:
        """Whether it goes well; none of a process that was killed."""
        if not (self.root / "fail").exists():
            time.sleep(0.1)
            return True
        if "zeroing" in name:
            self.failed.set()
            return None if (self.root / "fail").read_text() == "killed" else False
        self.failed.wait(10)
        time.sleep(0.5)  # until the failure is known
        return True


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with a database and a lock file, in which nothing is up to date."""
    (tmp_path / "dvc.py").write_text(DVC)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n")
    dvc = (sys.executable, str(tmp_path / "dvc.py"))
    monkeypatch.setattr(study, "DVC", dvc)
    monkeypatch.setattr(study, "RECORDER", (*dvc, "repro"))
    monkeypatch.setattr(study.lane, "prepare", lambda: None)
    monkeypatch.setattr(study.ahead, "marks", lambda _, name: (name, name))
    monkeypatch.setattr(study.lane, "run", Lanes(tmp_path).run)
    takes = SimpleNamespace(memory=lambda num_workers: 1.0, seconds=100.0, tuning_share=0.4)
    monkeypatch.setattr(study, "_estimates", lambda _, names: dict.fromkeys(names, takes))
    monkeypatch.setattr(sharing, "cores", lambda: range(2))
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.setenv("PAMDP_WORKERS", "2")
    (tmp_path / ".git").mkdir()
    stale(tmp_path, *(stage for name in CELLS for stage in stages(name)))
    return tmp_path


def stale(root, *names: str) -> None:
    (root / "status").write_text(json.dumps(names))


def stages(name: str) -> list[str]:
    return [f"tune@{name}", f"train@{name}"]


CHANGES = {
    "study.algorithms": ["mpdqn"],
    "study.strategies": ["plain", "zeroing", "inverting", "both"],
    "gradients.both": [{"kind": "zeroing"}, {"kind": "inverting"}],
}


def run_cells(root) -> None:
    study.run_cells(Checkout(settings(**CHANGES), root))


def calls(root) -> list[dict]:
    return [json.loads(line) for line in (root / "calls").read_text().splitlines()]


def worked(root) -> list[dict]:
    path = root / "work"
    return [*map(json.loads, path.read_text().splitlines())] if path.exists() else []


def test_every_cell_that_is_out_of_date_runs_once(root, capsys):
    run_cells(root)
    assert sorted(call["name"] for call in worked(root)) == sorted(CELLS)
    assert [call["stages"] for call in worked(root)] == [["tune", "train"]] * len(CELLS)
    shown = capsys.readouterr().err
    assert {f"working on {name}" for name in CELLS} <= {*shown.splitlines()}
    first, second, *_ = shown.splitlines()
    assert first == "study: 4 cells to do, 2 at a time"
    # 4 times 100 seconds of two cores, and a minute for the rest.
    assert second == "study: 0 of 4 cells; about 4 min 20 s left"
    last = [line for line in shown.splitlines() if line.startswith("study: ")][-1]
    assert re.fullmatch(r"study: 4 of 4 cells in [\d.]+ s; about 1 min left", last)


def test_one_that_is_out_of_date_in_part_runs_too(root):
    stale(root, stages(CELLS[0])[1], stages(CELLS[2])[0], "evaluate")
    run_cells(root)
    work = {call["name"]: call["stages"] for call in worked(root)}
    assert work == {CELLS[0]: ["train"], CELLS[2]: ["tune"]}


def test_where_no_cell_is_out_of_date_nothing_runs(root):
    stale(root, "report")
    run_cells(root)
    assert [call["command"][0] for call in calls(root)] == ["repro", "status"]
    assert not (root / "optuna.db").exists()


def test_the_database_and_the_folder_of_records_are_there_before(root):
    run_cells(root)
    assert {call["database"] for call in worked(root)} == {True}
    assert {call["folder"] for call in worked(root)} == {str(root / ".work" / "records")}


def test_setup_comes_first(root):
    stale(root, "setup", *stages(CELLS[0]), *stages(CELLS[1]))
    run_cells(root)
    commands = [call["command"] for call in calls(root)]
    assert commands == [["repro", "--quiet", "setup"], ["status", "--json"]]
    assert len(worked(root)) == 2


@pytest.mark.parametrize(
    ("workers", "cores", "memory", "expected"),
    [
        ("2", 2, 1e9, ["1", "1", "1", "1"]),
        ("1", 2, 1e9, ["1", "1", "1", "1"]),
        ("4", 2, 1e9, ["2", "2", "2", "2"]),  # no more lanes than cores
        ("7", 7, 1e9, ["1", "2", "2", "2"]),
        ("3", 3, 1e9, ["1", "1", "1", "3"]),  # the last cell has the cores for itself
        ("8", 8, 2.5, ["4", "4", "4", "4"]),  # memory for two
        ("8", 8, 0.5, ["1", "1", "1", "1"]),  # one at a time, whatever there is
    ],
)
def test_cores_and_workers_are_shared(root, monkeypatch, workers, cores, memory, expected):
    monkeypatch.setenv("PAMDP_WORKERS", workers)
    monkeypatch.setattr(sharing, "cores", lambda: range(cores))
    available = SimpleNamespace(available=memory, total=1e12)
    monkeypatch.setattr(sharing.psutil, "virtual_memory", lambda: available)
    run_cells(root)
    assert sorted(call["workers"] for call in worked(root)) == expected


def test_shares_are_all_cores_and_no_core_twice(monkeypatch):
    monkeypatch.setenv("PAMDP_WORKERS", "5")
    monkeypatch.setattr(sharing, "cores", lambda: [3, 4, 6, 8, 9])
    together, shares = Barrier(2), []

    def work(name: str, share: sharing.Share) -> bool:
        together.wait(10)
        shares.append(share)
        return True

    assert sorted(sharing.side_by_side(["a", "b"], sharing.shares_of(2, 9), work)) == [
        ("a", True),
        ("b", True),
    ]
    found = sorted((tuple(share.cores), share.workers) for share in shares)
    assert found == [((3, 6, 9), 3), ((4, 8), 2)]


@pytest.mark.skipif(len(CORES) < 2, reason="one core cannot be shared")
def test_each_lane_keeps_to_its_cores(root, monkeypatch):
    monkeypatch.setattr(sharing, "cores", lambda: CORES)
    run_cells(root)
    shares = {tuple(call["cores"]) for call in worked(root)}
    assert shares <= {tuple(CORES[::2]), tuple(CORES[1::2])}


def test_where_tasks_are_elsewhere_one_process_does_all_cells(root, monkeypatch):
    elsewhere = SimpleNamespace(elsewhere=True, join=dict, workers=lambda: 10)
    monkeypatch.setattr(study, "engine_of", lambda: elsewhere)
    monkeypatch.setattr(sharing, "engine_of", lambda: elsewhere)
    monkeypatch.setattr(sharing, "workers", elsewhere.workers)
    run_cells(root)
    assert [call["name"] for call in worked(root)] == CELLS
    # Two seeds each; as many cells at a time as fill ten workers.
    assert {call["at once"] for call in worked(root)} == {len(CELLS)}


@pytest.mark.parametrize("how", ["failed", "killed"])
def test_a_failure_is_told_and_no_other_cell_begins(root, how):
    (root / "fail").write_text(how)
    message = r"^platform-mpdqn-zeroing failed; .*`pamdp study train@platform-mpdqn-zeroing` tells"
    with pytest.raises(PamdpError, match=message) as failed:
        run_cells(root)
    assert ("memory may be too small" in str(failed.value)) == (how == "killed")
    assert len(worked(root)) == 2


def test_a_process_that_ends_before_it_begins_a_cell_has_failed(root, monkeypatch):
    monkeypatch.setattr(study.lane, "run", lambda *_: False)
    with pytest.raises(PamdpError, match=r"^platform-mpdqn-plain, .* failed; "):
        run_cells(root)


def test_after_an_interruption_no_other_cell_begins(root, monkeypatch):
    began, names = Event(), []

    def interrupted(jobs):
        began.wait(10)
        raise KeyboardInterrupt

    def run(cells, told, hear):
        names.extend(cells.stages)
        began.set()
        time.sleep(0.5)  # as a stage that is about to end, and ends well
        return True

    monkeypatch.setenv("PAMDP_WORKERS", "1")
    monkeypatch.setattr(sharing, "as_completed", interrupted)
    monkeypatch.setattr(study.lane, "run", run)
    with pytest.raises(KeyboardInterrupt):
        run_cells(root)
    assert len(names) == 1


def test_an_error_in_a_lane_is_raised_and_ends_the_others():
    began = []

    def work(name: str, share: sharing.Share) -> bool:
        began.append(name)
        raise OSError("no such program")

    with pytest.raises(OSError, match="no such program"):
        list(sharing.side_by_side(["a", "b", "c"], sharing.shares_of(1, 9), work))
    assert began == ["a"]


def test_a_cell_that_failed_is_not_counted_as_done(root, capsys):
    stale(root, *stages(CELLS[1]))
    (root / "fail").touch()
    with pytest.raises(PamdpError):
        run_cells(root)
    assert "1 of 1 cells" not in capsys.readouterr().err


def test_what_dvc_refuses_ends_it(root, monkeypatch):
    monkeypatch.setattr(study, "DVC", (sys.executable, "-c", "raise SystemExit(255)"))
    with pytest.raises(PamdpError, match=r"^`dvc repro setup` failed, with exit code 255$"):
        run_cells(root)


def test_outside_of_a_git_repository_it_says_so(root, command, monkeypatch):
    monkeypatch.setattr(study.Path, "exists", lambda path: False)
    with pytest.raises(PamdpError, match=r"expected a git repository.* run `git init`"):
        command()


# -- The command -----------------------------------------------------------------------------------


@pytest.fixture
def command(root, monkeypatch):
    """Runs the command in a folder with settings; gives what DVC was asked."""
    with (root / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(changed(params(), CHANGES), file)
    monkeypatch.chdir(root)

    def command(*arguments: str) -> list[list[str]]:
        study.run(cli.parser().parse_args(["study", *arguments]))
        return [call["command"] for call in calls(root)]

    return command


@pytest.mark.parametrize(
    ("name", "meant"),
    [("trian", "train"), ("train@platform-mpdqn-plan", "train@platform-mpdqn-plain"), ("x", None)],
)
def test_a_stage_that_there_is_not_is_refused_before_anything_is_forgotten(
    command, root, name, meant
):
    shutil.copy(ROOT / "dvc.yaml", root)
    with pytest.raises(
        PamdpError, match=r"expected a stage of dvc\.yaml, such as train@"
    ) as refused:
        command("--force", name)
    assert f"received {name!r}" in str(refused.value)
    assert ("did you mean" in str(refused.value)) == (meant is not None)
    assert meant is None or str(refused.value).endswith(f"did you mean {meant!r}?")
    assert not (root / "calls").exists()
    for own in ("report", f"tune@{CELLS[0]}", "train", "dvc.lock", "dvc.yaml:report"):
        command(own)  # stages, groups of them, and whatever else DVC takes for a target
    (root / "dvc.yaml").write_text("stages: {mine: {foreach: [a], do: {cmd: ls}}}")
    command("mine@a")
    for broken in ("", "stages:", "artifacts: {}", "- 1", "stages: {x: 2020-01-01}"):
        (root / "dvc.yaml").write_text(broken)
        command("x")  # DVC says what is wrong


def test_alone_it_runs_the_cells_and_then_the_rest(command, root, capsys):
    asked = command()
    assert asked == [["repro", "--quiet", "setup"], ["status", "--json"], ["repro"]]
    assert len(worked(root)) == len(CELLS)
    assert [call["said"] for call in calls(root)] == [None, None, "1"]
    assert capsys.readouterr().out.endswith("The report: metrics/report/index.html\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report"], ["repro", "report"]),
        (["--force", "report"], ["repro", "--force", "report"]),
    ],
)
def test_what_is_asked_for_is_run_one_after_another(command, arguments, expected):
    assert command(*arguments) == [expected]


def test_forced_alone_it_runs_all_cells_and_then_all_stages(command, root):
    stale(root)
    asked = command("--force")
    assert asked == [["repro", "--quiet", "setup"], ["status", "--json"], ["repro", "--force"]]
    assert [call["stages"] for call in worked(root)] == [["tune", "train"]] * len(CELLS)


def test_forced_it_takes_nothing_that_is_there(command, root):
    kept = root / ".work" / "ahead" / "train" / CELLS[0] / "mark" / "record.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    command("report")
    assert kept.exists()
    command("--force", "report")
    assert not kept.exists()


def test_forced_and_interrupted_it_goes_on_from_what_it_has_done(command, root):
    record = root / ".work" / "ahead" / "train" / CELLS[1] / "mark" / "record.json"
    record.parent.mkdir(parents=True)
    record.touch()
    (root / "fail").touch()
    with pytest.raises(PamdpError):
        command("--force")
    assert not record.exists()
    record.touch()  # as by a cell that was finished
    with pytest.raises(PamdpError):
        command("--force")
    assert record.exists()
    (root / "fail").unlink()
    command("--force")
    assert record.exists()
    command("--force")
    assert not record.exists()


def test_what_was_computed_between_two_forced_runs_is_not_taken(command, root):
    (root / "fail").touch()
    with pytest.raises(PamdpError):
        command("--force")
    (root / "fail").unlink()
    command()
    record = root / ".work" / "ahead" / "train" / CELLS[1] / "mark" / "record.json"
    record.parent.mkdir(parents=True)
    record.touch()
    command("--force")
    assert not record.exists()


def test_settings_that_are_edited_meanwhile_are_not_left_to_dvc(command, root, monkeypatch):
    path = root / "params.yaml"
    run = study.lane.run

    def edit(cells, *arguments):
        if CELLS[0] in cells.stages:  # the others run beside it
            path.write_text(path.read_text().replace("episodes: 1000", "episodes: 999"))
        return run(cells, *arguments)

    monkeypatch.setattr(study.lane, "run", edit)
    with pytest.raises(PamdpError, match=r"^params.yaml: .* edited while it ran"):
        command()
    assert ["repro"] not in [call["command"] for call in calls(root)]


def test_wrong_settings_are_refused_before_dvc_is_asked(command, root):
    (root / "params.yaml").write_text("study: {}\n")
    with pytest.raises(PamdpError, match="is wrong"):
        command()
    assert not (root / "calls").exists()
