"""pamdp: a laboratory for deep Q-learning with parameterised actions.

Importing it registers its environments with Gymnasium, `pamdp/Platform-v0` among them. TensorFlow
is imported when the first of them is stepped, and what else there is here at its first use:

>>> import pamdp
>>> cell = pamdp.cell("platform", "mpdqn", "inverting", {"training.steps": 2000})
>>> result = pamdp.train(cell, seed=1)
>>> pamdp.save(result, "my_policy")
>>> policy = pamdp.load("my_policy")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pamdp.envs import register

if TYPE_CHECKING:
    from pamdp.api import TensorBoard, cell, evaluate, load, save, train, tune

__all__ = [
    "TensorBoard",
    "__version__",
    "cell",
    "evaluate",
    "load",
    "save",
    "train",
    "tune",
]

__version__ = "0.1.0"

register()


def __getattr__(name: str) -> Any:
    """What `pamdp.api` has of this name."""
    if name not in __all__:
        raise AttributeError(f"module 'pamdp' has no attribute {name!r}")
    return getattr(importlib.import_module("pamdp.api"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})
