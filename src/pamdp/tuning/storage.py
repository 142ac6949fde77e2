"""Where studies are stored: Optuna's storage, with one line for whatever is wrong with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext

from pamdp.base.errors import PamdpError


class Storage(ABC):
    """A database of studies."""

    @property
    @abstractmethod
    def place(self) -> str:
        """What it is called in messages."""

    @abstractmethod
    def _opened(self) -> RDBStorage:
        """Optuna's storage there; its tables are made where there are none."""

    @abstractmethod
    def _while_opened(self, error: BaseException) -> PamdpError | None:
        """What to tell of an error while it is opened; None if it knows nothing of that."""

    @abstractmethod
    def _while_used(self, error: BaseException) -> PamdpError | None:
        """What to tell of a later error; None if that is for Optuna to handle."""

    def open(self) -> RDBStorage:
        """Optuna's storage.

        Raises:
          PamdpError: it cannot be used; so do its methods.
        """
        with self._explained():
            storage = self._opened()

        @event.listens_for(storage.engine, "handle_error")
        def explain(context: ExceptionContext) -> None:
            if context.is_pre_ping:  # of a connection that was lost while idle: it is made again
                return
            error = context.sqlalchemy_exception or context.original_exception
            if wrong := self._while_used(error):
                raise wrong from error

        return storage

    def study(self, name: str) -> optuna.Study:
        """The study of this name, created where it is missing.

        Raises:
          PamdpError: the database cannot be used; so do the methods of the study.
        """
        storage = self.open()
        with self._explained():
            return optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PamdpError:
            raise
        except RuntimeError as error:  # of another release of Optuna, which says what to do
            raise PamdpError(f"{self.place}: {in_a_line(error)}") from error
        except Exception as error:
            if wrong := self._while_opened(error):
                raise wrong from error
            raise


def in_a_line(error: object) -> str:
    """What an error says."""
    return " ".join(str(error).split())
