"""Platform: run, hop and leap across three platforms, past two enemies (Masson et al. 2016).

A whole run is worth a return of 1. Lengths and speeds are in the simulator's own units.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from pamdp.base import seeding
from pamdp.base.component import NonNegative
from pamdp.base.environment import Outcome, Path, Versioned, where
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.envs.canvas import Canvas, Colour

DT = 0.05
GRAVITY = 9.8
PLATFORMS = ((0.0, 250.0), (475.0, 275.0), (985.0, 50.0))  # left edge, width
TOP = 40.0
WIDTH, HEIGHT = 20.0, 30.0  # of player and enemies
FINISH = 1035.0
RUN_TICKS = 20
MAX_TICKS = 160  # a hop, the longest action, flies for 2 * 35 / 9.8 / DT = 143
MAX_RUN, MAX_ENEMY = 70.0, 30.0
MAX_DX, MAX_DY = 100.0, 200.0
MAX_DDX, MAX_DDY = 30.0 / DT, 200.0 / DT
JUMP = (0.0, 35.0, 25.0)  # vertical take-off speed of run, hop, leap
RUN = 0

VIEW = (-20.0, -10.0, 1070.0, 160.0)  # left, bottom, right, top of a picture
SKY: tuple[Colour, Colour] = ((186, 220, 245), (244, 250, 253))
EARTH, GRASS, WATER = (92, 74, 66), (104, 171, 88), (74, 134, 191)
BLUE, RED, WHITE, INK = (38, 92, 191), (205, 61, 53), (255, 255, 255), (38, 44, 56)


class State(NamedTuple):
    """Positions are lower-left corners. All but `enemy*` are [B]; those are [B, 2]."""

    x: tf.Tensor
    y: tf.Tensor
    vx: tf.Tensor
    vy: tf.Tensor
    enemy: tf.Tensor
    enemy_speed: tf.Tensor
    ticks: tf.Tensor  # [B] int32, inner ticks of the last action


class Progress(NamedTuple):
    """An action under way in each copy."""

    state: State
    running: tf.Tensor  # [B] bool
    terminated: tf.Tensor  # [B] bool


class Drive(NamedTuple):
    """What the player does throughout an action."""

    action: tf.Tensor  # [B] int32
    power: tf.Tensor  # [B] the parameter, clipped
    take_off: tf.Tensor  # [2, B] noise of the take-off
    noise: tf.Tensor  # [1 + MAX_TICKS, 2, B] noise of ticks from 1 on: player's, enemy's


class Platform(Versioned):
    """Platform v0, exactly as published.

    Attributes:
      noise: factor on every noise draw; 1 is the published environment, 0 is deterministic.
    """

    kind: Literal["platform"]
    version: Literal["v0"] = "v0"
    noise: NonNegative = 1.0

    actions: ClassVar[ActionSpec] = ActionSpec(
        (
            Action("run", (0.0,), (30.0,)),
            Action("hop", (0.0,), (720.0,)),
            Action("leap", (0.0,), (430.0,)),
        )
    )
    observation_low: ClassVar[np.ndarray] = np.zeros(9, np.float32)
    observation_high: ClassVar[np.ndarray] = np.ones(9, np.float32)
    time_limit: ClassVar[int] = 200

    def initial(self, key: tf.Tensor, batch: int) -> State:
        """The player stands at the left end, each enemy at the right end of its platform."""
        del key  # the start is always the same
        enemies = [left + width - WIDTH for left, width in PLATFORMS[:2]]
        return State(
            x=tf.zeros([batch]),
            y=tf.fill([batch], TOP),
            vx=tf.zeros([batch]),
            vy=tf.zeros([batch]),
            enemy=tf.tile([enemies], [batch, 1]),
            enemy_speed=tf.fill([batch, 2], -MAX_ENEMY),
            ticks=tf.zeros([batch], tf.int32),
        )

    def observation(self, state: State) -> tf.Tensor:
        """[B, 9] in [0, 1]: player, active enemy, and the platforms ahead."""
        second, third = state.x >= PLATFORMS[1][0], state.x >= PLATFORMS[2][0]

        def ahead(*values: float) -> tf.Tensor:
            first, middle, last = (tf.constant(value, state.x.dtype) for value in values)
            return tf.where(third, last, tf.where(second, middle, first))

        lefts, widths = zip(*PLATFORMS, strict=True)
        gaps = [PLATFORMS[i + 1][0] - lefts[i] - widths[i] for i in range(2)]
        # Products and no quotients: compilers divide variables by a constant in one way and
        # constants in another, and the first observation would depend on where it is taken.
        features = [
            (state.x + WIDTH) * (1 / (FINISH + WIDTH)),
            state.vx * (1 / MAX_DX),
            self._active(state, state.enemy) * (1 / FINISH),
            (self._active(state, state.enemy_speed) + MAX_ENEMY) * (1 / (2 * MAX_ENEMY)),
            ahead(*(width / max(widths) for width in widths)),
            ahead(*(width / max(widths) for width in widths[1:]), 0.0),
            ahead(*(gap / max(gaps) for gap in gaps), 0.0),
            ahead(*(left / FINISH for left in lefts)),
            tf.zeros_like(state.x),
        ]
        return tf.stack(features, axis=-1)

    def transition(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        """Ticks until the action is over: 20 for run, until the landing for hop and leap."""
        tick, begin = self._begin(state, action, parameters, key)
        end = Progress(*tf.while_loop(lambda *now: tf.reduce_any(now[1]), tick, begin))
        finished = end.state.x >= FINISH
        goal = tf.cast(FINISH, state.x.dtype)
        reward = (tf.where(finished, goal, end.state.x) - state.x) / FINISH
        return Outcome(end.state, reward, end.terminated, finished)

    def path(self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor) -> Path:
        """The state after each tick."""
        tick, begin = self._begin(state, action, parameters, key)
        states = tf.scan(lambda now, _: tick(*now), tf.range(MAX_TICKS), begin).state
        return Path(states, tf.reduce_max(states.ticks))

    def _begin(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> tuple[Callable[..., Progress], Progress]:
        """One tick as a function of progress, and the progress before the first."""
        dtype, batch = state.x.dtype, state.x.shape[0]
        upper = tf.gather(tf.constant(self.actions.high, dtype), action)
        power = tf.clip_by_value(tf.cast(parameters[:, 0], dtype), 0, upper)
        # One draw for the whole action: a generator call in every tick would cost five times all
        # the rest. Row 0 is the take-off's. Where all run, the first rows are enough.
        draw = partial(self._noise, key, power)
        running = tf.reduce_all(action == RUN)
        noise = tf.cond(running, partial(draw, RUN_TICKS), partial(draw, MAX_TICKS))
        drive = Drive(action, power, noise[0], noise)
        begin = Progress(
            state._replace(ticks=tf.zeros_like(state.ticks)),
            running=tf.ones([batch], tf.bool),
            terminated=tf.zeros([batch], tf.bool),
        )
        return lambda *now: self._tick(Progress(*now), drive), begin

    def _noise(self, key: tf.Tensor, power: tf.Tensor, ticks: int) -> tf.Tensor:
        """[1 + MAX_TICKS, 2, B] draws, zeros after so many ticks; the same for any number."""
        draws = self.noise * seeding.normal(key, [1 + ticks, 2, power.shape[0]])
        return tf.cast(tf.pad(draws, [[0, MAX_TICKS - ticks], [0, 0], [0, 0]]), power.dtype)

    def _tick(self, now: Progress, drive: Drive) -> Progress:
        number = tf.minimum(1 + tf.reduce_max(now.state.ticks), MAX_TICKS)
        moved = self._moved(now.state, drive, drive.noise[number])
        state = where(now.running, moved, now.state)
        ended = (state.y < TOP) | (state.x >= FINISH) | _hit(state)
        landed = tf.where(drive.action == RUN, state.ticks >= RUN_TICKS, _standing(state))
        return Progress(
            state,
            running=now.running & ~ended & ~landed,
            terminated=now.terminated | (now.running & ended),
        )

    def _moved(self, state: State, drive: Drive, noise: tf.Tensor) -> State:
        standing = _standing(state)
        vx, vy = _accelerated(state, standing, drive, noise[0])
        vx = tf.where(standing, tf.clip_by_value(vx, 0, MAX_RUN), vx)
        enemy, enemy_speed = self._enemies(state, noise[1])
        moved = State(
            x=tf.clip_by_value(state.x + vx * DT, 0, FINISH),
            y=state.y + vy * DT,
            vx=vx * 0.99,
            vy=vy,
            enemy=enemy,
            enemy_speed=enemy_speed,
            ticks=state.ticks + 1,
        )
        for left, width in PLATFORMS:
            moved = _pushed_out(moved, left, width)
        return moved

    def picture(self, state: State, caption: str = "") -> np.ndarray:
        """The platforms, the player in blue, the enemies in red and the goal's flag."""
        canvas = _scenery().copy()
        for x in np.asarray(state.enemy)[0]:
            _draw_figure(canvas, (float(x), TOP), RED, brow=6.0)
        _draw_figure(canvas, (float(state.x[0]), float(state.y[0])), BLUE, brow=0.0)
        canvas.text((0.0, VIEW[3] - 24.0), caption, 16.0, INK)
        return canvas.array()

    @staticmethod
    def _active(state: State, values: tf.Tensor) -> tf.Tensor:
        return tf.where(state.x > PLATFORMS[1][0], values[:, 1], values[:, 0])

    @staticmethod
    def _enemies(state: State, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves the active enemy; the other one rests."""
        dtype = state.x.dtype
        left = tf.constant([p[0] for p in PLATFORMS[:2]], dtype)
        right = tf.constant([p[0] + p[1] - WIDTH for p in PLATFORMS[:2]], dtype)
        second = state.x > PLATFORMS[1][0]
        active = tf.stack([~second, second], axis=-1)
        inside = (left < state.enemy) & (state.enemy < right)
        speed = tf.where(inside, state.enemy_speed, -state.enemy_speed)
        speed = tf.clip_by_value(speed + noise[:, None] * (0.5 * DT), -MAX_ENEMY, MAX_ENEMY)
        enemy = tf.clip_by_value(state.enemy + speed * DT, left, right)
        return tf.where(active, enemy, state.enemy), tf.where(active, speed, state.enemy_speed)


def _standing(state: State) -> tf.Tensor:
    on = [(state.x - left >= -WIDTH) & (state.x - left <= width) for left, width in PLATFORMS]
    return (on[0] | on[1] | on[2]) & (state.y == TOP)


def _hit(state: State) -> tf.Tensor:
    near = tf.abs(state.enemy - state.x[:, None]) < WIDTH
    return tf.reduce_any(near, axis=-1) & (tf.abs(state.y - TOP) < HEIGHT)


def _accelerated(
    state: State, standing: tf.Tensor, drive: Drive, noise: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Velocity after the acceleration of the action (standing) or of gravity (in the air)."""
    running, zero = drive.action == RUN, tf.zeros_like(drive.power)
    dy0 = tf.gather(tf.constant(JUMP, state.x.dtype), drive.action)
    dx0 = drive.power / (2 * dy0 / GRAVITY + 1) - state.vx
    dx0 = tf.clip_by_value(dx0, -MAX_DDX, MAX_DY - dy0)
    ax = tf.where(running, drive.power, dx0 - tf.abs(drive.take_off[0])) / DT
    ay = tf.where(running, zero, dy0 - tf.abs(drive.take_off[1])) / DT
    ax = tf.clip_by_value(tf.where(standing, ax, zero), -MAX_DDX, MAX_DDX)
    ay = tf.clip_by_value(tf.where(standing, ay, zero - GRAVITY), -MAX_DDY, MAX_DDY)
    vx = state.vx + ax * DT - tf.abs(noise * (0.5 * DT))
    vx = tf.clip_by_value(vx, 0, MAX_DX)
    return vx, tf.clip_by_value(state.vy + ay * DT, -MAX_DY, MAX_DY)


def _pushed_out(state: State, left: float, width: float) -> State:
    """Moves the player out of a platform that it overlaps, along the axis of the smaller move."""
    x, y = state.x, state.y
    zero = tf.zeros_like(x)
    overlap = (x < left + width) & (x + WIDTH > left) & (y < TOP) & (y + HEIGHT > 0)
    to_x = tf.where(
        x < left, zero + (left - WIDTH), tf.where(x > left + width - WIDTH, zero + left + width, x)
    )
    to_y = tf.where(y < 0, zero - HEIGHT, tf.where(y > TOP - HEIGHT, zero + TOP, y))
    along_y = (to_x == x) | ((to_y != y) & (tf.abs(to_y - y) <= tf.abs(to_x - x)))
    return state._replace(
        x=tf.where(overlap & ~along_y, to_x, x),
        y=tf.where(overlap & along_y, to_y, y),
        vx=tf.where(overlap, zero, state.vx),
        vy=tf.where(overlap & along_y, zero, state.vy),
    )


@cache
def _scenery() -> Canvas:
    """What no action changes."""
    left, bottom, right, _ = VIEW
    canvas = Canvas(VIEW, width=960, sky=SKY)
    canvas.box((left, bottom), (right - left, 14.0), WATER)
    for x, width in PLATFORMS:
        canvas.box((x, bottom), (width, TOP - bottom), EARTH)
        canvas.box((x, TOP - 7.0), (width, 7.0), GRASS, radius=2.0)
    mast = FINISH - 6.0
    canvas.box((mast, TOP), (2.5, 75.0), INK)
    canvas.polygon([(mast + 2.5, TOP + n) for n in (75.0, 45.0)] + [(mast + 36.0, TOP + 60.0)], RED)
    return canvas


def _draw_figure(canvas: Canvas, corner: tuple[float, float], colour: Colour, brow: float) -> None:
    """A figure that looks to the right (`brow` 0) or frowns."""
    x, y = corner
    canvas.box(corner, (WIDTH, HEIGHT), colour, radius=5.0)
    for eye in (x + 5.0, x + 12.0):
        canvas.box((eye, y + 15.0), (5.0, 8.0), WHITE, radius=2.5)
        canvas.box((eye + 2.0, y + 16.5), (2.5, 4.0), INK, radius=1.2)
    if brow:
        canvas.polygon([(x + 3.0, y + 26.0), (x + 11.0, y + 21.0), (x + 11.0, y + 24.0)], INK)
        canvas.polygon([(x + 19.0, y + 26.0), (x + 11.0, y + 21.0), (x + 11.0, y + 24.0)], INK)
