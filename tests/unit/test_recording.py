"""`dvc repro` that writes dvc.lock now and then, with DVC itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pamdp import lifetime
from pamdp.stages import recording

STAGES = """\
stages:
  first:
    cmd: echo 1 > first.txt
    outs: [first.txt]
  each:
    matrix: {n: [1, 2, 3]}
    cmd: cp first.txt ${item.n}.txt
    deps: [first.txt]
    outs: ["${item.n}.txt"]
  last:
    cmd: cat 1.txt 3.txt > last.txt
    deps: [1.txt, 3.txt]
    outs: [last.txt]
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "dvc.yaml").write_text(STAGES)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True, env=environment(tmp_path))
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}


def run(folder: Path, *module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *module]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True
    )


def test_it_writes_what_dvc_writes(folder) -> None:
    assert run(folder, lifetime.RECORDER).returncode == 0
    lock = (folder / "dvc.lock").read_text()
    assert (folder / "last.txt").read_text() == "1\n1\n"
    again = run(folder, "dvc", "repro")
    assert again.stdout.count("didn't change, skipping") == 5
    forced = run(folder, lifetime.RECORDER, "--force")
    assert "skipping" not in forced.stdout
    assert (folder / "dvc.lock").read_text() == lock
    (folder / "dvc.lock").unlink()
    assert run(folder, "dvc", "repro", "--force").returncode == 0
    assert (folder / "dvc.lock").read_text() == lock


def test_after_a_failure_what_is_done_is_written_down(folder) -> None:
    text = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(text.replace("cat 1.txt 3.txt > last.txt", "exit 3"))
    done = run(folder, lifetime.RECORDER)
    assert done.returncode == 255
    assert "failed to reproduce 'last'" in done.stderr
    assert "Traceback" not in done.stderr
    lock = (folder / "dvc.lock").read_text()
    assert [name for name in ("first:", "each@3:", "last:") if name in lock] == [
        "first:",
        "each@3:",
    ]


def test_writing_takes_a_tenth_of_the_time_at_most(monkeypatch) -> None:
    now, written = [0.0], []

    class Stage:
        """Takes a second, and writing the lock file takes five."""

        def reproduce(self, **options):
            now[0] += 1.0
            return self

        @property
        def dvcfile(self):
            return self

        def dump_stages(self, stages, update_pipeline):
            written.append(len(stages))
            now[0] += 5.0

    monkeypatch.setattr(recording.time, "monotonic", lambda: now[0])
    with recording.Recorder() as recorder:
        for _ in range(120):
            recorder(Stage())
    assert written == [1, 50, 50, 19]
