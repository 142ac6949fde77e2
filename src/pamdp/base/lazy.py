"""TensorFlow, imported at its first use.

Configuration lives with its component, and `import tensorflow` costs seconds: reading and checking
the settings must not pay for it. Modules write `from pamdp.base.lazy import tf` and postpone their
annotations.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pamdp.base.processor import prepare_xla


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
                prepare_xla()
                if "tensorflow" not in sys.modules:
                    with _silent():
                        module = importlib.import_module("tensorflow")
                        module.config.list_physical_devices()  # complains of missing drivers
            value = getattr(sys.modules["tensorflow"], name)
            setattr(self, name, value)  # found without this function from now on
            return value

    tf = _TensorFlow()


def prepare_process() -> None:
    """Sets what TensorFlow reads when it is loaded; for processes that do nothing but our work."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # level 2 shows errors that are none
    prepare_xla()
    # All runs on the CPU anyway (`calls.on_cpu`): a GPU would cost seconds to start and its memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # No Keras is found: loading it takes as long as the rest, and nothing uses it.
    sys.modules.setdefault("keras", None)  # pyright: ignore[reportArgumentType]
    # What TensorFlow leaves at its import is looked through a hundred times otherwise, a quarter of
    # the time that a stage needs to start, and once more, for a second, when it ends.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


__all__ = ["prepare_process", "tf"]
