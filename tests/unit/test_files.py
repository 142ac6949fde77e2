"""Files are written whole or not at all, and what is left of an interruption is no part of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pamdp.files import forget_scratch, read_json, replacing, write_json
from tests.helpers import ROOT

KILLED = """
import os, signal, sys
from pathlib import Path
from pamdp import files

def killed(number):
    os.kill(os.getpid(), signal.SIGKILL)

os.fsync = killed
files.write_json(Path(sys.argv[1]), {"new": 1})
"""


@pytest.fixture
def output(tmp_path) -> Path:
    """A file of a checkout, with something in it."""
    (tmp_path / "params.yaml").touch()
    path = tmp_path / "metrics" / "tune" / "cell" / "best.json"
    write_json(path, {"old": 1})
    return path


def test_a_kill_between_writing_and_renaming_leaves_nothing_in_an_output(output, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", KILLED, output], env=environment)
    assert done.returncode == -9
    assert [path.name for path in output.parent.iterdir()] == ["best.json"]
    assert read_json(output) == {"old": 1}
    scratch = tmp_path / ".work" / "scratch"
    assert len([*scratch.iterdir()]) == 1
    forget_scratch(tmp_path)
    assert not [*scratch.iterdir()]


def test_what_others_leave_among_scratch_files_is_theirs(output, tmp_path):
    left = [tmp_path / ".work" / "scratch" / name for name in (".DS_Store", ".nfs00012", ".a.b-c")]
    for path in left:
        path.touch()
    forget_scratch(tmp_path)
    assert all(path.exists() for path in left)


def test_a_folder_that_is_mounted_by_itself_is_written_into(output, monkeypatch):
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if path.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    write_json(output, {"new": 1})
    assert read_json(output) == {"new": 1}
    assert [path.name for path in output.parent.iterdir()] == ["best.json"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EIO])
def test_what_the_machine_lacks_does_not_make_a_file_a_damaged_one(output, monkeypatch, number):
    def fail(*arguments: object, **keywords: object) -> str:
        raise OSError(number, "cannot be done now")

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(OSError, match="cannot be done now") as caught:
        read_json(output)
    assert caught.value.filename == str(output)


def test_scratch_files_of_living_processes_stay(output, tmp_path):
    with replacing(output) as scratch:
        scratch.write_text("{}\n")
        forget_scratch(tmp_path)
        assert scratch.exists()
    assert read_json(output) == {}


def test_an_error_leaves_the_old_file_and_no_other(output, tmp_path):
    with pytest.raises(TypeError):
        write_json(output, {"half": object()})
    assert read_json(output) == {"old": 1}
    assert not [*(tmp_path / ".work" / "scratch").iterdir()]


def test_two_files_of_one_name_are_written_at_a_time(tmp_path):
    (tmp_path / "params.yaml").touch()
    first, second = tmp_path / "a" / "x", tmp_path / "b" / "x"
    with replacing(first) as one, replacing(second) as two:
        one.write_text("1")
        two.write_text("2")
    assert (first.read_text(), second.read_text()) == ("1", "2")


def test_outside_of_a_checkout_the_scratch_file_stands_beside(tmp_path):
    path = tmp_path / "film.gif"
    with replacing(path) as scratch:
        assert scratch.parent == tmp_path
        scratch.touch()
    assert [each.name for each in tmp_path.iterdir()] == ["film.gif"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_what_is_json_and_leaves_what_was_there(tmp_path, value) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": None})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": value})
    assert path.read_text() == '{\n "a": null\n}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["facts.json"]
