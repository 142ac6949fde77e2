# TensorFlow for pyright: anything goes. The public stubs type a part of it, and more narrowly than
# it is (a shape must be a tuple, `~tensor` is refused), so that they report correct code.
from typing import Any

def __getattr__(name: str) -> Any: ...
