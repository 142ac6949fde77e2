"""What tuning and training write, what they go on from, and what the records of both hold."""

from __future__ import annotations

import csv
import sys
from argparse import Namespace
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp import checkpoint
from pamdp.base.errors import PamdpError, SettingsError, TrainingError
from pamdp.base.lazy import tf
from pamdp.checkout import Checkout
from pamdp.files import read_json, write_csv
from pamdp.learning import training as training_module
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Weights
from pamdp.learning.training import Checkpoint, Point, Training, TrainResult
from pamdp.records import Run
from pamdp.stages import results, search, train, tune
from pamdp.tuning import scoring as tuning_module
from pamdp.tuning.study import CellStudy
from pamdp.tuning.trials import Report, Trial
from tests.helpers import SMALL, cell
from tests.unit.two_cells import (
    INVERTING,
    PLAIN,
    curve,
    found,
    set_up,
    small,
    train_cell,
    tune_cell,
)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.setenv("PAMDP_WORKERS", "1")


# -- Results of earlier stages ---------------------------------------------------------------------


def test_a_missing_result_says_how_to_get_it():
    with pytest.raises(PamdpError) as error:
        read_json(Path("metrics/tune/x/best.json"))
    assert "metrics/tune/x/best.json" in str(error.value)
    assert "what `tune@x` writes" in str(error.value)
    assert "`dvc repro tune@x`" in str(error.value)


def test_the_best_values_replace_the_settings(tmp_path):
    given = small().cell(PLAIN)
    found(tmp_path, PLAIN, {"learner.q.learning_rate": 0.5})
    tuned = results.tuned(Checkout(small(), tmp_path), given)
    assert tuned.learner.q.learning_rate == 0.5
    assert tuned.replace({"learner.q.learning_rate": given.learner.q.learning_rate}) == given


def test_no_values_leave_the_settings_as_they_are(tmp_path):
    found(tmp_path, PLAIN, {})
    given = small().cell(PLAIN)
    assert results.tuned(Checkout(small(), tmp_path), given) == given


def test_values_of_another_cell_are_refused(tmp_path):
    found(tmp_path, PLAIN, {"strategy.factor": 0.5})
    with pytest.raises(SettingsError, match=r"strategy\.factor: expected the path of a setting"):
        results.tuned(Checkout(small(), tmp_path), small().cell(PLAIN))


def initial(trained, seed: int) -> Weights:
    loop = loop_of(trained)
    return tf.nest.map_structure(np.asarray, loop.weights(loop.initial(seed)))


def test_trained_weights_are_read_by_seed(tmp_path):
    trained, checkout = cell("mpdqn", "plain"), Checkout(small(), tmp_path)
    weights = {seed: initial(trained, seed) for seed in (7, 3)}
    checkpoint.save_weights(checkout.train(trained.name) / "weights.npz", weights)
    read = results.trained(checkout, trained)
    assert list(read) == [7, 3]
    for seed, nest in weights.items():
        tf.nest.assert_same_structure(nest, read[seed])
        for a, b in zip(tf.nest.flatten(nest), tf.nest.flatten(read[seed]), strict=True):
            np.testing.assert_array_equal(a, b)


# -- Tuning and training ---------------------------------------------------------------------------


def test_a_search_that_always_diverges_finds_nothing(tmp_path, monkeypatch):
    def diverge(*arguments: Any) -> Generator[Point, None, None]:
        yield Point(1, {"eval/return": 0.0})
        raise TrainingError("diverged")

    monkeypatch.setattr(tuning_module, "train", diverge)
    tune_cell(set_up(tmp_path), PLAIN)
    folder = tmp_path / "metrics" / "tune" / PLAIN
    assert read_json(folder / "best.json") == {"values": {}, "score": None}
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["score"] for row in rows] == ["", ""]
    record = Run.read(folder / "record.json")
    assert [child.metrics for child in record.children] == [{"eval/return": [(1, 0.0)]}] * 2
    assert [row["state"] for row in rows] == ["failed", "failed"]


def test_a_search_that_grows_stays_one_run(tmp_path, monkeypatch):
    """MLflow knows a run by key and fingerprint, and never changes a parameter."""
    records = []
    for trials in (2, 3):
        checkout = set_up(tmp_path, tuning__trials=trials)
        monkeypatch.setattr(CellStudy, "run", scored)
        tune_cell(checkout, PLAIN)
        records.append(Run.read(tmp_path / "metrics" / "tune" / PLAIN / "record.json"))
    assert [len(record.children) for record in records] == [2, 3]
    first, second = (record.model_copy(update={"children": []}) for record in records)
    assert first == second
    assert "tuning.trials" not in first.parameters


