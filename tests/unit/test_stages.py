"""What the stages write, and what they say when something is wrong."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp import checkpoint, stages
from pamdp import tuning as tuning_module
from pamdp.agents.policy import Weights
from pamdp.export import ExportError
from pamdp.lazy import tf
from pamdp.loops import loop_of
from pamdp.records import Run, read_json, write_csv, write_json
from pamdp.settings import SettingsError, Training
from pamdp.stages import cells, runs
from pamdp.stages.tuning import tune_cell
from pamdp.training import Point, TrainingError
from pamdp.tuning import CellStudy, Trial
from tests.helpers import cell
from tests.unit.two_cells import INVERTING, PLAIN, curve, found, small


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.setenv("PAMDP_WORKERS", "1")


# -- Running a stage -------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch):
    """Runs a function as a stage with arguments; what it sets does not outlive the test."""
    monkeypatch.setattr(os, "environ", {"HOME": "/"})
    monkeypatch.setattr(stages, "without_keras", lambda: None)

    def run(function, *arguments: str) -> dict[str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        stages.stage(function)
        return dict(os.environ)

    return run


@pytest.mark.parametrize(
    "error",
    [
        SettingsError("study.seeds: wrong"),
        TrainingError("seed 1 diverged"),
        ExportError("another action"),
        PermissionError(13, "Permission denied", "metrics"),
    ],
)
def test_expected_failures_are_their_message(run, error):
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == f"error: {error}"


def test_a_missing_result_says_how_to_get_it(run):
    with pytest.raises(SystemExit) as ended:
        run(lambda: read_json(Path("metrics/tune/x/best.json")))
    assert "metrics/tune/x/best.json" in ended.value.code
    assert "`dvc repro`" in ended.value.code


def test_mistakes_in_the_code_are_not_hidden(run):
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)


def test_an_interruption_says_how_to_go_on(run):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="the same command goes on"):
        run(interrupt)


def train(cell: str) -> None:
    """Stands for the function of a script."""


@pytest.mark.parametrize("arguments", [(), ("a", "b")])
def test_wrong_arguments_show_what_the_script_is_for(run, arguments):
    with pytest.raises(SystemExit) as ended:
        run(train, *arguments)
    assert ended.value.code.startswith("error: ")
    assert ended.value.code.endswith(f"\n{__doc__}")


def test_arguments_are_passed(run):
    received: list[str] = []
    run(received.append, "platform-mpdqn-plain")
    assert received == ["platform-mpdqn-plain"]


def test_compiled_programs_are_kept_beside_the_study(run, tmp_path, monkeypatch):
    folder = tmp_path / "with a space"
    folder.mkdir()
    monkeypatch.chdir(folder)
    environment = run(lambda: None)
    flag = f"--tf_xla_persistent_cache_directory='{folder}/.work/xla'"
    assert environment["TF_XLA_FLAGS"] == flag
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_users_own_flags_are_left_alone(run):
    os.environ.update(TF_XLA_FLAGS="--mine", TF_CPP_MIN_LOG_LEVEL="0")
    environment = run(lambda: None)
    assert environment["TF_XLA_FLAGS"] == "--mine"
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "0"


# -- Cells -----------------------------------------------------------------------------------------


def test_the_best_values_replace_the_settings(tmp_path):
    given = small().cell(PLAIN)
    found(tmp_path, PLAIN, {"learner.q.learning_rate": 0.5})
    tuned = cells.tuned(given, tmp_path)
    assert tuned.learner.q.learning_rate == 0.5
    assert tuned.replace({"learner.q.learning_rate": given.learner.q.learning_rate}) == given


def test_no_values_leave_the_settings_as_they_are(tmp_path):
    found(tmp_path, PLAIN, {})
    assert cells.tuned(small().cell(PLAIN), tmp_path) == small().cell(PLAIN)


def test_values_of_another_cell_are_refused(tmp_path):
    found(tmp_path, PLAIN, {"strategy.factor": 0.5})
    with pytest.raises(SettingsError, match=r"strategy\.factor: expected the path of a float"):
        cells.tuned(small().cell(PLAIN), tmp_path)


def initial(trained, seed: int) -> Weights:
    loop = loop_of(trained)
    return tf.nest.map_structure(np.asarray, loop.weights(loop.initial(seed)))


def test_trained_weights_are_read_by_seed(tmp_path):
    trained = cell("mpdqn", "plain")
    weights = {seed: initial(trained, seed) for seed in (7, 3)}
    folder = tmp_path / "metrics" / "train" / trained.name
    folder.mkdir(parents=True)
    checkpoint.save_weights(folder / "weights.npz", weights)
    read = cells.trained(trained, tmp_path)
    assert list(read) == [7, 3]
    for seed, nest in weights.items():
        tf.nest.assert_same_structure(nest, read[seed])
        for a, b in zip(tf.nest.flatten(nest), tf.nest.flatten(read[seed]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_search_that_always_diverges_finds_nothing(tmp_path, monkeypatch):
    def diverge(*arguments: Any) -> Generator[Point, None, None]:
        yield Point(1, {"eval/return": 0.0})
        raise TrainingError("diverged")

    monkeypatch.setattr(tuning_module, "train", diverge)
    write_json(tmp_path / "metrics/setup/versions.json", {"packages": {}})
    tune_cell(small(), PLAIN, tmp_path)
    folder = tmp_path / "metrics" / "tune" / PLAIN
    assert read_json(folder / "best.json") == {"values": {}, "score": None}
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["score"] for row in rows] == ["", ""]
    record = Run.read(folder / "record.json")
    assert [child.metrics for child in record.children] == [{}, {}]


def test_a_cell_is_tuned_and_trained_for_as_long_as_its_environment_says(tmp_path, monkeypatch):
    asked: list[Training] = []

    def stopped(cell: Any, seed: int, training: Training, *rest: Any) -> Generator[Point]:
        asked.append(training)
        raise TrainingError("stopped")
        yield

    for module in (tuning_module, cells):
        monkeypatch.setattr(module, "train", stopped)
    write_json(tmp_path / "metrics/setup/versions.json", {"packages": {}})
    length = {"steps": 1200, "report_every": 50, "evaluation_episodes": 3}
    values = small(environments__platform__training=length, tuning__share=0.5)
    tune_cell(values, PLAIN, tmp_path)
    with pytest.raises(TrainingError):
        cells.train_cell(values, PLAIN, tmp_path)
    full = Training.model_validate(length)
    half = Training.model_validate(length | {"steps": 600})
    assert asked[:2] == [half] * 2  # a trial each
    assert set(asked[2:]) == {full}
    record = Run.read(tmp_path / "metrics/tune" / PLAIN / "record.json")
    assert record.parameters["training.steps"] == 600
    assert record.parameters["tuning.share"] == 0.5


def test_a_training_that_diverges_writes_no_result(tmp_path, monkeypatch):
    def diverge(cell: Any, seed: int, *rest: Any) -> Generator[Point, None, None]:
        yield Point(1, {"eval/return": 0.0})
        raise TrainingError(f"seed {seed} diverged")

    monkeypatch.setattr(cells, "train", diverge)
    write_json(tmp_path / "metrics/setup/versions.json", {"packages": {}})
    found(tmp_path, PLAIN, {})
    with pytest.raises(TrainingError, match="seed 1 diverged"):
        cells.train_cell(small(), PLAIN, tmp_path)
    assert not (tmp_path / "metrics" / "train").exists()


# -- Records and tables ----------------------------------------------------------------------------


def test_the_record_of_a_training():
    values = small()
    trained = values.cell(INVERTING)
    training = values.environments["platform"].training
    record = runs.training_run(
        trained, training, "f", {1: curve(0.0, 0.5, 1.0), 2: curve(1.0, 0.0)}
    )
    assert record.key == f"train/{INVERTING}"
    # As far as all seeds are.
    assert record.metrics == {"eval/return": [(10, 0.5), (20, 0.25)]}
    assert [child.key for child in record.children] == [
        f"train/{INVERTING}/seed-1",
        f"train/{INVERTING}/seed-2",
    ]
    first = record.children[0]
    assert first.metrics == {
        "eval/return": [(10, 0.0), (20, 0.5), (30, 1.0)],
        "a": [(10, 0), (20, 1), (30, 2)],
    }
    assert first.tags == {
        "stage": "train",
        "cell": INVERTING,
        "environment": "platform",
        "algorithm": "mpdqn",
        "strategy": "inverting",
        "initial_parameters": "none",
        "seed": "1",
    }
    assert first.parameters == {"seed": 1}
    assert record.parameters["learner.gamma"] == 0.9
    assert record.parameters["training.steps"] == training.steps == 40_000


def test_the_record_of_a_search():
    values = small()
    trials = [Trial(0, {"learner.gamma": 0.5}, 0.25), Trial(1, {"learner.gamma": 0.6}, None)]
    training = Training(steps=700, report_every=10, evaluation_episodes=1)
    study = CellStudy(values.cell(PLAIN), values.tuning, training, "f", Path())
    record = runs.tuning_run(study, trials)
    assert (record.key, record.fingerprint) == (f"tune/{PLAIN}", "f")
    assert record.parameters["learner.gamma"] == 0.9
    assert record.parameters["tuning.share"] == 0.25
    assert record.parameters["training.steps"] == 700
    assert record.metrics == {}
    assert [child.key for child in record.children] == [
        f"tune/{PLAIN}/trial-0",
        f"tune/{PLAIN}/trial-1",
    ]
    assert record.children[0].metrics == {"score": [(700, 0.25)]}
    assert record.children[1].metrics == {}
    assert record.children[1].parameters == {"learner.gamma": 0.6}
    assert record.children[1].tags["trial"] == "1"


def test_hand_set_parameters_are_a_tag():
    bias = {"bias": [3.0, 10.0, 400.0]}
    assert runs.tags(cell(initial_parameters=bias), "x")["initial_parameters"] == "hand-set"
    assert runs.tags(cell(), "x")["initial_parameters"] == "none"


def test_tables_keep_every_digit_and_leave_gaps(tmp_path):
    rows = [[1, 0.1 + 0.2, None], [2, 1e-7, "x,y"]]
    write_csv(tmp_path / "new" / "x.csv", ["a", "b", "c"], rows)
    assert (tmp_path / "new" / "x.csv").read_bytes() == (
        b'a,b,c\n1,0.30000000000000004,\n2,1e-07,"x,y"\n'
    )
