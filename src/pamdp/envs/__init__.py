"""Environments: one file each, named after its `kind`, and one line here."""

import gymnasium

from pamdp.envs.base import Environment, Outcome
from pamdp.envs.platform import Platform

__all__ = ["ENVIRONMENTS", "Environment", "Outcome", "register"]

ENVIRONMENTS: dict[str, type[Environment]] = {"platform": Platform}


def register() -> None:
    """Registers every environment with Gymnasium, as `pamdp/<Name>-<version>`.

    Settings of the environment are keyword arguments of `gymnasium.make`, for example
    `gymnasium.make("pamdp/Platform-v0", noise=0.0)`.
    """
    for kind, environment in ENVIRONMENTS.items():
        gymnasium.register(
            environment.gymnasium_id(),
            "pamdp.envs.adapter:RegisteredEnv",
            max_episode_steps=environment.max_episode_steps,
            kwargs={"kind": kind},
        )
