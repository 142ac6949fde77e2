"""The checkout's database of studies, and what may be wrong with it.

`PAMDP_OPTUNA_STORAGE` names another one (`remote`), in which what is said here of files is not so.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
import psutil
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from pamdp.base.errors import Damaged, PamdpError
from pamdp.tuning.remote import remote
from pamdp.tuning.storage import Storage, in_a_line

DATABASE = "optuna.db"  # all studies of a checkout, beside params.yaml
LOCK_SECONDS = 30.0  # for which another process that holds it is waited for
TABLES = frozenset({"studies", "version_info"})  # those that Optuna makes first


@dataclass(frozen=True)
class Local(Storage):
    """The database of a checkout."""

    root: Path

    @property
    def place(self) -> str:
        """Its path."""
        return str(self._path)

    @property
    def _path(self) -> Path:
        return self.root.resolve() / DATABASE

    def _opened(self) -> RDBStorage:
        path, work = self._path, self.root.resolve() / ".work"
        if not path.exists():
            # In many steps, so under another name: of what was killed between them, Optuna would
            # believe what is there. Of several processes one is first.
            work.mkdir(exist_ok=True)
            with TemporaryDirectory(prefix="optuna-", dir=work) as scratch:
                made = Path(scratch) / DATABASE
                _connected(made).engine.dispose()
                try:
                    os.link(made, path)
                except FileExistsError:
                    pass
                except OSError:  # a file system without links
                    made.replace(path)
        _refuse_foreign(path)
        return _connected(path)

    def _while_opened(self, error: BaseException) -> PamdpError | None:
        cause = _cause(error)
        if cause or isinstance(error, SQLAlchemyError | OptunaError):
            return self._while_used(error) or _damaged(self._path, cause or error)
        if isinstance(error, OSError):
            return PamdpError(f"{self.place}: cannot be made ({error})")
        return None

    def _while_used(self, error: BaseException) -> PamdpError | None:
        cause = _cause(error)
        return _explain(self._path, cause) if cause else None


def create_database(root: Path) -> None:
    """Creates the checkout's database where there is none.

    Raises:
      PamdpError: there is one that cannot be used.
    """
    _storage(root).open()


def open_database(root: Path, name: str) -> optuna.Study:
    """The study of this name in the checkout's database, created where it is missing.

    Raises:
      PamdpError: the database cannot be used; so do the methods of the study.
    """
    return _storage(root).study(name)


def _storage(root: Path) -> Storage:
    return remote() or Local(root)


def _connected(path: Path) -> RDBStorage:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False)

    # Connected to by path: in an address, some characters of a folder's name mean something.
    return optuna.storages.RDBStorage(f"sqlite:///{DATABASE}", engine_kwargs={"creator": connect})


def _refuse_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if tables and not tables & TABLES:
        raise _damaged(path, "it is another program's")


def _cause(error: BaseException | None) -> sqlite3.Error | None:
    while error is not None and not isinstance(error, sqlite3.Error):
        error = getattr(error, "orig", None) or error.__cause__
    return error


def _explain(path: Path, error: sqlite3.Error) -> PamdpError | None:
    """What to tell of an error of SQLite; None if that is for Optuna to handle."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return PamdpError(
            f"{path}: locked for {LOCK_SECONDS:g} s by {_holders(path)}; wait until it has ended, "
            "or end it, and run this again"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or path.is_dir():
        return _damaged(path, error)
    if code == sqlite3.SQLITE_CONSTRAINT:
        return None
    if code == sqlite3.SQLITE_ERROR:
        return _damaged(path, error)
    return PamdpError(
        f"{path}: expected a file and a folder that may be written, with room on the disk, "
        f"received: {error}; mend that, and run this again"
    )


def _damaged(path: Path, wrong: BaseException | str) -> Damaged:
    reason = "it is a folder" if path.is_dir() else in_a_line(wrong)[:200]
    return Damaged(
        f"{path}: expected a database of Optuna, received none that can be read ({reason}); move "
        "it away: finished searches are kept in metrics/tune, one under way begins anew"
    )


def _holders(path: Path) -> str:
    """The processes that have a file open, as far as they can be known."""
    found = []
    for process in psutil.process_iter(["pid", "name"]):
        try:
            if process.pid != psutil.Process().pid and any(
                each.path == str(path) for each in process.open_files()
            ):
                found.append(f"{process.info['name']} (process {process.pid})")
        except (psutil.Error, OSError):
            continue
    return ", ".join(found) or "another process"
