"""The hand-written update of `floor.cpp`, compiled for the processor at hand."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SOURCE = Path(__file__).with_name("floor.cpp")
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC")
# What -ffast-math is for, without the mode of the processor that it sets for the whole process.
MATHS = ("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math")
NUM_Q, NUM_X, ROW = 2051, 1667, 24  # weights of the networks, numbers of a transition


class NoCompiler(ModuleNotFoundError):
    """There is no g++ here; named as a package that is not installed is."""


class Floor:
    """The functions of `floor.cpp`; arrays are float32 and int32, and written in place."""

    def __init__(self) -> None:
        compiler = shutil.which("g++")
        if compiler is None:
            raise NoCompiler("expected g++ on PATH, found none", name="g++")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "floor.so"
            subprocess.run([compiler, *FLAGS, *MATHS, "-o", str(path), str(SOURCE)], check=True)
            self._library = ctypes.CDLL(str(path))

    def update(self, q: Any, x: Any, rows: Any, index: Any, count: int) -> None:
        """One update.

        Args:
          q: [5, NUM_Q] the Q-network's weights, its target's, both moments, and its gradient.
          x: [5, NUM_X] the same of the parameter network.
          rows: [N, ROW] transitions: s, x, action, reward, 1 where it goes on, s'.
          index: [128] which of them.
          count: which update it is, from 1 on.
        """
        self._library.update(*map(_pointer, (q, x, rows, index)), count)

    def updates(self, q: Any, x: Any, rows: Any, number: int) -> None:
        """So many updates, each from other rows."""
        self._library.updates(*map(_pointer, (q, x, rows)), len(rows), number)


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
