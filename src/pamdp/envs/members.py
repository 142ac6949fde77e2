"""The environments there are: one file each, named after its `kind`, and one line here."""

from pamdp.base.component import union_of
from pamdp.base.environment import Versioned
from pamdp.envs.catch_point import CatchPoint
from pamdp.envs.goal import Goal
from pamdp.envs.hard_goal import HardGoal
from pamdp.envs.hard_move import HardMove
from pamdp.envs.platform import Platform

MEMBERS: dict[str, type[Versioned]] = {
    "platform": Platform,
    "catch_point": CatchPoint,
    "hard_move": HardMove,
    "goal": Goal,
    "hard_goal": HardGoal,
}

Member = union_of(MEMBERS)
