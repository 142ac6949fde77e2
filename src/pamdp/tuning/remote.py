"""A database of studies that a setting of the environment names, such as a server's.

Results do not depend on where studies are stored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from pamdp.base.errors import PamdpError, SettingsError

VARIABLE = "PAMDP_OPTUNA_STORAGE"
EXAMPLE = "postgresql://user@host/database"
DRIVER = "postgresql+psycopg"  # which the extra `postgresql` installs


def address() -> URL | None:
    """The address that is set, if there is one.

    Raises:
      SettingsError: it is none.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        url = make_url(text)
    except ArgumentError:
        raise SettingsError(
            f"{VARIABLE}: expected an address of a database, such as {EXAMPLE}, received one that "
            "cannot be read"
        ) from None
    return url.set(drivername=DRIVER) if url.drivername == "postgresql" else url


def open_storage() -> optuna.storages.RDBStorage:
    """Optuna's storage at that address; its tables are made where there are none.

    Raises:
      PamdpError: it cannot be used; so do its methods.
    """
    url = address()
    with explained():
        storage = optuna.storages.RDBStorage(
            url.render_as_string(hide_password=False) if url else "",
            engine_kwargs={"pool_pre_ping": True},
        )

    @event.listens_for(storage.engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        # Whether a row is there already is for Optuna to handle.
        if error is not None and type(error).__name__ in ("OperationalError", "InterfaceError"):
            raise _unusable(error) from error

    return storage


@contextmanager
def explained() -> Iterator[None]:
    """Around what opens the database: one line for whatever is wrong with it."""
    try:
        yield
    except (ImportError, NoSuchModuleError) as error:
        raise SettingsError(
            f"{VARIABLE}: expected the package that talks to such a database, received none "
            f"({error}); for PostgreSQL install it with `pip install 'pamdp[postgresql]'`"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise _unusable(error) from error
    except RuntimeError as error:  # of another release of Optuna, which says what to do
        raise PamdpError(f"{VARIABLE}: {' '.join(str(error).split())}") from error


def _unusable(error: BaseException) -> PamdpError:
    url = address()
    name = url.render_as_string(hide_password=True) if url else VARIABLE
    reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
    return PamdpError(
        f"{VARIABLE}: expected a database that answers at {name}, received: {reason}; start it, or "
        f"unset {VARIABLE} and use optuna.db"
    )
