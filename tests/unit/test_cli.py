"""The command: which verbs there are, what they are given, and what their errors look like."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pamdp import cli
from pamdp.base.errors import PamdpError, SettingsError, TrainingError
from pamdp.stages import track, train
from tests.helpers import ROOT


@pytest.fixture(autouse=True)
def _restored(monkeypatch) -> None:
    """What the command sets for its process does not outlive the test."""
    monkeypatch.setattr(cli, "prepare_process", lambda: None)
    monkeypatch.setattr(os, "environ", {"HOME": "/", "COLUMNS": "100"})
    monkeypatch.setattr(sys, "path", [*sys.path])


def ended(capsys, *arguments: str) -> tuple[object, str, str]:
    """How the command ended, and what it wrote on its way."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return caught.value.code, *capsys.readouterr()


# -- Errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        PamdpError("another action"),
        SettingsError("study.seeds: wrong"),
        TrainingError("seed 1 diverged"),
        PermissionError(13, "Permission denied", "metrics"),
    ],
)
def test_expected_failures_are_their_message(monkeypatch, error) -> None:
    def fail(options: Namespace) -> None:
        raise error

    monkeypatch.setattr(track, "run", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main(["track"])
    assert caught.value.code == f"error: {error}"


def test_an_expected_failure_is_one_line_on_stderr(tmp_path) -> None:
    command = [sys.executable, "-c", "from pamdp.cli import main; main(['track'])"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: params.yaml: expected a settings file in ")


def test_mistakes_in_the_code_are_not_hidden(monkeypatch) -> None:
    monkeypatch.setattr(track, "run", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["track"])


def test_an_interruption_says_how_to_go_on(monkeypatch) -> None:
    def interrupt(options: Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(track, "run", interrupt)
    with pytest.raises(SystemExit, match="the same command goes on from what is done, or the last"):
        cli.main(["track"])


# -- Arguments -------------------------------------------------------------------------------------


def test_arguments_are_passed(monkeypatch) -> None:
    received: list[Namespace] = []
    monkeypatch.setattr(train, "run", received.append)
    cli.main(["train", "platform-mpdqn-plain"])
    monkeypatch.setattr(sys, "argv", ["pamdp", "train", "platform-pdqn-plain"])
    cli.main()
    assert [options.cell for options in received] == ["platform-mpdqn-plain", "platform-pdqn-plain"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train",), "usage: pamdp train [-h] cell"),
        (("train", "a", "b"), "unrecognized arguments: b"),
        (("report", "a"), "unrecognized arguments: a"),
        (("watch", "a", "--seed", "x"), "argument --seed: invalid int value: 'x'"),
        (("study", "--forse"), "unrecognized arguments: --forse"),
        (("trian",), "argument VERB: invalid choice: 'trian'"),
        ((), "the following arguments are required: VERB"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_runs(capsys, arguments, said) -> None:
    code, out, err = ended(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: pamdp ")
    assert said in err


def test_help_lists_all_verbs_and_variables(capsys) -> None:
    code, out, err = ended(capsys, "--help")
    assert (code, err) == (0, "")
    for verb in cli.VERBS:
        assert f"\n    {verb} " in out
    variables = ("PAMDP_WORKERS", "PAMDP_ENGINE", "PAMDP_TRACKING", "MLFLOW_TRACKING_URI")
    for name in variables:
        assert f"\n  {name}" in out


@pytest.mark.parametrize("name", cli.VERBS)
def test_help_of_a_verb_says_what_it_does_and_how_it_is_called(capsys, name) -> None:
    code, out, err = ended(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: pamdp {name} ")
    verb = cli.VERBS[name]
    assert f"{verb.summary[0].upper()}{verb.summary[1:]}." in " ".join(out.split())
    examples = verb.examples.splitlines()
    assert [line.strip() for line in out.partition("\nexamples:\n")[2].splitlines()] == examples
    for argument in verb.arguments.values():
        assert argument["help"] in " ".join(out.split())


@pytest.mark.parametrize("name", cli.VERBS)
def test_each_verb_takes_what_its_examples_show_and_is_a_module_that_runs(name) -> None:
    for example in cli.VERBS[name].examples.splitlines():
        command, *arguments = example.split("  ")[0].split()
        assert (command, arguments[0]) == ("pamdp", name)
        assert cli.parser().parse_args(arguments).verb == name
    assert callable(importlib.import_module(f"pamdp.stages.{name}").run)


def test_only_what_is_asked_for_is_loaded() -> None:
    """Libraries take seconds to load, which a message must not cost."""
    program = (
        "import sys; from pamdp.cli import main\n"
        "try: main(['init', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'mlflow', 'optuna', 'matplotlib', 'pamdp.stages'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "[]\n"


# -- The process -----------------------------------------------------------------------------------


def test_compiled_programs_are_kept_beside_the_study(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(track, "run", lambda options: None)
    cli.main(["track"])
    flag = f"--tf_xla_persistent_cache_directory='{folder}/.work/xla'"
    assert os.environ["TF_XLA_FLAGS"] == flag
    assert sys.path[-1] == str(folder)  # where a module of the user's own may be


SHOWING = """
import json, os, sys
from pamdp import cli
from pamdp.stages import track

names = ("TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")
track.run = lambda options: print(json.dumps({name: os.environ[name] for name in names}))
cli.main(["track"])
"""


def shown(**variables: str) -> dict[str, str]:
    """What TensorFlow would read in the process of a command."""
    environment = {"PATH": os.defpath, **variables}
    command = [sys.executable, "-c", SHOWING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_results_are_those_of_the_cpu() -> None:
    found = shown(CUDA_VISIBLE_DEVICES="0")
    assert found["CUDA_VISIBLE_DEVICES"] == "-1"
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_the_users_own_flags_are_left_alone() -> None:
    found = shown(TF_XLA_FLAGS="--mine", TF_CPP_MIN_LOG_LEVEL="0")
    assert found["TF_XLA_FLAGS"] == "--mine"
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "0"


# -- Scripts ---------------------------------------------------------------------------------------

SCRIPTS = sorted((ROOT / "pipeline").glob("*.py"))


def test_scripts_are_the_stages_of_dvc() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert {path.stem for path in SCRIPTS} == set(stages)
    for name, stage in stages.items():
        assert stage["cmd"].split()[:2] == ["python", f"pipeline/{name}.py"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_calls_the_verb_of_its_name(monkeypatch, path: Path) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(cli, "main", calls.append)
    monkeypatch.setattr(sys, "argv", [str(path), "some-cell"])
    runpy.run_path(str(path), run_name="__main__")
    assert calls == [[path.stem, "some-cell"]]
    assert path.stem in cli.VERBS
