"""Every variant of every registered environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

from pamdp.base.environment import Environment
from pamdp.envs import ENVIRONMENTS

VARIANTS = [variant for member in ENVIRONMENTS.values() for variant in member.variants()]


@pytest.fixture(params=VARIANTS, ids=lambda variant: variant.gymnasium_id)
def task(request: Any) -> Environment:
    return request.param


@pytest.fixture
def env(task: Environment) -> Iterator[Any]:
    made = gymnasium.make(task.gymnasium_id, render_mode="rgb_array")
    yield made
    made.close()
