"""Running the stages: what one does for a cell (`cells`), and for the whole study (`study`)."""

from __future__ import annotations

import atexit
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pamdp.export import ExportError
from pamdp.problems import EnvironmentFailure, SettingsError
from pamdp.training import TrainingError

WORK = ".work"  # what can be resumed and caches; no output of any stage


def without_keras() -> None:
    """Lets TensorFlow find no Keras: loading it takes as long as the rest, and no stage uses it."""
    sys.modules.setdefault("keras", None)  # pyright: ignore[reportArgumentType]


def stage(function: Callable[..., None]) -> None:
    """Runs a stage's function with the command line's arguments; failures are one clear message."""
    cache = Path.cwd() / WORK / "xla"
    # Level 2 shows errors that are none: no GPU, a cache entry that is not text.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # In quotes, because the path may have spaces.
    os.environ.setdefault("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory='{cache}'")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # results of a study are those of the CPU
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    without_keras()
    # What TensorFlow leaves at its import is looked through a hundred times otherwise, a quarter of
    # the time that a stage needs to start, and once more, for a second, when it ends.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    try:
        inspect.signature(function).bind(*sys.argv[1:])
    except TypeError as error:
        sys.exit(f"error: {error}\n{sys.modules[function.__module__].__doc__}")
    try:
        function(*sys.argv[1:])
    except FileNotFoundError as error:
        sys.exit(f"error: {error}; what earlier stages write, `dvc repro` makes")
    except (SettingsError, EnvironmentFailure, TrainingError, ExportError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last checkpoint")
