"""What is told to make is given to commands, and is never read by a shell as its own words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT

ATTACK = "x; touch pwned; $(shell touch pwned) $x `touch pwned` \" ' "
TOOLS = ("dvc", "pamdp", "python", "mlflow", "optuna-dashboard", "ruff")
# In the place of each tool: notes its arguments, one in a line.
TOOL = '#!/bin/sh\nprintf "%s\\n" "$0" "$@" >> "$NOTES"\n'


@pytest.fixture
def folder(tmp_path) -> Path:
    """The Makefile, with tools that only note what they are given."""
    return made(tmp_path / "checkout")


def made(folder: Path) -> Path:
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    for name in TOOLS:
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    (folder / ".venv" / ".installed").touch()  # newer than what it is made from
    return folder


def make(folder: Path, *arguments: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    """What a tool was given, and how make ended."""
    notes = folder / "notes"
    environment = {"PATH": os.environ["PATH"], "NOTES": str(notes)}
    command = ["make", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return notes.read_text().splitlines() if notes.exists() else [], done


def test_a_cell_is_one_word(folder):
    said, _ = make(folder, "watch", f"CELL={ATTACK}", f"FILE={ATTACK}")
    assert said[1:] == ["watch", ATTACK, "--file", ATTACK]
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize("target", ["study", "bench", "watch", "pull", "experiments"])
def test_arguments_are_split_and_not_run(folder, target):
    said, _ = make(folder, target, f"ARGS={ATTACK}", "CELL=x")
    assert said[-len(ATTACK.split()) :] == ATTACK.split()
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize("target", ["study", "pull", "experiments", "watch", "ui", "dashboard"])
def test_a_study_is_worked_on_in_its_folder(folder, target):
    study = folder / "studies" / "go al"
    study.mkdir(parents=True)
    (study / "optuna.db").touch()
    for tool in (folder / ".venv" / "bin").iterdir():
        tool.write_text(TOOL.replace('"$0"', '"$PWD"'))
    said, done = make(folder, target, "STUDY=go al", "CELL=x")
    assert (said[0], done.returncode) == (str(study), 0), done.stderr


def test_a_study_that_there_is_not_is_told(folder):
    (folder / "studies" / "goal").mkdir(parents=True)
    (folder / "studies" / "platform").mkdir()
    said, done = make(folder, "study", f"STUDY={ATTACK}")
    assert (said, done.returncode) == ([], 2)
    assert f"error: STUDY: expected one of goal platform, received {ATTACK}" in done.stderr
    assert not [*folder.rglob("pwned")]


@pytest.mark.parametrize("variable", ["PORT", "TEST_WORKERS", "PYTHON"])
def test_other_variables_are_not_run(folder, variable):
    target = {"PORT": "ui", "TEST_WORKERS": "test", "PYTHON": "install"}[variable]
    if target == "install":
        (folder / ".venv" / ".installed").unlink()
    _, done = make(folder, target, f"{variable}={ATTACK}")
    assert not (folder / "pwned").exists()
    if target == "install":
        assert f"found {ATTACK}. Install one, or name it" in done.stderr


@pytest.mark.parametrize("name", ["it's", "what?x=1", "per%20cent", "{br}aces", "sp ace", "ü;&#"])
def test_odd_paths_work(tmp_path, name):
    folder = made(tmp_path / name)
    said, done = make(folder, "study")
    assert (said, done.returncode) == ([f"{folder}/.venv/bin/pamdp", "study"], 0)


@pytest.mark.parametrize("name", ['quo"te', "dol$HOME", "b`touch pwned`", "back\\slash", "a:b"])
def test_paths_that_a_shell_would_read_are_refused(tmp_path, name):
    folder = made(tmp_path / name)
    said, done = make(folder, "study")
    assert (said, done.returncode) == ([], 2)
    assert f'whose path has none of : " $ ` \\, received {folder}; move it' in done.stderr
    assert not [*tmp_path.rglob("pwned")]
