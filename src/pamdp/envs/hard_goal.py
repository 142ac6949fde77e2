"""Hard Goal: Robot Soccer Goal with each of its shots split into five bands.

From the paper of HyAR (Li et al. 2022, arXiv 2109.05490).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.envs.goal import Goal
from pamdp.envs.soccer import HALF_GOAL

BANDS = ((-1.0, -0.6), (-0.6, -0.2), (-0.2, 0.2), (0.2, 0.6), (0.6, 1.0))  # shares of half a goal
POINT = (0.2, 0.2)  # the third one as published
SIDES = ("left", "right")


class HardGoal(Goal):
    """Goal with 11 actions: `kick_to`, and each of its two shots in five bands of the goal.

    The parameter of a shot is in [-1, 1] and runs through its band from the upper end to the lower.
    Both sides do the same. v0 is as published, on Goal v0: the third band is the single point 0.2,
    so that shots at the middle of the goal are missing. v1 is on Goal v1 and has [-0.2, 0.2] there.
    """

    kind: Literal["hard_goal"]  # pyright: ignore[reportIncompatibleVariableOverride]

    actions: ClassVar[ActionSpec] = ActionSpec(
        (
            Goal.actions.actions[0],
            *(
                Action(f"shoot_{side}_{band}", (-1.0,), (1.0,))
                for side in SIDES
                for band in range(1, len(BANDS) + 1)
            ),
        )
    )

    def _shot(self, action: tf.Tensor, parameter: tf.Tensor) -> tf.Tensor:
        """[B] the y that a shot aims at."""
        third = BANDS[2] if self.version == "v1" else POINT
        ends = tf.constant((*BANDS[:2], third, *BANDS[3:]), parameter.dtype)
        # Kick-to has no band; what it gets here is not used.
        low, high = tf.unstack(tf.gather(ends, (action - 1) % len(BANDS)), axis=-1)
        share = tf.clip_by_value(parameter, -1, 1) * (low - high) / 2 + (low + high) / 2
        return HALF_GOAL * share
