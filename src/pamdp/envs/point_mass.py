"""A point mass in the plane and its target: what Catch Point and Hard Move share."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pamdp.base import seeding
from pamdp.base.environment import Versioned
from pamdp.base.lazy import tf
from pamdp.envs.canvas import Canvas, Colour

START = 1.0  # body and target start within this of the origin, on each axis
FORCE = 2.0  # the largest
KEPT, GAIN, STEP = 0.75, 0.1, 0.1  # velocity kept, velocity gained per force, distance per velocity
TOP_SPEED = GAIN * FORCE / (1 - KEPT)
NEAR = 0.2  # this close is close enough
NEAR_SQUARED = 0.04  # and not NEAR**2, which comes out larger
BONUS = 20.0

VIEW = 1.6  # half the side of a picture, whose middle is the origin
PAPER: tuple[Colour, Colour] = ((226, 236, 244), (240, 245, 249))
FIELD, GRID = (252, 253, 254), (208, 220, 230)
RING, GOAL, BULLSEYE = (104, 171, 88), (212, 236, 205), (60, 126, 52)
BLUE, WHITE, ARROW, INK = (38, 92, 191), (255, 255, 255), (233, 138, 43), (38, 44, 56)


class Body(NamedTuple):
    """The point mass and its target, each [B, 2]."""

    position: tf.Tensor
    velocity: tf.Tensor
    target: tf.Tensor


class PointMass(Versioned):
    """The start, the observation and the picture; subclasses add actions and reward."""

    @property
    def observation_low(self) -> np.ndarray:
        """[4] lower bounds."""
        return -self.observation_high

    @property
    def observation_high(self) -> np.ndarray:
        """[4] upper bounds: within the time limit nothing is faster or farther away."""
        # Forces are no longer than 2, so |v'| <= 0.75 |v| + 0.2, and from rest the n-th speed is at
        # most 0.8 (1 - 0.75^n). The way gone in n actions is 0.1 times the sum of their speeds, at
        # most 0.08 (n - 3 (1 - 0.75^n)) < 0.08 (n - 2.9) from n = 12 on. It adds to a distance of
        # at most 2 on each axis at the start.
        way = STEP * TOP_SPEED * (self.time_limit - 2.9)
        return np.array([TOP_SPEED] * 2 + [2 * START + way] * 2, np.float32)

    def initial(self, key: tf.Tensor, batch: int) -> Any:
        """Body, at rest, and target anywhere in the square [-1, 1]^2."""
        position, target = tf.unstack(START * (2 * seeding.uniform(key, [2, batch, 2]) - 1))
        return Body(position, tf.zeros([batch, 2]), target)

    def observation(self, state: Any) -> tf.Tensor:
        """[B, 4]: velocity, then the way from the body to the target."""
        return tf.concat([state.velocity, state.target - state.position], axis=-1)

    def picture(self, state: Any, caption: str = "") -> np.ndarray:
        """The body in blue with its velocity, and the target with the circle to be reached.

        A body that has left the picture is drawn at its edge.
        """
        position, velocity, target = (np.asarray(leaf[0], np.float64) for leaf in state)
        canvas = _field().copy()
        centre = np.clip(position, 0.08 - VIEW, VIEW - 0.08)
        for radius, colour in ((NEAR, RING), (NEAR - 0.025, GOAL), (0.03, BULLSEYE)):
            canvas.disc(tuple(target), radius, colour)
        _draw_arrow(canvas, centre, velocity)
        canvas.disc(tuple(centre), 0.08, WHITE)
        canvas.disc(tuple(centre), 0.065, BLUE)
        canvas.text((-VIEW + 0.1, VIEW - 0.2), caption, 0.13, INK)
        return canvas.array()


def moved(body: Body, force: tf.Tensor) -> Body:
    """The body after one action with a force [B, 2]."""
    velocity = KEPT * body.velocity + GAIN * force
    return body._replace(position=body.position + STEP * velocity, velocity=velocity)


def squared_distance(body: Body) -> tf.Tensor:
    """[B] of the body to its target."""
    return tf.reduce_sum(tf.square(body.target - body.position), axis=-1)


@cache
def _field() -> Canvas:
    """What no action changes: the square that episodes start in, and a grid."""
    canvas = Canvas((-VIEW, -VIEW, VIEW, VIEW), width=480, sky=PAPER)
    canvas.box((-START, -START), (2 * START, 2 * START), FIELD, radius=0.06)
    for line in np.arange(-1.5, 1.6, 0.5):
        canvas.box((line - 0.004, -VIEW), (0.008, 2 * VIEW), GRID)
        canvas.box((-VIEW, line - 0.004), (2 * VIEW, 0.008), GRID)
    return canvas


def _draw_arrow(canvas: Canvas, tail: np.ndarray, velocity: np.ndarray) -> None:
    """An arrow that leaves the body by half the velocity's length; none for a body at rest."""
    speed = float(np.hypot(*velocity))
    if speed == 0:
        return
    along = velocity / speed
    across = np.array([-along[1], along[0]])
    neck = 0.08 + 0.5 * speed
    half = [(0.0, 0.018), (neck, 0.018), (neck, 0.055), (neck + 0.11, 0.0)]
    outline = half + [(a, -b) for a, b in reversed(half)]
    canvas.polygon([tuple(tail + a * along + b * across) for a, b in outline], ARROW)
