"""optuna.db: where it stands, and what is told of one that cannot be used."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from pamdp.base.errors import Damaged, PamdpError
from pamdp.tuning import database
from pamdp.tuning.database import create_database, open_database
from tests.helpers import ODD_NAMES


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made")
    open_database(root, "first").add_trial(trial())
    return root / "optuna.db"


@pytest.fixture
def stored(made, tmp_path) -> Path:
    """A copy of a database with a study of one trial."""
    return Path(shutil.copy(made, tmp_path))


def trial() -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(value=1.0)


def refused(root: Path) -> str:
    with pytest.raises(PamdpError) as error:
        open_database(root, "first")
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{root / 'optuna.db'}: ")
    return line


@pytest.mark.parametrize("name", ODD_NAMES)
def test_it_lies_in_its_checkout_whatever_that_is_called(tmp_path, monkeypatch, name):
    (root := tmp_path / name).mkdir()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    for place in (root, elsewhere):  # an environment may change it
        monkeypatch.chdir(place)
        create_database(root)
        open_database(root, "x").add_trial(trial())
    assert len(open_database(root, "x").trials) == 2
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == {
        Path("elsewhere"),
        Path(name),
        Path(name, "optuna.db"),
        Path(name, ".work"),
    }


@pytest.mark.parametrize("content", [b"something else " * 100, None], ids=["other", "cut"])
def test_what_is_no_database(stored, content):
    content = stored.read_bytes()[:20_000] if content is None else content
    stored.write_bytes(content)
    line = refused(stored.parent)
    assert "received none that can be read (" in line
    assert line.endswith("move it away: finished searches are kept in metrics/tune, one under way "
                         "begins anew")  # fmt: skip
    assert stored.read_bytes() == content  # nothing is deleted


def test_pages_that_were_overwritten(stored):
    content = bytearray(stored.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    stored.write_bytes(content)
    assert "received none that can be read (" in refused(stored.parent)


def test_a_folder(tmp_path):
    (tmp_path / "optuna.db").mkdir()
    assert "(it is a folder); move it away" in refused(tmp_path)


def test_another_programs(tmp_path):
    with sqlite3.connect(tmp_path / "optuna.db") as other:
        other.execute("CREATE TABLE notes (text)")
    assert "(it is another program's); move it away" in refused(tmp_path)
    tables = other.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("notes",)]  # and stays that


def test_a_newer_optunas(stored):
    with sqlite3.connect(stored) as other:
        other.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
    line = refused(stored.parent)
    assert "Please try updating optuna to the latest version" in line


def test_an_empty_file_is_filled(tmp_path):
    (tmp_path / "optuna.db").touch()
    assert open_database(tmp_path, "x").trials == []


def test_one_that_was_killed_while_it_was_made_leaves_nothing(tmp_path, monkeypatch):
    """Optuna would take a table without its index for whole, and make two studies of a name."""
    make = optuna.storages.RDBStorage

    def killed(url: str, **options: Any) -> None:
        with closing(options["engine_kwargs"]["creator"]()) as half:
            half.execute("CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name TEXT)")
        raise KeyboardInterrupt

    monkeypatch.setattr(optuna.storages, "RDBStorage", killed)
    with pytest.raises(KeyboardInterrupt):
        create_database(tmp_path)
    monkeypatch.setattr(optuna.storages, "RDBStorage", make)
    open_database(tmp_path, "x").add_trial(trial())
    assert len(open_database(tmp_path, "x").trials) == 1


def test_several_processes_make_one(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        studies = [*pool.map(lambda _: open_database(tmp_path, "x"), range(4))]
    for study in studies:
        study.add_trial(trial())
    assert len(open_database(tmp_path, "x").trials) == 4


HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1])
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_locked_one_tells_who_holds_it(stored, monkeypatch):
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
    study = open_database(stored.parent, "first")
    command = [sys.executable, "-c", HOLDER, str(stored)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        line = refused(stored.parent)
        with pytest.raises(PamdpError, match=r"optuna.db: locked for 0.1 s by "):
            study.add_trial(trial())
        holder.communicate()
    assert re.search(rf"locked for 0\.1 s by python\S* \(process {holder.pid}\); wait", line)
    study.add_trial(trial())
    assert len(study.trials) == 2


def test_a_lock_is_waited_for(stored):
    command = [sys.executable, "-c", HOLDER, str(stored)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.stdin.close()
        assert len(open_database(stored.parent, "first").trials) == 1


def test_what_may_not_be_written(stored, monkeypatch):
    connect = sqlite3.connect

    def read_only(path: Path, **options):
        return connect(f"{path.as_uri()}?mode=ro", uri=True, **options)

    monkeypatch.setattr(database.sqlite3, "connect", read_only)
    assert "expected a file and a folder that may be written" in refused(stored.parent)


def test_a_full_disk(stored):
    study = open_database(stored.parent, "first")
    storage = study._storage._backend
    with storage.engine.connect() as connection:  # the pool gives this one again
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(PamdpError, match=r"optuna.db: .*with room on the disk, .* full") as error:
        _ = [study.add_trial(trial()) for _ in range(1000)]
    assert not isinstance(error.value, Damaged)