def scored(study: CellStudy, _: Any) -> list[Trial]:
    """The trials of a study, the later the better."""
    values = study.suggest([], 0)
    return [Trial(number, values, float(number)) for number in range(study.missing)]


def test_a_search_that_ends_the_process_leaves_no_results_of_other_settings(tmp_path, monkeypatch):
    """DVC keeps them until then, and would take them for new ones: the exit code says success."""

    def end(*arguments: Any) -> Generator[Point]:
        sys.exit(0)
        yield

    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    monkeypatch.setattr(CellStudy, "run", end)
    monkeypatch.setattr(Checkout, "here", lambda: checkout)
    with pytest.raises(SystemExit):
        tune.run(Namespace(cell=PLAIN))
    assert not (tmp_path / "metrics" / "tune" / PLAIN).exists()


def test_a_cell_is_tuned_and_trained_for_as_long_as_its_environment_says(tmp_path, monkeypatch):
    asked: list[Training] = []

    def stopped(cell: Any, seed: int, training: Training, *rest: Any) -> Generator[Point]:
        asked.append(training)
        raise TrainingError("stopped")
        yield

    for module in (tuning_module, train):
        monkeypatch.setattr(module, "train", stopped)
    length = {"steps": 1200, "report_every": 50, "evaluation_episodes": 3}
    checkout = set_up(tmp_path, environments__platform__training=length, tuning__share=0.5)
    tune_cell(checkout, PLAIN)
    with pytest.raises(TrainingError):
        train_cell(checkout, PLAIN)
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

    monkeypatch.setattr(train, "train", diverge)
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    with pytest.raises(TrainingError, match="seed 1 diverged"):
        train_cell(checkout, PLAIN)
    assert not (tmp_path / "metrics" / "train").exists()


def test_each_seed_goes_on_from_its_checkpoint_until_the_cell_is_trained(tmp_path, monkeypatch):
    given: dict[int, Checkpoint | None] = {}
    weights, interrupted = initial(cell("mpdqn", "plain"), 1), [True]

    def resumable(
        cell: Any, seed: int, training: Training, saved: Checkpoint | None
    ) -> Generator[Point | Checkpoint, None, TrainResult]:
        given[seed] = saved
        yield Checkpoint([np.float32([seed])], [[10, {"eval/return": 0.5}]])
        yield Point(10, {"eval/return": 0.5})
        if interrupted[0]:
            raise ConnectionAbortedError
        return TrainResult(seed, [], weights)

    monkeypatch.setattr(train, "train", resumable)
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    with pytest.raises(ConnectionAbortedError):
        train_cell(checkout, PLAIN)
    assert given == {1: None, 2: None}
    saved = sorted(checkout.checkpoints(PLAIN).rglob("*"))
    assert [path.name for path in saved[1:]] == ["record.json", "seed-1.npz", "seed-2.npz"]
    began = Run.read(saved[1])
    assert (began.fingerprint, began.parameters["name"]) == (saved[0].name, PLAIN)
    interrupted[0] = False
    train_cell(checkout, PLAIN)
    for seed in (1, 2):
        assert given[seed] == ([[seed]], [[10, {"eval/return": 0.5}]])
    assert not checkout.checkpoints(PLAIN).exists()
    written = sorted(path.name for path in checkout.train(PLAIN).iterdir())
    assert written == ["curves.csv", "record.json", "weights.npz"]


def test_no_seed_goes_on_from_the_checkpoint_of_another(tmp_path, monkeypatch):
    """As when somebody has renamed it: the same shapes, and other bytes in the end."""
    monkeypatch.setattr(training_module, "CHECKPOINT_SECONDS", 0.0)
    length = {"steps": 80, "report_every": 40, "evaluation_episodes": 1}
    changes = {f"environments.platform.learner.{path}": value for path, value in SMALL.items()}
    changes |= {"environments.platform.training": length, "study.seeds": [1]}
    written = []
    for other in (None, 2, 1):
        checkout = set_up(tmp_path / str(other), **changes)
        found(checkout.root, PLAIN, {})
        subject, long = checkout.settings.cell(PLAIN), Training.model_validate(length)
        if other is not None:
            events = training_module.train(subject, other, long)
            saved = next(event for event in events if isinstance(event, Checkpoint))
            if other == 1:  # one that is used shows
                saved.points[0][1]["eval/return"] = 7.5
            mark = results.fingerprint(checkout, "train", subject, long)
            checkpoint.save(checkout.checkpoints(PLAIN) / mark / "seed-1.npz", saved)
        train_cell(checkout, PLAIN)
        folder = checkout.train(PLAIN)
        written.append([(folder / n).read_bytes() for n in ("weights.npz", "curves.csv")])
    undisturbed, renamed, own = written
    assert renamed == undisturbed
    assert own[0] == undisturbed[0]
    assert b",7.5," in own[1]


