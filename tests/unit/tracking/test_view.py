"""MLflow shows exactly what the records hold, whatever happens on the way."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from pamdp.files import write_json
from pamdp.records import Run
from pamdp.tracking import collect, rebuild
from pamdp.tracking import view as view_module
from pamdp.tracking.models import log_model
from tests.unit.tracking.shown import CELL, assert_shows, record, series, shown


def test_a_final_record_is_shown_once_and_a_second_sync_changes_nothing(fresh):
    view = fresh()
    first = view.sync(record(), final=True)
    assert_shows(view, record(), "FINISHED")
    before = [run.to_dictionary() for run in shown(view)]
    calls = []
    for again in (view, fresh()):
        again.client.log_batch = lambda *a, **k: calls.append(a)
        assert again.sync(record(), final=True) == first
    assert [run.to_dictionary() for run in shown(view)] == before
    assert calls == []


def test_names_tell_tuning_from_training(fresh):
    view = fresh()
    view.sync(record(1), final=True)
    trial = Run(key=f"tune/{CELL}/trial-3", fingerprint="t3", metrics={"score": [(5000, 0.5)]})
    view.sync(Run(key=f"tune/{CELL}", fingerprint="t", children=[trial]), final=True)
    names = sorted(run.info.run_name for run in shown(view))
    assert names == ["seed-1", "seed-2", f"train {CELL}", "trial-3", f"tune {CELL}"]


def test_growing_snapshots_add_only_what_is_new(fresh):
    view = fresh()
    view.sync(record(10), final=False)
    assert_shows(view, record(10), "RUNNING")
    sent = []
    log_batch = view.client.log_batch
    view.client.log_batch = lambda run_id, **k: (sent.extend(k["metrics"]), log_batch(run_id, **k))
    view.sync(record(11), final=False)
    assert [(m.key, m.step) for m in sent] == [("train/return", 11000)] * 2
    view.sync(record(), final=True)
    assert_shows(fresh(), record(), "FINISHED")


def test_a_sync_that_was_cut_off_is_completed(fresh, monkeypatch):
    monkeypatch.setattr(view_module, "METRICS_PER_CALL", 7)
    cut = fresh()
    log_batch, calls = cut.client.log_batch, []

    def dying(run_id, **entities):
        calls.append(entities)
        if len(calls) == 5:
            raise KeyboardInterrupt
        log_batch(run_id, **entities)

    cut.client.log_batch = dying
    with pytest.raises(KeyboardInterrupt):
        cut.sync(record(), final=True)
    assert len(shown(cut)) == 2  # the parent and a part of the first seed
    fresh().sync(record(), final=True)
    assert_shows(fresh(), record(), "FINISHED")


def test_another_fingerprint_is_another_run(fresh):
    view = fresh()
    old = view.sync(record(3), final=True)
    new = view.sync(record(3, fingerprint="f2"), final=True)
    assert old != new
    assert len(shown(view, pamdp_key=f"train/{CELL}")) == 2
    for parent in (old, new):
        assert len(shown(view, mlflow_parentRunId=parent)) == 2


def test_values_that_are_no_numbers_are_shown_once(fresh):
    odd = [(1, math.nan), (2, math.inf), (3, -math.inf)]
    run = Run(key="train/odd", fingerprint="f", metrics={"train/td_loss": odd})
    run_id = fresh().sync(run, final=False)
    assert fresh().sync(run, final=True) == run_id
    (_, first), (_, second), (_, third) = sorted(series(fresh(), run_id, "train/td_loss"))
    assert math.isnan(first)
    assert (second, third) == (sys.float_info.max, -sys.float_info.max)


def test_artifacts_are_logged_once_and_anew_when_they_change(fresh, tmp_path):
    view, paths = fresh(), (f"metrics/train/{CELL}/curves.csv", "figure.svg")
    run = record(1, artifacts=paths)
    run_id = view.sync(run, final=False)  # live: not there yet, and no error
    with pytest.raises(FileNotFoundError, match=r"train/.* lists .*curves.csv, figure.svg"):
        view.sync(run, final=True)
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("1")
    uploads, log_artifact = [], view.client.log_artifact
    view.client.log_artifact = lambda *a: (uploads.append(a), log_artifact(*a))
    view.sync(run, final=True)
    view.sync(run, final=True)
    assert len(uploads) == 2
    listed = view.client.list_artifacts(run_id, f"metrics/train/{CELL}")
    assert [item.path for item in listed] == [paths[0]]
    assert (tmp_path / "mlartifacts" / run_id / "artifacts" / "figure.svg").read_text() == "1"
    (tmp_path / "figure.svg").write_text("2")
    fresh().sync(run, final=True)
    assert (tmp_path / "mlartifacts" / run_id / "artifacts" / "figure.svg").read_text() == "2"


def test_the_commit_and_whether_the_tree_was_dirty(fresh, tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    def tags(key, live=True):
        run_id = fresh().sync(Run(key=key, fingerprint="f"), final=True, live=live)
        data = fresh().client.get_run(run_id).data.tags
        return data.get("mlflow.source.git.commit"), data.get("git.dirty")

    assert tags("before") == (None, None)
    git("init", "-q")
    (tmp_path / ".gitignore").write_text("mlartifacts\n")
    (tmp_path / "params.yaml").write_text("a: 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD").stdout.strip()
    assert tags("clean") == (head, "false")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "new.json").write_text("{}")
    (tmp_path / "dvc.lock").write_text("")
    assert tags("outputs") == (head, "false")
    (tmp_path / "params.yaml").write_text("a: 2\n")
    assert tags("dirty") == (head, "true")
    assert tags("clean") == (head, "false")  # as it was when the run was made
    assert tags("of an earlier time", live=False) == (None, None)  # nothing tells of which commit


def test_a_checkout_is_rebuilt(fresh, tmp_path, request):
    metrics = tmp_path / "metrics"
    record(3).write(metrics / "train" / CELL / "record.json")
    Run(key=f"tune/{CELL}", fingerprint="t").write(metrics / "tune" / CELL / "record.json")
    results = {
        "return": {"mean": 0.98, "iqm": 0.99},
        "success": {"mean": 0.9},
        "per_seed": [{"seed": 1, "mean": 0.97}],
        "steps_to_return": {"threshold": 0.9, "median": None},
        "initial_parameters": "none",
        "clipped_share": 0.25,
    }
    write_json(metrics / "evaluate" / "summary.json", {CELL: results})
    (metrics / "report").mkdir()
    (metrics / "report" / "curves.svg").write_text("<svg/>")
    keys = [f"tune/{CELL}", f"train/{CELL}", "report"]
    assert rebuild(request.node.name, tmp_path) == keys == [run.key for run in collect(tmp_path)]
    rebuild(request.node.name, tmp_path)
    view = fresh()
    (parent,) = shown(view, pamdp_key=f"train/{CELL}")
    assert parent.data.metrics == {
        "evaluate/return_mean": 0.98,
        "evaluate/return_iqm": 0.99,
        "evaluate/success_mean": 0.9,
        "evaluate/steps_to_return_threshold": 0.9,
        "evaluate/clipped_share": 0.25,
    }
    assert series(view, parent.info.run_id, "evaluate/return_mean") == [(0, 0.98)]  # a bar
    (report,) = shown(view, pamdp_key="report")
    (figure,) = view.client.list_artifacts(report.info.run_id, "metrics/report")
    assert figure.path == "metrics/report/curves.svg"
    # Evaluated anew: the new number is the one shown.
    write_json(metrics / "evaluate" / "summary.json", {CELL: results | {"clipped_share": 0.5}})
    rebuild(request.node.name, tmp_path)
    (parent,) = shown(fresh(), pamdp_key=f"train/{CELL}")
    assert parent.data.metrics["evaluate/clipped_share"] == 0.5


def test_a_model_is_registered_once_and_loads(fresh, tmp_path, monkeypatch):
    folder = tmp_path / "models" / CELL
    tf, model = save_model(folder)
    record(2).write(tmp_path / "metrics" / "train" / CELL / "record.json")
    write_json(folder / "training.json", {"fingerprint": record().fingerprint})
    signature = {
        "inputs": [("observation", "float32", [-1, 4])],
        "outputs": [("action", "int32", [-1]), ("parameters", "float32", [-1, 3])],
    }
    monkeypatch.chdir(tmp_path)
    view = fresh()
    log_model(view, CELL, signature)
    (folder / "fingerprint.pb").write_bytes(b"another save")
    log_model(fresh(), CELL, signature)
    (version,) = view.client.search_model_versions(f"name = '{CELL}'")
    (run,) = shown(view, pamdp_key=f"train/{CELL}")
    assert version.run_id == run.info.run_id
    (output,) = run.outputs.model_outputs
    logged = view.client.get_logged_model(output.model_id)
    assert (logged.name, logged.status) == (CELL, "READY")
    assert logged.artifact_location == version.source
    assert logged.tags["mlflow.modelVersions"] == f'[{{"name": "{CELL}", "version": 1}}]'
    assert not (tmp_path / "mlflow.db").exists()  # nothing went to a default address

    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.tensorflow import load_model

    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    want = model.serve(tf.constant(x))
    loaded = mlflow.pyfunc.load_model(f"models:/{CELL}/1")
    for got in (loaded.predict({"observation": x}), loaded.predict(x)):
        np.testing.assert_array_equal(got["action"], want["action"].numpy())
        np.testing.assert_array_equal(
            np.array(got["parameters"], np.float32), want["parameters"].numpy()
        )
    with pytest.raises(MlflowException, match="shape"):
        loaded.predict({"observation": x[:, :3]})
    for odd in ([0, 0, None, 0], ["nan", 0, 0, 0], [0, math.inf, 0, 0], [1e300, 0, 0, 0], [1j] * 4):
        with pytest.raises(MlflowException, match=r"expected finite numbers of shape \[N, 4\]"):
            loaded.predict({"observation": [[0.0] * 4, odd]})
    with pytest.raises(MlflowException, match="received KeyError: 'observation'"):
        loaded.predict(pandas.DataFrame(x))
    table = pandas.DataFrame({"observation": list(x)})
    np.testing.assert_array_equal(loaded.predict(table)["action"], want["action"].numpy())
    got = load_model(f"models:/{CELL}/1")(observation=tf.constant(x))
    np.testing.assert_array_equal(got["parameters"].numpy(), want["parameters"].numpy())

    (folder / "README.md").write_text("changed")
    write_json(folder / "signature.json", signature)
    assert rebuild(view.client.get_experiment(view.experiment_id).name, tmp_path)[-1] == (
        f"models/{CELL}"
    )
    assert len(view.client.search_model_versions(f"name = '{CELL}'")) == 2


def save_model(folder: Path):
    import tensorflow as tf

    class Policy(tf.Module):
        def __init__(self):
            self.w = tf.Variable(tf.random.stateless_normal([4, 3], seed=[1, 2]))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="observation")])
        def serve(self, observation):
            x = tf.matmul(observation, self.w)
            return {"action": tf.argmax(x, axis=1, output_type=tf.int32), "parameters": x}

    model = Policy()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    return tf, model
