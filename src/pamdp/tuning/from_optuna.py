"""What the settings of Optuna's samplers and pruners have in common."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from pamdp.base.component import Component


class FromOptuna(Component):
    """Settings that something of Optuna's is made of.

    Attributes:
      packages: what it needs besides Optuna.
      replayed: whether it keeps notes in the study, so that it is asked about the earlier trials
        again.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    replayed: ClassVar[bool] = False


@contextmanager
def experimental() -> Iterator[None]:
    """Around what Optuna calls experimental, and warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
