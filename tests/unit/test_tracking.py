"""MLflow shows exactly what the records hold, whatever happens on the way."""

import logging
import math
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pamdp.records import Run, write_json
from pamdp.tracking import Tracker, View, address, collect, ensure_experiment, log_model, rebuild
from pamdp.tracking import view as view_module
from pamdp.tracking.connection import DEFAULTS

SEEDS, POINTS = (1, 2), 30
CELL = "platform-mpdqn-inverting"


def value(seed: int, step: int) -> float:
    return math.sin(seed + step / 1000)


def record(points: int = POINTS, fingerprint: str = "f1", artifacts: tuple[str, ...] = ()) -> Run:
    """The record of a cell: `points` points for each of two metrics of each seed."""
    steps = [1000 * (n + 1) for n in range(points)]
    children = [
        Run(
            key=f"train/{CELL}/seed-{seed}",
            fingerprint=f"{fingerprint}-{seed}",
            tags={"cell": CELL, "seed": str(seed), "stage": "train"},
            metrics={
                "train/return": [(step, value(seed, step)) for step in steps],
                "eval/return": [(step, -value(seed, step)) for step in steps[::3]],
            },
        )
        for seed in SEEDS
    ]
    return Run(
        key=f"train/{CELL}",
        fingerprint=fingerprint,
        tags={"cell": CELL, "stage": "train"},
        parameters={"learner.gamma": 0.99, "learner.units": 128, "loss": "huber", "clip": None}
        | {f"many.p{n}": n for n in range(150)},  # more than one call takes
        artifacts=list(artifacts),
        children=children,
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One database for all tests, because creating it takes seconds; its path has a space."""
    root = tmp_path_factory.mktemp("a checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("PAMDP_TRACKING", raising=False)
        ensure_experiment("first", root)
        assert address(root) == f"sqlite:///{root}/mlflow.db"
        assert View("first", root).experiment_id == View("first", root).experiment_id != "0"
    assert (root / "mlflow.db").is_file()
    return address(root)


@pytest.fixture(autouse=True)
def tracked(database, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.delenv("PAMDP_TRACKING", raising=False)


@pytest.fixture
def fresh(request, tmp_path):
    """Gives a view as another process would have it: one that knows nothing yet."""
    return lambda: View(request.node.name, tmp_path)


def shown(view: View, **tags: str) -> list:
    query = " and ".join(f"tags.`{name.replace('_', '.')}` = '{v}'" for name, v in tags.items())
    return list(view.client.search_runs([view.experiment_id], query))


def series(view: View, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(p.step, p.value) for p in view.client.get_metric_history(run_id, name)]


def assert_shows(view: View, run: Run, status: str) -> None:
    """The experiment holds this one record: every run, parameter, tag and point once."""
    (parent,) = shown(view, pamdp_key=run.key)
    children = shown(view, mlflow_parentRunId=parent.info.run_id)
    assert len(shown(view)) == 1 + len(run.children) == 1 + len(children)
    by_key = {child.data.tags["pamdp.key"]: child for child in children}
    for want, got in [(run, parent), *((child, by_key[child.key]) for child in run.children)]:
        assert got.info.status == status
        assert got.data.tags.items() >= want.tags.items()
        assert got.data.tags["pamdp.fingerprint"] == want.fingerprint
        assert got.data.params == {name: str(v) for name, v in want.parameters.items()}
        assert set(got.data.metrics) == set(want.metrics)
        for name, points in want.metrics.items():
            assert sorted(series(view, got.info.run_id, name)) == points


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


def test_a_killed_process_leaves_a_running_run_that_is_completed(fresh, tmp_path, request):
    """The process also may not look up any address: tracking in a file talks to nobody."""
    snapshot = tmp_path / "snapshot.json"
    record(12).write(snapshot)
    done = python(
        f"""
        import os, pathlib, signal, socket
        def refuse(*a, **k):
            print("network", a, flush=True)
            raise OSError
        socket.getaddrinfo = socket.socket.connect = refuse
        from pamdp.records import Run
        from pamdp.tracking import Tracker, View
        with Tracker({request.node.name!r}, pathlib.Path({str(tmp_path)!r})) as tracker:
            tracker.put(Run.read(pathlib.Path({str(snapshot)!r})))
            tracker.submit("end", lambda view: os.kill(os.getpid(), signal.SIGKILL))
            signal.pause()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (-9, "", "")
    assert_shows(fresh(), record(12), "RUNNING")
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

    def tags(key):
        run_id = fresh().sync(Run(key=key, fingerprint="f"), final=True)
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


def test_a_tracker_shows_the_newest_snapshots_and_then_the_record(fresh, tmp_path, request):
    with Tracker(request.node.name, tmp_path, interval=0.01) as tracker:
        for points in range(1, POINTS):
            tracker.put(record(points))
            time.sleep(0.002)
        tracker.put(record(), final=True)
    assert_shows(fresh(), record(), "FINISHED")


def test_a_busy_database_is_waited_for(fresh, tmp_path, request, database):
    fresh()
    other = sqlite3.connect(database.removeprefix("sqlite:///"), check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(1.5, other.rollback).start()
    with Tracker(request.node.name, tmp_path) as tracker:
        tracker.put(record(2), final=True)
    assert_shows(fresh(), record(2), "FINISHED")
    other.close()


def test_an_unreachable_server_costs_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = python(
        f"""
        import pathlib, time
        from pamdp.records import Run
        from pamdp.tracking import Tracker
        with Tracker("x", pathlib.Path({str(tmp_path)!r}), interval=0) as tracker:
            for n in range(20):
                tracker.put(Run(key="train/a", fingerprint="f", metrics={{"m": [(n, 1.0)]}}))
                tracker.log_model("a", {{}})
            time.sleep(1)
        print("went on")
        """
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Tracking failed and stops (MlflowException: ")
    assert "127.0.0.1" in line
    assert "python pipeline/track.py" in line


def test_a_tracker_is_not_waited_for_without_end(tmp_path, caplog):
    release = threading.Event()
    with caplog.at_level(logging.WARNING), Tracker("x", tmp_path, patience=0.2) as tracker:
        tracker.submit("stuck", lambda view: release.wait(20))
    (only,) = caplog.records
    assert "not done 0.2 s" in only.getMessage()
    release.set()


def test_the_first_failure_ends_the_attempts(tmp_path, caplog):
    calls = []

    def fail(view):
        calls.append(view)
        raise sqlite3.OperationalError("database or disk is full\nand more")

    with Tracker("x", tmp_path, interval=0) as tracker:
        tracker.submit("first", fail)
        deadline = time.monotonic() + 20
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        tracker.submit("second", fail)
    assert len(calls) == 1
    (only,) = caplog.records
    assert "OperationalError: database or disk is full and more" in only.getMessage()


def test_off_means_off(tmp_path, monkeypatch):
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    before = threading.active_count()
    with Tracker("x", tmp_path) as tracker:
        tracker.put(record(), final=True)
        assert threading.active_count() == before
    ensure_experiment("x", tmp_path)
    record(1).write(tmp_path / "metrics" / "train" / CELL / "record.json")
    assert rebuild("x", tmp_path) == []
    assert not (tmp_path / "mlflow.db").exists()


def test_importing_tracking_does_not_import_mlflow():
    done = python("import sys, pamdp.tracking; print('mlflow' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


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
    assert series(view, parent.info.run_id, "evaluate/return_mean") == [(3000, 0.98)]
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


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh process that does not know that it is under test."""
    ours = ("PYTEST_CURRENT_TEST", "CI", *DEFAULTS)
    environment = {name: text for name, text in os.environ.items() if name not in ours}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
