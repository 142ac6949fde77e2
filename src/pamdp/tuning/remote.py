"""A database of studies that a setting of the environment names, such as a server's.

Results do not depend on where studies are stored.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InternalError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)

from pamdp.base.errors import PamdpError, SettingsError
from pamdp.tuning.storage import Storage, in_a_line

VARIABLE = "PAMDP_OPTUNA_STORAGE"
EXAMPLE = "postgresql://user@host/database"
DRIVER = "postgresql+psycopg"  # which the extra `postgresql` installs
REFUSALS = (InternalError, ProgrammingError)  # by a read-only copy, or for want of rights


@dataclass(frozen=True)
class Remote(Storage):
    """The database at an address."""

    url: URL

    @property
    def place(self) -> str:
        """The variable."""
        return VARIABLE

    def _opened(self) -> RDBStorage:
        return RDBStorage(
            self.url.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True}
        )

    def _while_opened(self, error: BaseException) -> PamdpError | None:
        if isinstance(error, ImportError | NoSuchModuleError):
            return SettingsError(
                f"{VARIABLE}: expected the package that talks to such a database, received none "
                f"({error}); for PostgreSQL install it with `pip install 'pamdp[postgresql]'`"
            )
        if isinstance(error, SQLAlchemyError | OptunaError | ValueError):  # an option's value
            return self._unusable(error)
        return None

    def _while_used(self, error: BaseException) -> PamdpError | None:
        # Whether a row is there already is for Optuna to handle.
        known = isinstance(error, DBAPIError) and not isinstance(error, IntegrityError)
        return self._unusable(error) if known else None

    def _unusable(self, error: BaseException) -> PamdpError:
        if isinstance(error, OptunaError):  # which does not say what the database has said
            error = error.__cause__ or error
        refused = isinstance(error, REFUSALS)
        expected = "may be read and written" if refused else "answers"
        mended = "grant that, name another one" if refused else "start it"
        name = self.url.render_as_string(hide_password=True)
        reason = in_a_line(getattr(error, "orig", None) or error)[:200]
        return PamdpError(
            f"{VARIABLE}: expected a database that {expected} at {name}, received: {reason}; "
            f"{mended}, or unset {VARIABLE} and use optuna.db"
        )


def remote() -> Remote | None:
    """The database that is named, if one is.

    Raises:
      SettingsError: its address is none.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter of a port; both may tell the password
        raise SettingsError(
            f"{VARIABLE}: expected an address of a database, such as {EXAMPLE}, received one that "
            "cannot be read"
        ) from None
    return Remote(url.set(drivername=DRIVER) if url.drivername == "postgresql" else url)
