"""The environments there are: one file each, named after its `kind`, and one line here."""

from typing import Annotated, Union

from pydantic import Discriminator

from pamdp.envs.base import Environment
from pamdp.envs.catch_point import CatchPoint
from pamdp.envs.goal import Goal
from pamdp.envs.hard_goal import HardGoal
from pamdp.envs.hard_move import HardMove
from pamdp.envs.platform import Platform

MEMBERS: dict[str, type[Environment]] = {
    "platform": Platform,
    "catch_point": CatchPoint,
    "hard_move": HardMove,
    "goal": Goal,
    "hard_goal": HardGoal,
}

Member = Annotated[Union[tuple(MEMBERS.values())], Discriminator("kind")]  # noqa: UP007
