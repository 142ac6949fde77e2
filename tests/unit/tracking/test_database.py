"""mlflow.db: whole or not there, whatever happens while it is made."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pamdp.base.errors import PamdpError
from pamdp.records import Run
from pamdp.tracking import open_sink, rebuild
from pamdp.tracking.connection import DEFAULTS
from pamdp.tracking.database import SCRATCH, damage_of, ensure
from pamdp.tracking.rebuild import open_view
from pamdp.tracking.view import View
from tests.helpers import ODD_NAMES


@pytest.fixture(autouse=True)
def default(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")


@pytest.fixture
def root(tmp_path, template) -> Path:
    """A checkout with the record of a training, and a database that lacks it."""
    record("a").write(tmp_path / "metrics" / "train" / "a" / "record.json")
    shutil.copy(template, tmp_path / "mlflow.db")
    return tmp_path


def record(cell: str) -> Run:
    return Run(key=f"train/{cell}", fingerprint="f", metrics={"m": [(1, 0.5)]})


def keys(root: Path) -> list[str]:
    """What is shown: of each run its key."""
    query = "SELECT value FROM tags WHERE key = 'pamdp.key' ORDER BY value"
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        return [key for (key,) in connection.execute(query)]


@pytest.fixture
def made(template):
    """Makes a database as `ensure` wants it made, at once; what was made is in its list."""

    def fill(uri: str) -> None:
        fill.made.append(shutil.copy(template, uri.removeprefix("sqlite+pysqlite:///")))

    fill.made = []
    return fill


def execute(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# -- Killed while it is made -----------------------------------------------------------------------

TRACKING = """
import pathlib
from pamdp.records import Run
from pamdp.tracking import open_sink

with open_sink("x", pathlib.Path()) as sink:
    sink.put(Run(key="train/b", fingerprint="f", metrics={"m": [(1, 0.5)]}), final=True)
"""


def start(root: Path, code: str = TRACKING) -> subprocess.Popen:
    ours = ("PYTEST_CURRENT_TEST", "CI", *DEFAULTS)
    environment = {name: text for name, text in os.environ.items() if name not in ours}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)


def test_eight_kills_while_it_is_made_lose_nothing(tmp_path):
    """At moments that are spread over the making: each waits for a file of another size."""
    record("a").write(tmp_path / "metrics" / "train" / "a" / "record.json")
    sizes = random.Random(0)
    for _ in range(8):
        process, least = start(tmp_path), sizes.randrange(1, 900_000)
        while process.poll() is None:
            made = [*(tmp_path / ".work").glob(f"{SCRATCH}*/mlflow.db"), tmp_path / "mlflow.db"]
            if any(size(path) >= least for path in made):
                process.kill()
                break
            time.sleep(0.001)
        process.communicate()
    last = start(tmp_path)
    assert (last.communicate()[1], last.returncode) == ("", 0)
    assert keys(tmp_path) == ["train/a", "train/b"]
    assert not [*(tmp_path / ".work").glob(f"{SCRATCH}*")]


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_the_last_moment_before_it_is_in_its_place(tmp_path, template, made):
    """It is whole then, and not used by the next one: other records may have come meanwhile."""
    process = start(
        tmp_path,
        f"""