@pytest.mark.parametrize("fact", ["versions", "code/train", "algorithms/mpdqn", "strategies/plain"])
def test_no_seed_goes_on_from_a_checkpoint_of_other_code(tmp_path, monkeypatch, fact):
    checkout = set_up(tmp_path)
    subject = checkout.settings.cell(PLAIN)
    before = results.fingerprint(checkout, "train", subject)
    assert results.fingerprint(checkout, "train", subject) == before
    (checkout.setup / f"{fact}.json").write_text('{"source": "another"}')
    with monkeypatch.context() as patch:  # as if that were the code that runs
        patch.setattr(results, "digest", lambda modules: {})
        patch.setattr(results, "versions", dict)
        assert results.fingerprint(checkout, "train", subject) != before


@pytest.mark.parametrize("fact", ["versions", "code/train", "algorithms/mpdqn", "strategies/plain"])
def test_code_that_setup_has_not_looked_at_is_refused(tmp_path, fact):
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    (checkout.setup / f"{fact}.json").write_text('{"source": "that of other code"}')
    with pytest.raises(PamdpError, match=rf"^{fact}: expected what `setup` .* run `pamdp setup`"):
        train_cell(checkout, PLAIN)
    assert not (checkout.metrics / "train").exists()


def test_a_fingerprint_is_that_of_a_stage_its_cell_and_its_settings(tmp_path):
    checkout = set_up(tmp_path)
    subject, other = (checkout.settings.cell(name) for name in (PLAIN, INVERTING))
    training = checkout.settings.environments["platform"].training
    marks = [
        results.fingerprint(checkout, "train", subject),
        results.fingerprint(checkout, "tune", subject),
        results.fingerprint(checkout, "train", other),
        results.fingerprint(checkout, "train", subject, training),
        results.fingerprint(checkout, "train", subject.replace({"learner.gamma": 0.5})),
    ]
    assert len(set(marks)) == len(marks)


# -- Records and tables ----------------------------------------------------------------------------


def test_the_record_of_a_training():
    values = small()
    training = values.environments["platform"].training
    parent = results.record(values.cell(INVERTING), "train", "f", training=training)
    curves = {1: curve(0.0, 0.5, 1.0), 2: curve(1.0, 0.0)}
    record = train.training_run(parent, curves)
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
    reports = (Report(10, 0.5), Report(20, 0.25))
    trials = [
        Trial(0, {"learner.gamma": 0.5}, 0.25, reports=reports),
        Trial(1, {"learner.gamma": 0.6}, None),
    ]
    training = Training(steps=700, report_every=10, evaluation_episodes=1)
    subject = values.cell(PLAIN)
    parent = results.record(subject, "tune", "f", tuning=values.tuning, training=training)
    record = search.tuning_run(parent, trials, training, "score/seed")
    assert (record.key, record.fingerprint) == (f"tune/{PLAIN}", "f")
    assert record.parameters["learner.gamma"] == 0.9
    assert record.parameters["tuning.share"] == 0.25
    assert record.parameters["training.steps"] == 700
    assert record.metrics == {}
    assert [child.key for child in record.children] == [
        f"tune/{PLAIN}/trial-0",
        f"tune/{PLAIN}/trial-1",
    ]
    assert record.children[0].metrics == {
        "score": [(700, 0.25)],
        "score/seed": [(10, 0.5), (20, 0.25)],
    }
    assert record.children[1].metrics == {}
    assert record.children[1].parameters == {"learner.gamma": 0.6}
    assert record.children[1].tags["trial"] == "1"


def test_hand_set_parameters_are_a_tag():
    bias = {"bias": [3.0, 10.0, 400.0]}
    given = results.record(cell(initial_parameters=bias), "x", "f")
    assert given.tags["initial_parameters"] == "hand-set"
    assert results.record(cell(), "x", "f").tags["initial_parameters"] == "none"


def test_tables_keep_every_digit_and_leave_gaps(tmp_path):
    rows = [["a", "b", "c"], [1, 0.1 + 0.2, None], [2, 1e-7, "x,y"]]
    write_csv(tmp_path / "new" / "x.csv", rows)
    assert (tmp_path / "new" / "x.csv").read_bytes() == (
        b'a,b,c\n1,0.30000000000000004,\n2,1e-07,"x,y"\n'
    )
