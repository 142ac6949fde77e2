"""What MLflow shows of a study as a whole, and whose runs it is shown from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pamdp.base.places import workspace
from pamdp.files import write_json
from pamdp.records import Run
from pamdp.tracking.connection import address
from pamdp.tracking.models import log_model
from pamdp.tracking.overview import description
from pamdp.tracking.pages import configuration, searched
from pamdp.tracking.rebuild import open_pages, open_view, rebuild, show_study
from pamdp.tracking.view import View
from tests.unit.tracking.shown import shown

A, B = "goal-mpdqn-plain", "goal-pdqn-plain"
SIGNATURE = {
    "inputs": [("observation", "float32", [-1, 4])],
    "outputs": [("action", "int32", [-1])],
}


def trained(root: Path, cell: str, mean: float, fingerprint: str = "f") -> None:
    """Writes what a training, an evaluation and an export of a cell leave."""
    environment, algorithm, strategy = cell.split("-")
    tags = {"stage": "train", "cell": cell, "environment": environment}
    tags |= {"algorithm": algorithm, "strategy": strategy}
    run = Run(key=f"train/{cell}", fingerprint=fingerprint, tags=tags)
    run.write(root / "metrics" / "train" / cell / "record.json")
    path = root / "metrics" / "evaluate" / "summary.json"
    summary = json.loads(path.read_text()) if path.exists() else {}
    summary[cell] = {
        "return": {"mean": mean, "mean_low": mean - 1, "mean_high": mean + 1},
        "success": {"mean": None},
        "per_seed": [{"seed": 7, "mean": mean}],
    }
    write_json(path, summary)
    (root / "models" / cell).mkdir(parents=True, exist_ok=True)
    (root / "models" / cell / "saved_model.pb").write_text(cell)
    write_json(root / "models" / cell / "training.json", {"fingerprint": fingerprint})


def current(view: View) -> dict[str, str]:
    return {run.data.tags["cell"]: run.data.tags["pamdp.fingerprint"] for run in view.current()}


def test_the_alias_champion_moves_to_whichever_cell_is_best(fresh, tmp_path, request):
    name = request.node.name
    for cell, mean in ((A, 1.0), (B, 2.0)):
        trained(tmp_path, cell, mean)
    view = fresh()
    for cell in (A, B):
        log_model(view, cell, SIGNATURE)
    show_study(view)
    first = view.client.get_model_version_by_alias(name, "champion")
    assert first.tags["cell"] == B
    assert first.description == (
        f"`{B}`: Mean greedy return **2.0000** [1.0000, 3.0000] on `goal` over 1 seed. "
        "The best seed is 7, with 2.0000."
    )
    trained(tmp_path, A, 3.0)
    show_study(fresh())
    show_study(fresh())
    second = view.client.get_model_version_by_alias(name, "champion")
    assert second.tags["cell"] == A
    assert len(view.client.search_model_versions(f"name = '{name}'")) == 2
    logged = view.client.get_logged_model(second.tags["pamdp.model"])
    assert {each["name"] for each in json.loads(logged.tags["mlflow.modelVersions"])} == {A, name}


def test_the_table_shows_the_trainings_that_the_checkout_holds(fresh, tmp_path, request):
    for cell in (A, B):
        trained(tmp_path, cell, 1.0)
    rebuild(request.node.name, tmp_path)
    assert current(fresh()) == {A: "f", B: "f"}
    trained(tmp_path, A, 1.0, fingerprint="g")
    shutil.rmtree(tmp_path / "metrics" / "train" / B)
    rebuild(request.node.name, tmp_path)
    assert current(fresh()) == {A: "g"}
    trained(tmp_path, A, 1.0)  # as after `dvc checkout` of an earlier commit
    rebuild(request.node.name, tmp_path)
    assert current(fresh()) == {A: "f"}


def test_what_dvc_runs_elsewhere_is_shown_beside_the_workspace(tmp_path, monkeypatch, template):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DVC_EXP_NAME", "wily-coot")
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmp1"
    assert (workspace(copy), workspace(tmp_path)) == (tmp_path, tmp_path)
    shutil.copy(template, tmp_path / "mlflow.db")
    trained(tmp_path, A, 1.0)
    trained(copy, A, 2.0)
    search = Run(key=f"tune/{A}", fingerprint="s", parameters={"learner.td_loss": None})
    for root in (tmp_path, copy):
        search.write(root / "metrics" / "tune" / A / "record.json")
    for _ in range(2):
        rebuild("x", tmp_path)
        rebuild("x", copy)
    assert not (copy / "mlflow.db").exists()
    view = open_view("x", tmp_path)
    of_searches = [run for run in shown(view) if run.data.tags["pamdp.key"] == search.key]
    assert [run.data.params for run in of_searches] == [{"learner.td_loss": "null"}]  # equal: one
    trainings = [run for run in shown(view) if run.data.tags["pamdp.key"] != search.key]
    found = {run.data.tags.get("dvc.experiment"): run for run in trainings}
    assert len(trainings) == len(found) == 2
    assert found[None].data.metrics["evaluate/return_mean"] == 1.0
    assert found["wily-coot"].data.metrics["evaluate/return_mean"] == 2.0
    assert found["wily-coot"].info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
    assert [run.info.run_id for run in view.current()] == [found[None].info.run_id]


def test_addresses_of_artifacts_follow_a_checkout_that_has_moved(tmp_path, monkeypatch, template):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    old, new = tmp_path / "o%l_d", tmp_path / "n e w"
    trained(old, A, 1.0)
    shutil.copy(template, old / "mlflow.db")
    view = open_view("x", old)
    log_model(view, A, SIGNATURE)
    # That of another checkout, which shows its runs in the same database, stays.
    other = View("y", tmp_path / "other", address(old / "mlflow.db"))
    (tmp_path / "other" / "mlartifacts").mkdir(parents=True)
    old.rename(new)
    for _ in range(2):
        rebuild("x", new)
    view = open_view("x", new)
    (run,) = shown(view)
    assert [item.path for item in view.client.list_artifacts(run.info.run_id)] == [
        "configuration.yaml"
    ]
    (version,) = view.client.search_model_versions(f"name = '{A}'")
    for uri in (run.info.artifact_uri, version.source):
        assert uri.startswith((new / "mlartifacts").as_uri())
    location = view.client.get_experiment(other.experiment_id).artifact_location
    assert location == (tmp_path / "other" / "mlartifacts").as_uri()


def test_a_search_shows_its_best_trial_and_what_it_gained():
    scores = {0: 0.5, 1: None, 2: 0.9, 3: 0.7}
    trials = [
        Run(
            key=f"tune/{A}/trial-{number}",
            fingerprint="t",
            tags={"trial": str(number)},
            parameters={"learner.gamma": number / 10},
            metrics={} if score is None else {"score": [(1000, score)]},
        )
        for number, score in scores.items()
    ]
    run = searched(Run(key=f"tune/{A}", fingerprint="t", children=trials))
    assert run.metrics["tune/best_score"] == [(0, 0.5), (2, 0.9), (3, 0.9)]
    assert run.metrics["tune/gain_over_trial_0"] == [(0, pytest.approx(0.4))]
    assert (run.tags["best.trial"], run.tags["best.learner.gamma"]) == ("2", "0.2")
    assert "| `learner.gamma` | 0.2 |" in run.tags["mlflow.note.content"]


def test_settings_are_shown_as_in_params_yaml():
    flat = {"a.b": 0.5, "a.hidden.0": 128, "a.hidden.1": 64, "name": "x", "none": None}
    assert configuration(flat) == (
        "a:\n  b: 0.5\n  hidden:\n  - 128\n  - 64\nname: x\nnone: null\n"
    )


def test_a_name_and_the_settings_that_it_stands_for_are_shown_together():
    flat = {"algorithm": "small", "algorithm.kind": "epdqn", "algorithm.size": 2}
    assert configuration(flat) == "algorithm:\n  kind: epdqn\n  name: small\n  size: 2\n"


def test_a_description_begins_with_a_headline_and_fits_a_tag(tmp_path):
    head = "**{} wins.** Surely.\n\n| a |\n|---|\n" + "| 1 |\n" * 400
    sections = [f"## {name}\n\n{head.format(name)}\n### More\n\nno" for name in ("Goal", "Reach")]
    (tmp_path / "metrics" / "report").mkdir(parents=True)
    path = tmp_path / "metrics" / "report" / "results.md"
    assert description(tmp_path, "1", []) == ""
    path.write_text("# Results\n\n" + sections[0])
    text = description(tmp_path, "1", ["goal"])
    assert text.startswith("**Goal wins.**\n\nSurely.\n\n| a |")
    assert "More" not in text
    path.write_text("# Results\n\n" + "\n".join(sections))
    text = description(tmp_path, "1", ["goal", "reach"])
    assert len(text) <= 5000
    assert "**Reach wins.**" in text
    assert "viewStateShareKey=best-reach&" in text


def test_environments_whose_returns_do_not_compare_have_a_table_and_a_champion_each(
    fresh, tmp_path, request
):
    other = "reach-mpdqn-plain"
    trained(tmp_path, A, 1.0)
    trained(tmp_path, other, 5.0)
    view = fresh()
    for cell in (A, other):
        log_model(view, cell, SIGNATURE)
    show_study(view)
    tags = view.client.get_experiment(view.experiment_id).tags
    for cell in (A, other):
        environment = cell.partition("-")[0]
        state = json.loads(tags[f"mlflow.sharedViewState.best-{environment}"])
        (run,) = view.client.search_runs([view.experiment_id], state["searchFilter"])
        assert run.data.tags["cell"] == cell
    aliases = view.client.get_registered_model(request.node.name).aliases
    assert set(aliases) == {"champion-goal", "champion-reach"}
    # With one environment left there is one champion.
    for folder in ("metrics/train", "models"):
        shutil.rmtree(tmp_path / folder / other)
    write_json(
        tmp_path / "metrics/evaluate/summary.json",
        {A: json.loads((tmp_path / "metrics/evaluate/summary.json").read_text())[A]},
    )
    show_study(fresh())
    assert set(view.client.get_registered_model(request.node.name).aliases) == {"champion"}


def test_the_users_aliases_and_those_of_what_is_not_exported_stay(fresh, tmp_path, request):
    name, other = request.node.name, "reach-mpdqn-plain"
    for cell in (A, other):
        trained(tmp_path, cell, 1.0)
        log_model(fresh(), cell, SIGNATURE)
    show_study(view := fresh())
    for alias in ("champion-prod", "champions"):
        view.client.set_registered_model_alias(name, alias, "1")
    shutil.rmtree(tmp_path / "models" / other)
    trained(tmp_path, A, 2.0)
    show_study(fresh())
    aliases = set(view.client.get_registered_model(name).aliases)
    assert aliases == {"champion-goal", "champion-reach", "champion-prod", "champions"}


def test_a_model_of_another_training_is_not_taken_for_the_records(fresh, tmp_path, request, caplog):
    name = request.node.name
    trained(tmp_path, A, 1.0)
    log_model(fresh(), A, SIGNATURE)
    show_study(view := fresh())
    before = view.client.get_model_version_by_alias(name, "champion").description
    trained(tmp_path, A, 2.0, fingerprint="g")
    write_json(tmp_path / "models" / A / "training.json", {"fingerprint": "f"})
    write_json(tmp_path / "models" / A / "signature.json", SIGNATURE)
    assert rebuild(name, tmp_path) == [f"train/{A}"]
    (line,) = caplog.messages
    assert line.startswith(f"models/{A} is not shown: it is of another training than metrics/tr")
    assert view.client.get_model_version_by_alias(name, "champion").description == before
    versions = view.client.search_model_versions(f"name = '{A}'")
    assert [version.description for version in versions] == [before]


def test_a_model_whose_registration_was_cut_off_is_logged_once(fresh, tmp_path, monkeypatch):
    trained(tmp_path, A, 1.0)
    (tmp_path / "models" / A / "saved_model.pb").write_text("of this test alone")
    view = fresh()
    for dies_in in ("log_outputs", "finalize_logged_model", "create_model_version"):
        with monkeypatch.context() as patch:
            patch.setattr(view.client, dies_in, killed)
            with pytest.raises(KeyboardInterrupt):
                log_model(view, A, SIGNATURE)
    log_model(view, A, SIGNATURE)
    (model,) = view.client.search_logged_models([view.experiment_id])
    (run,) = shown(view)
    (output,) = run.outputs.model_outputs
    assert (model.status, output.model_id) == ("READY", model.model_id)


def killed(*_, **__):
    raise KeyboardInterrupt


def test_a_page_is_opened_with_the_trainings_that_stand_there(fresh, tmp_path, request):
    for fingerprint in ("f", "g", "f"):  # trained, trained anew, and checked out again
        trained(tmp_path, A, 1.0, fingerprint=fingerprint)
        open_pages(request.node.name, tmp_path)
        assert current(fresh()) == {A: fingerprint}


def test_artifacts_of_another_checkout_stay_its_own_while_it_is_away(
    tmp_path, monkeypatch, template
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    ours, theirs, away = (tmp_path / name for name in ("ours", "theirs", "away"))
    for root in (ours, theirs):
        trained(root, A, 1.0)
    shutil.copy(template, ours / "mlflow.db")
    rebuild("x", ours)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address(ours / "mlflow.db"))
        rebuild("y", theirs)
        View("empty", theirs, address(ours / "mlflow.db"))
    theirs.rename(away)
    open_view("x", ours)
    ours.rename(tmp_path / "moved")
    open_view("x", tmp_path / "moved")
    away.rename(theirs)
    found = {}
    for name in ("x", "y", "empty"):
        view = View(name, theirs, address(tmp_path / "moved" / "mlflow.db"))
        found[name] = view.client.get_experiment(view.experiment_id).artifact_location
        for run in shown(view):
            assert run.info.artifact_uri.startswith(found[name])
            assert view.client.list_artifacts(run.info.run_id)
    own = (theirs / "mlartifacts").as_uri()
    assert found == {"x": (tmp_path / "moved" / "mlartifacts").as_uri(), "y": own, "empty": own}


def test_a_database_without_artifacts_follows_its_checkout(tmp_path, monkeypatch, template):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (old := tmp_path / "old").mkdir()
    shutil.copy(template, old / "mlflow.db")
    open_view("x", old).sync(Run(key="train/a", fingerprint="f"), final=False)
    new = old.rename(tmp_path / "new")
    (run,) = shown(open_view("x", new))
    assert run.info.artifact_uri.startswith((new / "mlartifacts").as_uri())
