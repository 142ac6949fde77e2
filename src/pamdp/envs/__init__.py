"""Environments: one file each, named after its `kind`, and one line in `members`."""

import gymnasium

from pamdp.base.environment import Environment
from pamdp.envs.members import MEMBERS
from pamdp.envs.sparse import Sparse

__all__ = ["ENVIRONMENTS", "LISTS", "register"]

ENVIRONMENTS: dict[str, type[Environment]] = {**MEMBERS, "sparse": Sparse}

LISTS = ("pamdp.envs.members", "pamdp.envs.sparse")  # the modules that name all of them


def register() -> None:
    """Registers every variant of every environment with Gymnasium, as `pamdp/<Name>-<version>`.

    Settings of the environment are keyword arguments of `gymnasium.make`, for example
    `gymnasium.make("pamdp/Platform-v0", noise=0.0)`; so are those of the vector form and
    `gymnasium.make_vec`.
    """
    for environment in ENVIRONMENTS.values():
        for variant in environment.variants():
            gymnasium.register(
                variant.gymnasium_id,
                "pamdp.bridge.adapter:RegisteredEnv",
                vector_entry_point="pamdp.bridge.vector:RegisteredVectorEnv",
                max_episode_steps=variant.time_limit,
                kwargs=variant.model_dump(),
            )
