"""DVC's files that it writes in place, cut short by a kill, and mended."""

from __future__ import annotations

import json
import os
import subprocess
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.stages import lockfile

HEAD = "schema: '2.0'\nstages:\n"
NAMES = ["setup", "tune@a", "tune@b", "train@a", "train@b"]


def entry(name: str, md5: str = "1") -> str:
    return (
        f"  {name}:\n    cmd: python x.py\n    params:\n      params.yaml:\n        list:\n"
        f"        - a\n        - b\n    outs:\n    - path: a\n      md5: '{md5}'\n      size: 1\n"
    )


WHOLE = HEAD + "".join(map(entry, NAMES))


@pytest.fixture
def checkout(tmp_path):
    settings: Any = SimpleNamespace()
    return Checkout(settings, tmp_path)


def interrupted(checkout, left: str) -> list[str]:
    """A run that leaves the lock file like that, and what the next one says."""
    checkout.lock.write_text(WHOLE)
    with lockfile.guarded(checkout, print):
        checkout.lock.write_text(left)
    said: list[str] = []
    with lockfile.guarded(checkout, said.append):
        pass
    return said


@pytest.mark.parametrize("share", [0.0, 0.05, 0.33, 0.5, 0.62, 0.9, 0.9997])
def test_a_lock_file_that_was_cut_is_whole_again(checkout, share):
    said = interrupted(checkout, WHOLE[: int(share * len(WHOLE))])
    assert said == ["dvc.lock: an interrupted run has left a part of it; the rest is back"]
    assert sorted(checkout.lock.read_text().split("\n")) == sorted(WHOLE.split("\n"))
    assert not checkout.kept_lock.exists()


@pytest.mark.parametrize("lines", range(1, 10))
def test_an_entry_that_was_cut_between_its_lines_is_whole_again(checkout, lines):
    """DVC would read it, and take the stage for one that has changed."""
    last = len(entry(NAMES[-1]).splitlines()) - lines
    cut = WHOLE.splitlines(keepends=True)[:-last]
    assert interrupted(checkout, "".join(cut))
    assert checkout.lock.read_text() == WHOLE


def test_a_lock_file_that_was_cut_between_entries_is_whole_again(checkout):
    assert interrupted(checkout, HEAD + entry("setup", "2"))
    assert checkout.lock.read_text() == HEAD + entry("setup", "2") + "".join(map(entry, NAMES[1:]))


def test_an_entry_with_fewer_values_is_a_newer_one(checkout):
    """Such as that of a study with fewer strategies."""
    newer = WHOLE.removesuffix(entry("train@b")) + entry("train@b", "2").replace(
        "        - b\n", ""
    )
    assert interrupted(checkout, newer) == []
    assert checkout.lock.read_text() == newer


def test_newer_entries_stay(checkout):
    newer = WHOLE.replace(entry("tune@a"), entry("tune@a", "2")) + entry("report")
    assert interrupted(checkout, newer) == []
    assert checkout.lock.read_text() == newer


def test_what_others_do_with_it_afterwards_is_their_own(checkout):
    """Such as another branch of git, whose lock file has fewer entries."""
    checkout.lock.write_text(WHOLE)
    with pytest.raises(KeyboardInterrupt), lockfile.guarded(checkout, print):
        raise KeyboardInterrupt
    checkout.lock.write_text(HEAD + entry("setup"))
    lockfile.mend(checkout, pytest.fail)
    assert checkout.lock.read_text() == HEAD + entry("setup")


def test_a_half_is_not_kept(checkout):
    checkout.lock.write_text(WHOLE)
    lockfile.keep(checkout)
    checkout.lock.write_text(WHOLE[:100])
    lockfile.keep(checkout)
    assert checkout.kept_lock.read_text() == WHOLE


def test_without_a_copy_it_comes_from_the_last_commit(checkout):
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    checkout.lock.write_text(WHOLE)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run([*git, *command], cwd=checkout.root, check=True)
    checkout.lock.write_text("")
    said: list[str] = []
    lockfile.mend(checkout, said.append)
    assert said == ["dvc.lock: it was damaged; the one of the last commit is back"]
    assert checkout.lock.read_text() == WHOLE


def test_with_nothing_to_mend_it_one_line_says_so(checkout):
    checkout.lock.write_text(WHOLE[:40])
    with pytest.raises(PamdpError, match=r"dvc.lock: expected what DVC has .*move it away"):
        lockfile.mend(checkout, pytest.fail)


def test_there_need_be_none(checkout):
    with lockfile.guarded(checkout, pytest.fail):
        checkout.lock.write_text(WHOLE)
    assert checkout.lock.read_text() == WHOLE
    assert not checkout.kept_lock.exists()


@pytest.mark.parametrize(
    "content",
    ["", '{"a": [', "[" * 99, "[1]", '{"read": {"a": 1}}', '{"write": {"a": {"pid": "x"}}}'],
)
def test_a_half_of_the_list_of_what_runs_is_removed(checkout, monkeypatch, content):
    monkeypatch.setattr(lockfile.time, "sleep", lambda seconds: None)
    path = checkout.root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    lockfile.mend(checkout, pytest.fail)
    path.write_text(content)
    said: list[str] = []
    lockfile.mend(checkout, said.append)
    assert said == ["rwlock: DVC was killed while it wrote it; it is removed"]
    assert not path.exists()


def test_what_killed_processes_were_at_is_forgotten_and_what_others_are_at_is_not(checkout):
    """DVC would wait for one that the system still lists, as nobody has asked how it ended."""
    path = checkout.root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as killed:
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is listed
        assert psutil.pid_exists(killed.pid)
        gone, own = ({"pid": number, "cmd": "x"} for number in (killed.pid, os.getpid()))
        content = {"read": {"a": [gone, own], "b": [gone]}, "write": {"c": gone, "d": own}}
        path.write_text(json.dumps(content))
        lockfile.mend(checkout, pytest.fail)
    assert json.loads(path.read_text()) == {"read": {"a": [own]}, "write": {"d": own}}
