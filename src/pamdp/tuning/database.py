"""The checkout's database of studies, and what may be wrong with it.

`PAMDP_OPTUNA_STORAGE` names another one (`remote`), in which what is said here of files is not so.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
import psutil
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from pamdp.base.errors import Damaged, PamdpError
from pamdp.tuning import remote

DATABASE = "optuna.db"  # all studies of a checkout, beside params.yaml
LOCK_SECONDS = 30.0  # for which another process that holds it is waited for
TABLES = frozenset({"studies", "version_info"})  # those that Optuna makes first


def create_database(root: Path) -> None:
    """Creates the checkout's database where there is none.

    Raises:
      PamdpError: there is one that cannot be used.
    """
    _storage(root)


def open_database(root: Path, name: str) -> optuna.Study:
    """The study of this name in the checkout's database, created where it is missing.

    Raises:
      PamdpError: the database cannot be used; so do the methods of the study.
    """
    storage = _storage(root)
    with remote.explained() if remote.address() else _explained(root.resolve() / DATABASE):
        return optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )


def _storage(root: Path) -> optuna.storages.RDBStorage:
    if remote.address():
        return remote.open_storage()
    path, work = root.resolve() / DATABASE, root.resolve() / ".work"
    with _explained(path):
        if not path.exists():
            # In many steps, so under another name: of what was killed between them, Optuna would
            # believe what is there. Of several processes one is first.
            work.mkdir(exist_ok=True)
            with TemporaryDirectory(prefix="optuna-", dir=work) as scratch:
                made = Path(scratch) / DATABASE
                _opened(made).engine.dispose()
                try:
                    os.link(made, path)
                except FileExistsError:
                    pass
                except OSError:  # a file system without links
                    made.replace(path)
        _refuse_foreign(path)
        storage = _opened(path)

    @event.listens_for(storage.engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, sqlite3.Error) and (wrong := _explain(path, error)):
            raise wrong from error

    return storage


def _opened(path: Path) -> optuna.storages.RDBStorage:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False)

    # Connected to by path: in an address, some characters of a folder's name mean something.
    return optuna.storages.RDBStorage(f"sqlite:///{DATABASE}", engine_kwargs={"creator": connect})


def _refuse_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if tables and not tables & TABLES:
        raise _damaged(path, "it is another program's")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Around what opens the database: one line for whatever is wrong with it."""
    try:
        yield
    except PamdpError:
        raise
    except sqlite3.Error as error:
        raise _explain(path, error) or _damaged(path, error) from error
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        cause = _cause(error)
        raise (cause and _explain(path, cause)) or _damaged(path, cause or error) from error
    except OSError as error:
        raise PamdpError(f"{path}: cannot be made ({error})") from error
    except RuntimeError as error:  # of another release of Optuna, which says what to do
        raise PamdpError(f"{path}: {' '.join(str(error).split())}") from error


def _cause(error: BaseException | None) -> sqlite3.Error | None:
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
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


def _damaged(path: Path, wrong: Exception | str) -> Damaged:
    reason = "it is a folder" if path.is_dir() else " ".join(str(wrong).split())[:200]
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
