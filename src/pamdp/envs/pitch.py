"""Pictures of Robot Soccer Goal: the half field seen from above, the goal on top.

The simulator's x points upwards and its y to the left.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from pamdp.envs.canvas import Canvas, Colour
from pamdp.envs.soccer import (
    AREA,
    BALL,
    CATCHABLE,
    GOAL_DEPTH,
    HALF_GOAL,
    HALF_WIDTH,
    KEEPER,
    KICKABLE,
    LENGTH,
    PLAYER,
    SIZES,
    State,
)

VIEW = (-16.5, -2.1, 16.5, 23.3)  # left, bottom, right, top
STRIPES = 8
GRASS: tuple[Colour, Colour] = ((92, 158, 84), (102, 168, 92))
VERGE: tuple[Colour, Colour] = ((78, 140, 72), (78, 140, 72))
CHALK, NET, BAR, SHADE = (236, 244, 232), (150, 192, 146), (250, 250, 250), (66, 120, 62)
BLUE, RED, WHITE, INK = (38, 92, 191), (205, 61, 53), (255, 255, 255), (38, 44, 56)
LINE, THIN = 0.14, 0.06  # widths of lines

Point = tuple[float, float]


def draw(state: State, caption: str) -> np.ndarray:
    """The player in blue, the keeper in red and the ball of a state of batch size 1.

    Arrows show where they look to, circles how near the ball must be to be kicked or caught.
    """
    canvas = _field().copy()
    positions, angles = np.asarray(state.position)[0], np.asarray(state.orientation)[0]
    player, keeper, ball = (_point(*map(float, position)) for position in positions)
    for centre, reach in ((player, KICKABLE), (keeper, CATCHABLE)):
        canvas.line(_arc(centre, reach), THIN, CHALK)
    for centre, size in zip((player, keeper, ball), SIZES, strict=True):
        canvas.disc((centre[0] + 0.14, centre[1] - 0.14), size, SHADE)
    for body, centre, colour in ((PLAYER, player, BLUE), (KEEPER, keeper, RED)):
        _draw_figure(canvas, centre, float(angles[body]), colour)
    for size, colour in ((SIZES[BALL], INK), (SIZES[BALL] - 0.07, WHITE)):
        canvas.disc(ball, size, colour)
    canvas.text((VIEW[0] + 0.6, VIEW[1] + 0.6), caption, 1.1, WHITE)
    return canvas.array()


@cache
def _field() -> Canvas:
    """What no action changes."""
    canvas = Canvas(VIEW, width=660, sky=VERGE)
    stripe = LENGTH / STRIPES
    for number in range(STRIPES):
        canvas.box((-HALF_WIDTH, number * stripe), (2 * HALF_WIDTH, stripe), GRASS[number % 2])
    for x in np.arange(LENGTH, LENGTH + GOAL_DEPTH, 0.5):
        canvas.line([_point(x, HALF_GOAL), _point(x, -HALF_GOAL)], THIN, NET)
    for y in np.arange(-HALF_GOAL, HALF_GOAL, 0.5):
        canvas.line([_point(LENGTH, y), _point(LENGTH + GOAL_DEPTH, y)], THIN, NET)
    area = LENGTH - AREA[0]
    for depth, width in ((0.0, HALF_WIDTH), (area, AREA[1])):
        corners = [(depth, width), (depth, -width), (LENGTH, -width), (LENGTH, width)]
        canvas.line([_point(*corner) for corner in (*corners, corners[0])], LINE, CHALK)
    canvas.line(_arc((0.0, 0.0), 4.0, math.pi), LINE, CHALK)
    back = LENGTH + GOAL_DEPTH
    frame = [(LENGTH, HALF_GOAL), (back, HALF_GOAL), (back, -HALF_GOAL), (LENGTH, -HALF_GOAL)]
    canvas.line([_point(*corner) for corner in frame], 2 * LINE, BAR)
    return canvas


def _draw_figure(canvas: Canvas, centre: Point, angle: float, colour: Colour) -> None:
    """A body from above, with an arrow to where it looks."""
    size = SIZES[PLAYER]
    canvas.disc(centre, size, WHITE)
    canvas.disc(centre, size - 0.08, colour)
    arrow = ((0.72, 0.0), (-0.42, 0.5), (-0.15, 0.0), (-0.42, -0.5))
    cos, sin = math.cos(angle), math.sin(angle)
    turned = [_point(x * cos - y * sin, x * sin + y * cos) for x, y in arrow]
    canvas.polygon([(centre[0] + x, centre[1] + y) for x, y in turned], WHITE)


def _arc(centre: Point, radius: float, angle: float = 2 * math.pi) -> list[Point]:
    """Points of a circle, anticlockwise from its right."""
    steps = np.linspace(0, angle, 73)
    return [(centre[0] + radius * math.cos(s), centre[1] + radius * math.sin(s)) for s in steps]


def _point(x: float, y: float) -> Point:
    """Of the simulator, in the picture."""
    return -y, x
