"""One small study from nothing to the report, and what a user does with it."""

from __future__ import annotations

import csv
import getpass
import json
import re
import socket
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pamdp.files import read_json
from pamdp.records import Run
from tests.pipeline import checkout, small
from tests.pipeline.small import (
    CELL,
    CELLS,
    DVC_LINES,
    EPISODES,
    OTHER,
    OVERVIEW,
    POINTS,
    PROGRESS,
    SEEDS,
    STAGES,
    STARTED,
    log,
    printed,
)

# -- dvc repro -------------------------------------------------------------------------------------


def test_every_stage_runs_once(study):
    started = STARTED.findall(printed(study, "first.stdout", "rest.stdout"))
    assert sorted(started) == sorted(["setup", *STAGES])  # it looks each time


def test_a_second_time_setup_looks_and_nothing_else_runs(study):
    # It runs each time, finds nothing changed, and says nothing.
    assert STARTED.findall(printed(study, "again.stdout")) == ["setup"]
    skipped = [f"Stage '{name}' didn't change, skipping" for name in STAGES[1:]]
    assert {*skipped} <= {*printed(study, "again.stdout").splitlines()}
    assert printed(study, "again.stderr") == ""
    assert log(study, "lock again").read_text() == log(study, "lock before").read_text()


def test_stages_print_progress_and_nothing_else(study):
    lines = printed(study, "first.stderr", "rest.stderr").splitlines()
    assert [line for line in lines if line not in DVC_LINES and not PROGRESS.fullmatch(line)] == []
    shown = {line.split(":")[0] for line in lines if PROGRESS.fullmatch(line)}
    of_cells = {f"{kind} {cell}" for kind in ("tune", "train") for cell in CELLS}
    assert shown == of_cells | {"evaluate", "export"}
    total = len(SEEDS) * small.STEPS
    assert f"train {CELL}: {total:,} of {total:,} steps" in "\n".join(lines)


def test_the_outputs_are_these(study):
    facts = {"algorithms", "code", "environments", "settings", "strategies", "tuning"}
    facts |= {"comparisons.json", "descriptions.json", "measured.json", "thresholds.json"}
    facts |= {"versions.json"}
    expected = {"setup": facts}
    for cell in CELLS:
        expected[f"tune/{cell}"] = {
            "best.json",
            "importance.json",
            "record.json",
            "trials.csv",
        }
        expected[f"train/{cell}"] = {"curves.csv", "record.json", "weights.npz"}
    expected["evaluate"] = {"comparisons.json", "episodes.npz", "summary.json"}
    for folder, names in expected.items():
        assert {path.name for path in (study / "metrics" / folder).iterdir()} == names
    report = {path.name for path in (study / "metrics/report").iterdir()}
    assert {"index.html", "results.md", "metrics.json", "platform-best.gif"} <= report
    model = {
        "README.md",
        "saved_model.pb",
        "signature.json",
        "training.json",
        "variables",
    }
    for cell in CELLS:
        assert {path.name for path in (study / "models" / cell).iterdir()} == model
    assert {path.name for path in (study / "models").iterdir()} == set(CELLS)


def test_git_sees_the_lock_file_and_what_it_keeps_of_the_report_and_nothing_else(study):
    committed = checkout.git(study, "show", "--format=", "--name-only", "HEAD").split()
    kept = ["platform-curves-mpdqn.svg", "platform-returns.svg", "results.md"]
    kept = ["cells.json", "comparisons.json", *kept]
    assert committed == ["dvc.lock", *(f"results/{name}" for name in kept), "times.json"]
    assert checkout.git(study, "status", "--porcelain") == ""


def test_what_git_keeps_is_of_this_study(study):
    for path, content in checkout.contents(study, "results").items():
        if not path.endswith("cells.json"):
            stage = "evaluate" if path.endswith("comparisons.json") else "report"
            assert (study / "metrics" / stage / Path(path).name).read_bytes() == content
    ran, taken = read_json(study / "results/cells.json"), read_json(study / "times.json")
    assert [*ran] == sorted(CELLS)
    for cell, each in ran.items():
        for stage in ("tune", "train"):
            record = Run.read(study / "metrics" / stage / cell / "record.json")
            assert each.pop(stage) == record.fingerprint == taken[cell][stage]["fingerprint"]
            assert taken[cell][stage]["workers"] == 2
            assert 0 < taken[cell][stage]["seconds"] < 600
        assert each == {"seeds": 2, "steps": small.STEPS, "trials": small.TRIALS}
    status = json.loads(checkout.succeed(study, "dvc", "status", "--json", "report").stdout)
    assert status == {}


