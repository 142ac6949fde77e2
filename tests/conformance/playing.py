"""Random play in the Gymnasium form of our environments."""

from __future__ import annotations

from typing import Any

import numpy as np


def random_action(env: Any, random: np.random.Generator) -> tuple:
    """Quick where `action_space.sample()` is not: with a thousand actions."""
    spec = env.unwrapped.environment.actions
    index = int(random.integers(spec.num_actions))
    own = spec.owned[index] > 0
    return spec.element(index, random.uniform(spec.low[own], spec.high[own]))


def rollout(env: Any, seed: int, steps: int = 20) -> list[tuple]:
    """What a random policy meets with, episodes one after another."""
    random = np.random.default_rng(seed)
    met: list[tuple] = [env.reset(seed=seed)]
    for _ in range(steps):
        met.append(env.step(random_action(env, random)))
        if met[-1][2] or met[-1][3]:
            met.append(env.reset())
    return met