import os, pathlib, shutil, signal
from pamdp.tracking.database import ensure
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
fill = lambda uri: shutil.copy({str(template)!r}, uri.removeprefix("sqlite+pysqlite:///"))
ensure(pathlib.Path(), fill)
""",
    )
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len([*(tmp_path / ".work").glob(f"{SCRATCH}*/mlflow.db")]) == 1
    assert not (tmp_path / "mlflow.db").exists()
    ensure(tmp_path, made)
    assert len(made.made) == 1
    assert damage_of(tmp_path / "mlflow.db") is None
    assert not [*(tmp_path / ".work").glob(f"{SCRATCH}*")]


def test_of_several_at_once_one_makes_it(tmp_path, made):
    with ThreadPoolExecutor(4) as pool:
        _ = [*pool.map(lambda _: ensure(tmp_path, made), range(4))]
    assert len(made.made) == 1
    assert {path.name for path in tmp_path.iterdir()} == {".work", "mlflow.db"}


# -- Damaged ---------------------------------------------------------------------------------------

DAMAGE = {
    "cut": lambda path: os.truncate(path, 100_000),
    "empty": lambda path: os.truncate(path, 0),
    "other": lambda path: path.write_bytes(b"something else" * 1000),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "overwritten": lambda path: overwrite(path),
    "another program's": lambda path: (path.unlink(), execute(path, "CREATE TABLE a (b)")),
    "half made": lambda path: execute(path, "DELETE FROM alembic_version"),
    "no runs yet": lambda path: execute(
        path, "UPDATE alembic_version SET version_num = '867495a8f9d4'"
    ),
    "a table": lambda path: execute(path, "DROP TABLE params"),
    "a column": lambda path: execute(path, "ALTER TABLE runs DROP COLUMN deleted_time"),
}


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(50_000)
        file.write(b"\xff" * 200_000)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_one_is_set_aside_and_made_anew(root, caplog, damage, made):
    damage(root / "mlflow.db")
    ensure(root, made)
    (line,) = caplog.messages
    assert line.startswith("mlflow.db could not be read (")
    assert line.endswith("from the records; the old one is mlflow.db.damaged-1 now.")
    assert (root / "mlflow.db.damaged-1").exists()
    assert damage_of(root / "mlflow.db") is None
    ensure(root, made)
    assert len(made.made) == 1


def test_one_that_was_half_migrated_with_runs_in_it(root, caplog, made):
    View("x", root, f"sqlite:///{root}/mlflow.db").sync(record("c"), final=True)
    execute(root / "mlflow.db", "UPDATE alembic_version SET version_num = '867495a8f9d4'")
    ensure(root, made)
    assert "could not be read (its tables are half made)" in caplog.text
    assert len(made.made) == 1


def test_all_records_are_in_the_new_one_before_the_new_ones(root, caplog):
    os.truncate(root / "mlflow.db", 100_000)
    with open_sink("x", root) as sink:
        sink.put(record("b"), final=True)
    assert "the old one is mlflow.db.damaged-1 now" in caplog.text
    assert keys(root) == ["train/a", "train/b"]


@pytest.mark.parametrize("exists", [True, False])
def test_the_journal_of_an_old_one_is_not_taken_for_the_new_ones(root, made, exists):
    (root / "mlflow.db").unlink()
    if exists:
        (root / "mlflow.db").mkdir()
    for suffix in ("-journal", "-wal"):
        (root / f"mlflow.db{suffix}").write_text("of the old one")
    ensure(root, made)
    assert damage_of(root / "mlflow.db") is None
    for suffix in ("-journal", "-wal"):
        assert not (root / f"mlflow.db{suffix}").exists()
        assert (root / f"mlflow.db.damaged-1{suffix}").read_text() == "of the old one"


def test_a_whole_one_stays(root, caplog):
    with open_sink("x", root) as sink:
        sink.put(record("b"), final=True)
    assert keys(root) == ["train/b"]
    assert not caplog.messages


def test_each_damaged_one_has_a_name_of_its_own(root, made):
    for number in (1, 2):
        (root / "mlflow.db").write_bytes(b"x" * number)
        ensure(root, made)
    assert (root / "mlflow.db.damaged-1").read_bytes() == b"x"
    assert (root / "mlflow.db.damaged-2").read_bytes() == b"xx"


def test_one_that_is_locked_is_not_damaged(root, made, monkeypatch):
    monkeypatch.setattr("pamdp.tracking.database.LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(root / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PamdpError, match=r"mlflow.db: .* received: database is locked"):
            ensure(root, made)
    assert made.made == []


def test_a_damaged_record_keeps_no_other_from_being_shown(root):
    damaged = root / "metrics" / "train" / "0" / "record.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    with pytest.raises(PamdpError, match=r"1 shown in MLflow, 1 not: .*record.json: expected a w"):
        rebuild("x", root)
    assert keys(root) == ["train/a"]


def test_one_of_the_users_is_not_touched(root, monkeypatch, caplog):
    theirs = root / "theirs.db"
    theirs.write_bytes(b"something else" * 1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{theirs}")
    with open_sink("x", root) as sink:
        sink.put(record("b"), final=True)
    (line,) = caplog.messages
    assert line.startswith("Tracking failed and stops (")
    assert theirs.read_bytes() == b"something else" * 1000
    assert not [*root.glob("*.damaged*")]


# -- Of another release of MLflow ------------------------------------------------------------------


def test_a_newer_one_stays_and_says_what_to_do(root):
    path = root / "mlflow.db"
    execute(path, "UPDATE alembic_version SET version_num = 'fedcba987654'")
    before = path.read_bytes()
    with pytest.raises(PamdpError, match="install the newer MLflow that made it, or move the file"):
        rebuild("x", root)
    assert path.read_bytes() == before


def older(root: Path, template: Path) -> Path:
    """As MLflow left it one migration earlier, with a run in it."""
    import mlflow.store.db.utils
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    path = root / "mlflow.db"
    View("x", root, f"sqlite:///{path}").sync(record("c"), final=True)
    config = Config()
    folder = Path(mlflow.store.db.utils.__file__).parents[1] / "db_migrations"
    config.set_main_option("script_location", str(folder))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    engine.dispose()
    return path


def test_an_older_one_stays_and_says_what_to_do(root, template):
    path = older(root, template)
    before = path.read_bytes()
    with pytest.raises(
        PamdpError, match=r"run `mlflow db upgrade sqlite:///mlflow.db` in its fold"
    ):
        rebuild("x", root)
    assert path.read_bytes() == before


# -- Odd names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_NAMES)
def test_it_lies_in_its_checkout_whatever_that_is_called(tmp_path, template, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (root := tmp_path / name).mkdir()
    run = record("a").model_copy(update={"artifacts": ["figure.svg"]})
    run.write(root / "metrics" / "train" / "a" / "record.json")
    (root / "figure.svg").write_text("<svg/>")
    shutil.copy(template, root / "mlflow.db")
    assert rebuild("x", root) == ["train/a"]
    assert keys(root) == ["train/a"]
    view = open_view("x", root)
    view.client.create_registered_model(f"model {ODD_NAMES.index(name)}")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    wanted = {".work", "figure.svg", "metrics", "mlartifacts", "mlflow.db"}
    assert {path.name for path in root.iterdir()} == wanted
    found = {path.name for path in root.glob("mlartifacts/*/artifacts/*")}
    assert found == {"configuration.yaml", "figure.svg"}


def test_one_is_made_in_a_folder_of_an_odd_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (root := tmp_path / "what?x=1%20{it's}").mkdir()
    open_view("x", root)
    assert [path.name for path in tmp_path.iterdir()] == [root.name]
    assert {path.name for path in root.iterdir()} == {".work", "mlflow.db"}
