"""All environments that settings can name, ours and those of Gymnasium."""

from pamdp.base.component import union_of
from pamdp.base.task import Task
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.envs import ENVIRONMENTS

TASKS: dict[str, type[Task]] = {"gymnasium": Gymnasium, **ENVIRONMENTS}

AnyTask = union_of(TASKS)
