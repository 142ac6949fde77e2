"""What docs/deploy.md says is run as it stands there, and each way acts as the policy does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pamdp import export
from pamdp.base.lazy import tf
from tests.helpers import ROOT, cell
from tests.unit.test_docs import blocks
from tests.unit.test_export import initial, observations

MODEL = Path("models/platform-mpdqn-inverting")


def block(language: str, word: str) -> str:
    """The one block of code on the page with this word."""
    (found,) = [text for text in blocks("deploy.md", language) if word in text]
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> SimpleNamespace:
    """A folder with an exported policy, what it is made from, and observations."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "docs").symlink_to(ROOT / "docs")
    trained = cell("mpdqn", "inverting")
    weights = initial(trained)
    export.save(trained, weights, folder / MODEL)
    rows = observations(trained)

    def compared(answers: dict[str, Any]) -> float:
        assert len(set(np.asarray(answers["action"]).tolist())) > 1  # something to agree on
        return export.check(trained, weights, rows, answers)

    return SimpleNamespace(folder=folder, rows=rows, compared=compared)


@pytest.fixture
def page(exported, monkeypatch) -> SimpleNamespace:
    """Runs blocks of the page in the folder of `exported`."""
    monkeypatch.chdir(exported.folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")

    def shell(word: str) -> str:
        command = ["bash", "-euo", "pipefail", "-c", block("sh", word)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(word: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(block("python", word), names)
        return names

    return SimpleNamespace(shell=shell, python=python)


def test_tensorflow_in_python_acts_as_the_policy(page, exported):
    policy = page.python("tf.saved_model.load")["policy"]
    assert exported.compared(policy(observation=exported.rows)) <= 1e-6


# TensorFlow has LiteRT's class, too, and warns that it will not always.
RUNTIMES = {
    "tensorflow": lambda: tf.lite,
    "litert": lambda: pytest.importorskip("ai_edge_litert.interpreter"),
}


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_litert_acts_as_the_policy(page, exported, monkeypatch, runtime):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", RUNTIMES[runtime]())
    page.python("TFLiteConverter")
    policy = page.python("ai_edge_litert")["policy"]
    assert exported.compared(policy(observation=exported.rows)) <= 1e-6


def test_onnx_runtime_acts_as_the_policy(page, exported):
    for package in ("onnxruntime", "tf2onnx"):  # the extra `deploy`
        pytest.importorskip(package)
    page.shell("tf2onnx")
    policy = page.python("onnxruntime")["policy"]
    assert exported.compared(policy(observation=exported.rows)) <= 1e-6


@pytest.mark.skipif(which("gcc") is None, reason="there is no gcc")
def test_the_program_in_c_acts_as_the_policy(page, exported, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    page.shell("gcc")
    assert re.fullmatch(r"[012]( \S+)?\n", page.shell("./policy"))
    page.shell("cp -r")
    model = tf.saved_model.load(str(MODEL)).signatures["serving_default"]
    served = {key: x.numpy() for key, x in model(observation=tf.constant(exported.rows)).items()}
    asked = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in exported.rows)
    # The second as TensorFlow Serving wants it.
    for folder in (MODEL, Path("serving", MODEL.name, "1")):
        done = subprocess.run(["./policy", folder], input=asked, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answers = [[float(value) for value in line.split()] for line in done.stdout.splitlines()]
        assert [action for action, *_ in answers] == served["action"].tolist()
        for answer, row, number in zip(
            answers, served["parameters"], served["num_parameters"], strict=True
        ):
            np.testing.assert_allclose(answer[1:], row[:number], rtol=1e-5)
    done = subprocess.run(["./policy", "docs"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: Could not find SavedModel" in done.stderr


@pytest.mark.parametrize("word", ["invocations", ":predict"])
def test_requests_have_observations_of_the_model(word):
    (data,) = re.findall(r"--data '(.*)'", block("sh", word))
    request = json.loads(data)
    if word == "invocations":
        rows = request["inputs"]["observation"]
    else:
        rows = [instance["observation"] for instance in request["instances"]]
    assert [len(row) for row in rows] == [len(cell("mpdqn", "inverting").task.observation_low)]