def test_outputs_name_no_place_no_user_and_no_time(study):
    # Longer ones: of any three letters some picture has them by chance.
    names = [socket.gethostname(), getpass.getuser()]
    words = [str(study), str(Path.home()), sys.prefix, *(name for name in names if len(name) > 5)]
    for path, content in checkout.contents(study, "metrics", "models", "results").items():
        assert [word for word in words if word.encode() in content] == [], path
        assert not re.search(rb"20\d\d-\d\d-\d\d[T ]\d\d:\d\d", content), path


# -- What the stages found -------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_record_of_a_search(study, cell):
    folder = study / "metrics" / "tune" / cell
    record, best = Run.read(folder / "record.json"), read_json(folder / "best.json")
    assert [child.key for child in record.children] == [
        f"tune/{cell}/trial-{number}" for number in range(small.TRIALS)
    ]
    scores = [child.metrics["score"] for child in record.children]
    assert [[step for step, _ in series] for series in scores] == [[small.TRIAL_STEPS]] * 2
    assert record.parameters["training.steps"] == small.TRIAL_STEPS
    index = int(np.argmax([series[0][1] for series in scores]))
    assert best == {
        "values": record.children[index].parameters,
        "score": scores[index][0][1],
    }
    # The first trial is the settings as they stand.
    assert record.children[0].parameters["learner.q.learning_rate"] == 1e-3
    assert ("strategy.factor" in best["values"]) == (cell == OTHER)
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, (row, child) in enumerate(zip(rows, record.children, strict=True)):
        assert row.pop("trial") == str(number)
        assert float(row.pop("score")) == child.metrics["score"][0][1]
        assert row.pop("state") == child.tags["state"] == "complete"
        assert {path: float(value) for path, value in row.items()} == child.parameters


@pytest.mark.parametrize("cell", CELLS)
def test_the_record_of_a_training(study, cell):
    folder = study / "metrics" / "train" / cell
    record = Run.read(folder / "record.json")
    best = read_json(study / "metrics" / "tune" / cell / "best.json")["values"]
    assert {path: record.parameters[path] for path in best} == best
    assert record.parameters["training.steps"] == small.STEPS
    assert record.tags["strategy"] == cell.split("-")[2]
    assert [child.tags["seed"] for child in record.children] == ["1", "2"]
    names = {"length", "return", "td_loss", "q_mean", "clipped_share", "near_bound_share"}
    names = {f"train/{name}" for name in names | {"epsilon"}}
    names |= {"eval/return", "eval/length", "eval/success"}
    for child in record.children:
        assert set(child.metrics) == names
        for series in child.metrics.values():
            assert [step for step, _ in series] == POINTS
    means = np.mean([[v for _, v in c.metrics["eval/return"]] for c in record.children], axis=0)
    assert [value for _, value in record.metrics["eval/return"]] == pytest.approx(means)
    assert_same_curves(folder / "curves.csv", record)


def assert_same_curves(path: Path, record: Run) -> None:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], int(row["step"])) for row in rows] == [
        (str(seed), step) for seed in SEEDS for step in POINTS
    ]
    for name in rows[0].keys() - {"seed", "step"}:
        recorded = [value for child in record.children for _, value in child.metrics[name]]
        assert [float(row[name]) for row in rows] == recorded


def test_seeds_and_cells_learned_different_weights(study):
    flat = {}
    for cell in CELLS:
        with np.load(study / "metrics" / "train" / cell / "weights.npz") as archive:
            assert {name.split("/")[0] for name in archive.files} == {"1", "2"}
            assert {archive[name].dtype for name in archive.files} == {np.dtype(np.float32)}
            for seed in SEEDS:
                flat[cell, seed] = archive[f"{seed}/0"].tobytes()
    assert len(set(flat.values())) == 4


