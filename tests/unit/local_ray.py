"""A Ray on this machine, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from pamdp.engines.cluster import connected


@contextmanager
def local_ray(num_cores: int) -> Iterator[None]:
    """Starts it; the tests are skipped where Ray is not installed.

    Args:
      num_cores: how many it takes itself to have.
    """
    if find_spec("ray") is None:  # not imported: how it authenticates is set before
        pytest.skip("Ray is not installed (the extra `ray`)")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PAMDP_WORKERS", str(num_cores))
        ray = connected()
    yield
    ray.shutdown()
