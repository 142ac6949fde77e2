"""MLflow shows what a study did, then or later."""

from __future__ import annotations

import pytest

from pamdp.files import read_json
from pamdp.records import Run
from tests.pipeline import checkout
from tests.pipeline.small import CELL, CELLS, DVC_LINES, PROGRESS, printed


@pytest.fixture(scope="module")
def mlflow():
    from pamdp.tracking import connection

    with pytest.MonkeyPatch.context() as patch:
        for name, value in connection.DEFAULTS.items():
            patch.setenv(name, value)
        from mlflow import MlflowClient

        yield lambda root: MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")


def runs_of(client) -> dict:
    """All runs of the one experiment, by key."""
    experiment = client.get_experiment_by_name("platform")
    return {
        run.data.tags["pamdp.key"]: run for run in client.search_runs([experiment.experiment_id])
    }


def keys_of(*cells: str, stages=("tune", "train")) -> set[str]:
    children = {"tune": ("trial-0", "trial-1"), "train": ("seed-1", "seed-2")}
    parents = {f"{stage}/{cell}": children[stage] for stage in stages for cell in cells}
    return set(parents) | {f"{key}/{child}" for key, names in parents.items() for child in names}


def test_mlflow_has_a_parent_for_each_cell_and_a_child_for_each_seed_and_trial(study, mlflow):
    runs = runs_of(mlflow(study))
    assert set(runs) == keys_of(*CELLS) | {"report"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for key, run in runs.items():
        if key.count("/") == 2:
            parent = runs[key.rpartition("/")[0]]
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    seed = runs[f"train/{CELL}/seed-2"].data.tags
    assert (seed["cell"], seed["seed"], seed["stage"]) == (CELL, "2", "train")
    first = checkout.git(study, "rev-list", "--max-parents=0", "HEAD").strip()
    assert (seed["mlflow.source.git.commit"], seed["git.dirty"]) == (first, "false")


def test_mlflow_shows_the_records(study, mlflow):
    client = mlflow(study)
    runs = runs_of(client)
    record = Run.read(study / "metrics" / "train" / CELL / "record.json")
    child = record.children[0]
    shown = runs[child.key]
    for name, series in child.metrics.items():
        history = client.get_metric_history(shown.info.run_id, name)
        assert [(point.step, point.value) for point in history] == series
    parent = runs[record.key].data
    assert parent.params["learner.gamma"] == "0.9"
    summary = read_json(study / "metrics/evaluate/summary.json")[CELL]
    assert parent.metrics["evaluate/return_mean"] == summary["return"]["mean"]
    artifacts = client.list_artifacts(runs["report"].info.run_id, "metrics/report")
    names = {artifact.path.rpartition("/")[2] for artifact in artifacts}
    assert {"index.html", "platform-best.gif", "results.md"} <= names


def test_mlflow_has_the_models(study, mlflow):
    client = mlflow(study)
    runs = runs_of(client)
    for cell in CELLS:
        (version,) = client.search_model_versions(f"name = '{cell}'")
        assert version.version in (1, "1")
        assert version.run_id == runs[f"train/{cell}"].info.run_id


def test_without_mlflow_a_stage_says_so_once(other):
    lines = [line for line in printed(other, "train.stderr").splitlines() if line not in DVC_LINES]
    (said,) = (line for line in lines if not PROGRESS.fullmatch(line))
    assert said.startswith("Tracking failed and stops")
    assert "`pamdp track`" in said


def test_what_was_not_tracked_is_shown_later(other, mlflow):
    assert set(runs_of(mlflow(other))) == keys_of(CELL)
    shown = printed(other, "track.stdout").splitlines()
    assert shown == [f"tune/{CELL}", f"train/{CELL}", "2 shown in MLflow"]
    assert printed(other, "track.stderr") == ""