def test_the_evaluation_is_of_all_cells_and_seeds(study):
    folder = study / "metrics" / "evaluate"
    summary, comparisons = (read_json(folder / f"{n}.json") for n in ("summary", "comparisons"))
    random = read_json(study / "metrics/setup/environments/platform.json")["random_policy"]
    assert set(summary) == set(CELLS)
    with np.load(folder / "episodes.npz") as archive:
        returns = {cell: archive[cell] for cell in CELLS}
    for cell, found in summary.items():
        assert returns[cell].shape == (len(SEEDS), EPISODES)
        assert [entry["seed"] for entry in found["per_seed"]] == list(SEEDS)
        means = returns[cell].astype(np.float64).mean(axis=1)
        assert [entry["mean"] for entry in found["per_seed"]] == pytest.approx(means)
        assert found["return"]["mean"] == pytest.approx(means.mean())
        assert found["random_policy"]["mean"] == pytest.approx(random["return_mean"])
        assert found["initial_parameters"] == "none"
    (compared,) = comparisons
    assert (compared["cell"], compared["reference"]) == (OTHER, CELL)
    gaps = returns[OTHER].mean(1)[:, None] - returns[CELL].mean(1)[None]
    wins = np.mean(gaps > 0) + np.mean(gaps == 0) / 2
    assert compared["probability"]["value"] == pytest.approx(wins)
    assert compared["verdict"] == "not told apart"  # with two seeds


# -- The same bytes --------------------------------------------------------------------------------


def test_the_other_training_was_killed_midway(other):
    assert printed(other, "killed") == "-9"
    found = printed(other, "found").splitlines()
    seeds = {path.rsplit("/", 1)[1] for path in found if path.endswith(".npz")}
    assert seeds == {"seed-1.npz", "seed-2.npz"}
    assert not [path for path in found if path.startswith("metrics/")]


def test_place_workers_interruption_and_tracking_change_no_byte(study, other):
    assert (other / "dvc.lock").read_text() == log(study, "dvc.lock").read_text()
    for folder in ("metrics/setup", f"metrics/tune/{CELL}", f"metrics/train/{CELL}"):
        assert checkout.contents(other, folder) == checkout.contents(study, folder)


def test_cells_at_a_time_give_the_same_bytes_in_the_same_order(study, shared):
    lanes = checkout.once(shared / "lanes", small.run_lanes)
    for folder in ("metrics", "models"):
        assert checkout.contents(lanes, folder) == checkout.contents(study, folder)
    locked, expected = (
        YAML(typ="safe").load(folder / "dvc.lock")["stages"] for folder in (lanes, study)
    )
    assert list(locked) == STAGES
    assert locked == expected
    assert {*json.loads(printed(lanes, "lanes again.stdout"))} == {"setup"}
    # Each of DVC's stages has run, and those of the cells had nothing to compute.
    assert STARTED.findall(printed(lanes, "lanes.stdout")) == STAGES
    first, *lines = printed(lanes, "lanes.stderr").splitlines()
    assert first == "study: 2 cells to do, 2 at a time"
    of_study = [index for index, line in enumerate(lines) if OVERVIEW.fullmatch(line)]
    assert lines[0].startswith("study: 0 of 2 cells; about ")
    last = of_study[-1]
    assert lines[last].startswith("study: 2 of 2 cells in ")
    of_stages = [line for line in lines if not OVERVIEW.fullmatch(line)]
    unknown = [line for line in of_stages if not PROGRESS.fullmatch(line)]
    assert [line for line in unknown if line not in DVC_LINES] == []
    assert {line.split(":")[0] for line in lines[last + 1 :] if line} <= {"evaluate", "export"}
    with sqlite3.connect(lanes / "mlflow.db") as database:
        runs = database.execute("select name, status from runs order by name").fetchall()
    children = [f"trial-{n}" for n in range(small.TRIALS)] + [f"seed-{seed}" for seed in SEEDS]
    parents = [f"{kind} {cell}" for kind in ("tune", "train") for cell in CELLS]
    assert {(name, "FINISHED") for name in [*children, *parents]} <= {*runs}
    assert {status for _, status in runs} == {"FINISHED"}


def test_nothing_that_can_be_resumed_is_left(study, other):
    assert not checkout.contents(other, ".work/train")
    assert not checkout.contents(study, ".work/train")
