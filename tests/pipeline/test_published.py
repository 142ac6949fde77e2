"""A published study in a fresh clone: nothing is computed, MLflow shows who won, and serves it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from pamdp.files import read_json
from pamdp.serving import Model
from tests.browser import CHROMIUM, browser
from tests.pipeline import checkout
from tests.pipeline.small import CELL, STARTED

SECONDS = 500.0  # at most, for a server to answer


@contextmanager
def serving(folder: Path, path: str, *command: str) -> Iterator[str]:
    """The address of a server while it runs; `{port}` in its command is a free one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", folder.parent / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [each.format(port=port) for each in command],
            cwd=folder,
            env=checkout.environment(folder, MLFLOW_DISABLE_TELEMETRY="true"),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + SECONDS
            while not answers(address + path):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.5)
            yield address
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def clone(study, tmp_path_factory) -> Path:
    """A fresh clone with the study's results from a remote of DVC, which is a folder."""
    base = tmp_path_factory.mktemp("published")
    origin = shutil.copytree(study, base / "origin", symlinks=True)
    checkout.succeed(origin, "dvc", "remote", "add", "--default", "shared", str(base / "remote"))
    checkout.commit(origin)
    checkout.succeed(origin, "dvc", "push")
    checkout.git(base, "clone", "--quiet", str(origin), "clone")
    checkout.succeed(base / "clone", "dvc", "pull")
    shutil.rmtree(origin)
    return base / "clone"


def test_it_takes_the_results_and_computes_nothing(study, clone, tmp_path):
    results = checkout.contents(study, "metrics", "models")
    assert "metrics/report/index.html" in results
    assert checkout.contents(clone, "metrics", "models") == results
    done = checkout.succeed(clone, "dvc", "repro", PAMDP_TRACKING="off")
    assert STARTED.findall(done.stdout) == ["setup"]  # which always looks
    assert checkout.git(clone, "status", "--porcelain") == ""
    # And one model of it, by its address alone.
    name = f"models/{CELL}"
    checkout.succeed(tmp_path, "dvc", "get", str(clone), name, "--out", "model")
    saved = checkout.contents(tmp_path / "model", ".")
    assert {f"{name}/{path}": content for path, content in saved.items()} == checkout.contents(
        clone, name
    )


@pytest.fixture(scope="module")
def rebuilt(clone) -> Iterator[tuple[Path, str, str]]:
    """The clone while its MLflow, made anew, is served: folder, server, printed address."""
    assert not (clone / "mlflow.db").exists()
    with serving(clone, "/health", "pamdp", "ui", "--port", "{port}") as server:
        printed = (clone.parent / "server.log").read_text()
        (line,) = (line for line in printed.splitlines() if server + "/#" in line)
        yield clone, server, line.partition(": ")[2]


@pytest.fixture(scope="module")
def client(rebuilt):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=rebuilt[1], registry_uri=rebuilt[1])


def ranked(folder: Path) -> list[str]:
    """The cells of a study, best first."""
    summary = read_json(folder / "metrics/evaluate/summary.json")
    return sorted(summary, key=lambda cell: -summary[cell]["return"]["mean"])


def test_the_experiment_carries_the_headline_and_a_table_of_the_cells(rebuilt, client):
    folder, server, address = rebuilt
    experiment = client.get_experiment_by_name("platform")
    assert address == (
        f"{server}/#/experiments/{experiment.experiment_id}/runs"
        "?viewStateShareKey=best&workflowType=machine_learning"
    )
    results = (folder / "metrics/report/results.md").read_text()
    headline = next(line for line in results.splitlines() if line.startswith("**"))
    note = experiment.tags["mlflow.note.content"]
    assert headline.startswith(note.partition("\n")[0])
    assert note.startswith("**")
    assert "\n| Strategy | MP-DQN |\n" in note
    state = json.loads(experiment.tags["mlflow.sharedViewState.best"])
    key = state["orderByKey"].removeprefix("metrics.").strip("`")
    assert (key, state["orderByAsc"]) == ("evaluate/return_mean", False)
    found = client.search_runs(
        [experiment.experiment_id], state["searchFilter"], order_by=[f"{state['orderByKey']} DESC"]
    )
    assert [run.data.tags["cell"] for run in found] == ranked(folder)
    fields = {f"tags.`{name}`" for name in found[0].data.tags}
    fields |= {f"metrics.`{name}`" for name in found[0].data.metrics}
    assert set(state["selectedColumns"]) <= fields
    assert len(state["selectedColumns"]) == 6


def test_parents_say_what_came_of_them(rebuilt, client):
    folder, *_ = rebuilt
    best = ranked(folder)[0]
    (run,) = client.search_runs(["1"], f"tags.`pamdp.key` = 'train/{best}'")
    mean = read_json(folder / "metrics/evaluate/summary.json")[best]["return"]["mean"]
    assert run.data.tags["mlflow.note.content"].startswith(f"Mean greedy return **{mean:.4f}** [")
    assert run.data.tags["mlflow.source.name"] == f"pamdp train {best}"
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"configuration.yaml", "metrics"}
    shown = {item.path for item in client.list_artifacts(run.info.run_id, "metrics/report")}
    assert "metrics/report/platform-best.gif" in shown
    (run,) = client.search_runs(["1"], f"tags.`pamdp.key` = 'tune/{best}'")
    found = read_json(folder / f"metrics/tune/{best}/best.json")
    assert run.data.metrics["tune/best_score"] == pytest.approx(found["score"])
    assert run.data.metrics["tune/gain_over_trial_0"] >= 0
    for path, value in found["values"].items():
        assert run.data.tags[f"best.{path}"] == str(value)


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian's package chromium)")
def test_the_printed_address_shows_the_cells_best_first(rebuilt):
    folder, _, address = rebuilt
    rows = ".ag-center-cols-container [role=row]"
    cells = "[...document.querySelectorAll('[col-id=\"attributes.`Run Name`\"] a')]"
    with browser() as page:
        page.open(address, width=2200)
        page.wait(f"document.querySelectorAll('{rows}').length", SECONDS)
        shown = page.wait(f"{cells}.map(each => each.innerText.trim())")
        assert shown == [f"train {cell}" for cell in ranked(folder)]
        text = page.value("document.body.innerText")
    assert f"with {ranked(folder)[0].rpartition('-')[2]} " in " ".join(text.split())
    for column in ("return_mean", "return_mean_low", "return_mean_high", "success_mean"):
        assert f"evaluate/{column}" in text
    assert {"algorithm", "strategy"} <= {*text.split()}


def test_the_champion_is_served_and_answers_as_the_policy(rebuilt):
    folder, *_ = rebuilt
    best, rows = ranked(folder)[0], np.random.default_rng(0).random((5, 9))
    expected = Model(folder / "models" / best)(rows)
    assert expected["parameters"].shape == (5, 1)
    address = (sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local")
    champion = ("--model-uri", "models:/platform@champion", "--port", "{port}", "--workers", "1")
    uri = f"sqlite:///{folder}/mlflow.db"
    with serving(
        folder, "/ping", "env", f"MLFLOW_TRACKING_URI={uri}", *address, *champion
    ) as server:
        for inputs in ({"observation": rows.tolist()}, rows.tolist()):
            found = asked(server, {"inputs": inputs})
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                shown = np.array(found[name], value.dtype)
                assert shown.shape == value.shape
                np.testing.assert_allclose(shown, value, rtol=1e-4, atol=1e-5)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            asked(server, {"inputs": rows[:, :3].tolist()})


def asked(server: str, content: dict) -> dict:
    """What a served model answers."""
    request = urllib.request.Request(
        f"{server}/invocations", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]
