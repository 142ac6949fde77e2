"""The command: which verbs there are, what they are given, and what their errors look like."""

from __future__ import annotations

import importlib
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pamdp import cli, lifetime
from pamdp.base.errors import Interrupted, PamdpError, SettingsError, TrainingError
from pamdp.stages import track, train
from tests.helpers import ROOT


@pytest.fixture(autouse=True)
def _restored(monkeypatch) -> None:
    """What the command sets for its process does not outlive the test."""
    for module, name in (
        (cli, "prepare_process"),
        (lifetime, "obey_signals"),
        (lifetime, "end_with_starters"),
    ):
        monkeypatch.setattr(module, name, lambda: None)
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


def test_any_other_failure_is_a_line_and_a_file_with_its_traceback(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(track, "run", lambda options: 1 / 0)
    with pytest.raises(SystemExit) as caught:
        cli.main(["track"])
    first, second = str(caught.value.code).splitlines()
    assert first == "error: track failed: ZeroDivisionError: division by zero"
    assert second.startswith(".work/track-error.txt has the traceback")
    trace = (tmp_path / ".work" / "track-error.txt").read_text()
    assert "test_cli.py" in trace
    assert trace.endswith("ZeroDivisionError: division by zero\n")


def test_where_nothing_can_be_written_the_traceback_is_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".work").touch()
    monkeypatch.setattr(track, "run", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["track"])


@pytest.mark.parametrize("code", [0, None, 3, "bye"])
def test_a_process_that_is_ended_from_below_has_failed(monkeypatch, code) -> None:
    monkeypatch.setattr(track, "run", lambda options: sys.exit(code))
    with pytest.raises(SystemExit) as caught:
        cli.main(["track"])
    expected = f"error: track: what it runs ended the process (exit code {code})"
    assert caught.value.code == expected


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (Interrupted(signal.SIGTERM), 143)]
)
@pytest.mark.parametrize("of_a_study", [False, True])
def test_an_interruption_says_once_how_to_go_on(
    monkeypatch, capsys, error, code, of_a_study
) -> None:
    def interrupt(options: Namespace) -> None:
        raise error

    if of_a_study:
        monkeypatch.setenv("PAMDP_STUDY", "1")
    monkeypatch.setattr(track, "run", interrupt)
    advice = "interrupted; the same command goes on from what is done, or the last checkpoint\n"
    assert ended(capsys, "track") == (code, "", "" if of_a_study else advice)


# -- One at a time ---------------------------------------------------------------------------------


def test_one_process_of_a_checkout_does_a_thing_at_a_time(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    locks = tmp_path / ".work" / "locks"
    seen: list[list[str]] = []
    monkeypatch.setattr(
        train, "run", lambda options: seen.append([path.name for path in locks.iterdir()])
    )
    cli.main(["train", "a-b-c"])
    assert seen == [["train-a-b-c.lock"]]
    monkeypatch.setattr(lifetime, "PATIENCE", 0.1)
    with lifetime.sole(locks / "train-a-b-c.lock", "another"):
        cli.main(["train", "a-b-d"])
        with pytest.raises(SystemExit, match=r"train a-b-c: expected to be the only process"):
            cli.main(["train", "a-b-c"])
    assert len(seen) == 2


def test_what_only_looks_is_never_kept_waiting() -> None:
    looking = {name for name, verb in cli.VERBS.items() if not verb.sole}
    assert looking == {"init", "track", "ui", "watch"}


# -- The code that runs ----------------------------------------------------------------------------

OWN = """
def main(arguments): print("the checkout's own", arguments)
"""


@pytest.mark.parametrize("study", ["", "studies/mine"])
def test_the_code_of_the_checkout_runs_and_not_that_of_another_one(tmp_path, study) -> None:
    own = tmp_path / "src" / "pamdp"
    own.mkdir(parents=True)
    (own / "__init__.py").touch()
    (own / "cli.py").write_text(OWN)
    script = (ROOT / "pipeline" / "report.py").read_text()
    folder = tmp_path / study
    (folder / "pipeline").mkdir(parents=True)
    (folder / "pipeline" / "report.py").write_text(script)
    other = {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "pipeline/report.py", "x"]
    done = subprocess.run(command, cwd=folder, env=other, capture_output=True, text=True)
    assert done.stdout == "the checkout's own ['report', 'x']\n"


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
    flag = rf"--tf_xla_persistent_cache_directory='{re.escape(str(folder))}/\.work/xla-\w{{8}}'"
    assert re.fullmatch(flag, os.environ["TF_XLA_FLAGS"])
    assert sys.path[-1] == str(folder)  # where a module of the user's own may be


SHOWING = """
import json, os, sys
from pamdp import cli, lifetime
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
