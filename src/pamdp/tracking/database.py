"""The default database, `mlflow.db`: whole from the moment it is there, since it can be remade.

MLflow makes a database in many steps, and one that was killed between them can be neither used nor
completed. So it is made under a scratch name, filled, and put in its place. What MLflow calls whole
is asked of its own models and migrations.
"""

from __future__ import annotations

import logging
import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pamdp.base.errors import PamdpError
from pamdp.lifetime import sole
from pamdp.tracking.connection import DATABASE, address
from pamdp.tracking.moved import follow

SCRATCH = "mlflow-"  # begins the names of scratch folders in .work
COMPANIONS = ("-journal", "-wal", "-shm")  # of a database of SQLite, beside it
LOCK_SECONDS = 20.0  # for which another process that writes is waited for, as in MLflow
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = logging.getLogger("pamdp.tracking")


def ensure(root: Path, fill: Callable[[str], object]) -> None:
    """Sees to it that `root/mlflow.db` is there and whole, and speaks of the artifacts beside it.

    One that is damaged is set aside, with a line that says so. A process that is killed leaves what
    was there before, or the complete new one; of several at once one makes it.

    Args:
      root: the project's root.
      fill: makes a database at an address and shows there what the project has.

    Raises:
      PamdpError: it is whole, and cannot be used for another reason.
    """
    path, work = root / DATABASE, root / ".work"
    work.mkdir(parents=True, exist_ok=True)
    with sole(work / "mlflow.lock", f"making {DATABASE}", math.inf):
        for left in work.glob(f"{SCRATCH}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        damage = damage_of(path) if path.exists() else None
        if path.exists() and not damage:
            follow(root, path, LOCK_SECONDS)
            return
        with TemporaryDirectory(prefix=SCRATCH, dir=work, ignore_cleanup_errors=True) as scratch:
            made = Path(scratch) / DATABASE
            fill(address(made))
            aside = _set_aside(path)
            made.replace(path)
    if damage:
        _log.warning(
            "%s could not be read (%s). It was made anew from the records; the old one is %s now.",
            DATABASE,
            damage,
            aside.name,
        )


def damage_of(path: Path) -> str | None:
    """What makes a database useless for MLflow; None if nothing does.

    Raises:
      PamdpError: it is not damaged, and cannot be used for another reason.
    """
    if path.is_dir():
        return "it is a folder"
    try:
        found = _read(path)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in DAMAGED:
            return str(error)
        raise PamdpError(
            f"{path}: expected a database that can be read, received: {error}"
        ) from None
    known = _Schema.of_mlflow()
    if isinstance(found, str):
        return found
    if found.revision == known.revision:
        lacking = sorted(
            f"{table}.{column}"
            for table, columns in known.tables.items()
            for column in columns - found.tables.get(table, set())
        )
        return f"it lacks {', '.join(lacking[:3])}" if lacking else None
    if found.revision not in known.older:
        raise PamdpError(
            f"{path}: expected the schema of MLflow {version('mlflow')}, received one that it does "
            "not know; install the newer MLflow that made it, or move the file away, and another "
            "is made from the records"
        )
    if not found.num_runs or not _can_be_upgraded(path):
        return "its tables are half made"
    raise PamdpError(
        f"{path}: expected the schema of MLflow {version('mlflow')}, received an older one; run "
        f"`mlflow db upgrade sqlite:///{DATABASE}` in its folder, or move the file away, and "
        "another is made from the records"
    )


class _Schema(NamedTuple):
    """What is in a database: its revision, the columns of its tables, how many runs.

    `older` are the revisions that MLflow can start from, where MLflow itself is meant.
    """

    revision: str
    tables: dict[str, set[str]]
    num_runs: int = 0
    older: frozenset[str] = frozenset()

    @classmethod
    def of_mlflow(cls) -> _Schema:
        """What the installed MLflow expects."""
        import mlflow.store.db.utils  # loads all models
        from alembic.script import ScriptDirectory
        from mlflow.store.db.base_sql_model import Base

        (folder,) = mlflow.store.__path__
        scripts = ScriptDirectory(str(Path(folder) / "db_migrations"))
        tables = {name: {*table.columns.keys()} for name, table in Base.metadata.tables.items()}
        older = frozenset(script.revision for script in scripts.walk_revisions())
        return cls(str(scripts.get_current_head()), tables, older=older)


def _read(path: Path) -> _Schema | str:
    """What is in a file, or why it is nothing of MLflow's."""
    uri = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS)) as db:
        ((report,),) = db.execute("PRAGMA quick_check(1)").fetchall()
        if report != "ok":
            return report
        tables: dict[str, set[str]] = {}
        for table, column in db.execute(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_xinfo(t.name) c "
            "WHERE t.type = 'table'"
        ):
            tables.setdefault(table, set()).add(column)
        if not tables:
            return "it is empty"
        if not {"alembic_version", "experiments", "runs"} <= tables.keys():
            return "it is not MLflow's, or half made"
        revisions = db.execute("SELECT version_num FROM alembic_version").fetchall()
        if len(revisions) != 1:
            return "its tables are half made"
        ((num_runs,),) = db.execute("SELECT count(*) FROM runs").fetchall()
        return _Schema(revisions[0][0], tables, num_runs)


def _can_be_upgraded(path: Path) -> bool:
    """Whether MLflow can bring a copy up to date; not if an upgrade was killed half-way."""
    with TemporaryDirectory() as scratch:
        with (
            closing(sqlite3.connect(path)) as db,
            closing(sqlite3.connect(Path(scratch) / DATABASE)) as copy,
        ):
            db.backup(copy)
        command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{DATABASE}"]
        return not subprocess.run(command, cwd=scratch, capture_output=True, check=False).returncode


def _set_aside(path: Path) -> Path:
    """Gives a database a name under which nothing finds it, and returns that."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    # The database last: a new one would take the journal of the old one for its own.
    for suffix in (*COMPANIONS, ""):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + suffix))
    return aside
