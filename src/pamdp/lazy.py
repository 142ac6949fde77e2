"""What is made at its first use: TensorFlow, and what is traced with it.

Configuration lives with its component, and `import tensorflow` costs seconds: reading and checking
the settings must not pay for it. Modules write `from pamdp.lazy import tf` and postpone their
annotations.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps back what native code writes to the standard error stream.

    TensorFlow's libraries greet there while they are loaded, before they read a log level.
    Exceptions are not touched.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


if TYPE_CHECKING:
    import tensorflow as tf
else:

    class _TensorFlow:
        _lock = threading.Lock()

        def __getattr__(self, name: str) -> Any:
            with self._lock:  # while it is being loaded, another thread would find half of it
                if "tensorflow" not in sys.modules:
                    with _silent():
                        module = importlib.import_module("tensorflow")
                        module.config.list_physical_devices()  # complains of missing drivers
            value = getattr(sys.modules["tensorflow"], name)
            setattr(self, name, value)  # found without this function from now on
            return value

    tf = _TensorFlow()


class once(cached_property):
    """A property that is computed at its first use, by one thread; others wait.

    `cached_property` has had no lock since Python 3.12, so that all seeds would trace a function.
    """

    _lock = threading.RLock()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The value."""
        with self._lock:
            return super().__get__(instance, owner)


__all__ = ["once", "tf"]
