"""Environments: one file each, named after its `kind`, and one line in `members`."""

import gymnasium

from pamdp.envs.base import Environment, Outcome
from pamdp.envs.members import MEMBERS, Member
from pamdp.envs.sparse import Sparse

__all__ = ["ENVIRONMENTS", "Environment", "Member", "Outcome", "register"]

ENVIRONMENTS: dict[str, type[Environment]] = {**MEMBERS, "sparse": Sparse}


def register() -> None:
    """Registers every variant of every environment with Gymnasium, as `pamdp/<Name>-<version>`.

    Settings of the environment are keyword arguments of `gymnasium.make`, for example
    `gymnasium.make("pamdp/Platform-v0", noise=0.0)`.
    """
    for environment in ENVIRONMENTS.values():
        for variant in environment.variants():
            gymnasium.register(
                variant.gymnasium_id,
                "pamdp.envs.adapter:RegisteredEnv",
                max_episode_steps=variant.max_episode_steps,
                kwargs=variant.model_dump(),
            )
