"""TensorFlow, imported at its first use.

Configuration lives with its component, and `import tensorflow` costs seconds: reading and checking
the settings must not pay for it. Modules write `from pamdp.lazy import tf` and postpone their
annotations.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf
else:

    class _TensorFlow:
        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("tensorflow"), name)

    tf = _TensorFlow()

__all__ = ["tf"]
