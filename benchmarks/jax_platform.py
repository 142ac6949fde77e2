"""Platform in JAX, one copy, as a user of JAX would write it; `vmap` makes many of it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from pamdp.envs import platform as published
from pamdp.envs.platform import (
    DT,
    FINISH,
    GRAVITY,
    HEIGHT,
    JUMP,
    MAX_DDX,
    MAX_DDY,
    MAX_DX,
    MAX_DY,
    MAX_ENEMY,
    MAX_RUN,
    MAX_TICKS,
    PLATFORMS,
    RUN,
    RUN_TICKS,
    TOP,
    WIDTH,
)

HIGH = jnp.asarray(published.Platform.actions.high)
LEFTS = jnp.array([left for left, _ in PLATFORMS])
WIDTHS = jnp.array([width for _, width in PLATFORMS])
# Of the enemies, one on each platform but the last.
LEFT, RIGHT = LEFTS[:2], (LEFTS + WIDTHS - WIDTH)[:2]


class State(NamedTuple):
    """As `pamdp.envs.platform` has it, without batch axis; `enemy` and its speed are [2]."""

    x: Array
    y: Array
    vx: Array
    vy: Array
    enemy: Array
    enemy_speed: Array
    ticks: Array


def initial() -> State:
    """The player at the left end, each enemy at the right end of its platform."""
    zero = jnp.zeros([])
    return State(zero, zero + TOP, zero, zero, RIGHT, jnp.full(2, -MAX_ENEMY), jnp.int32(0))


def observation(state: State) -> Array:
    """[9] in [0, 1]."""
    where = (state.x >= LEFTS[1]).astype(int) + (state.x >= LEFTS[2])
    enemy = (state.x > LEFTS[1]).astype(int)
    gaps = jnp.append(LEFTS[1:] - LEFTS[:2] - WIDTHS[:2], 0.0)
    following = jnp.append(WIDTHS[1:], 0.0)
    return jnp.stack(
        [
            (state.x + WIDTH) / (FINISH + WIDTH),
            state.vx / MAX_DX,
            state.enemy[enemy] / FINISH,
            (state.enemy_speed[enemy] + MAX_ENEMY) / (2 * MAX_ENEMY),
            (WIDTHS / WIDTHS.max())[where],
            (following / following.max())[where],
            (gaps / gaps.max())[where],
            (LEFTS / FINISH)[where],
            jnp.zeros([]),
        ]
    )


def step(key: Array, state: State, action: Array, parameter: Array) -> tuple[State, Array, Array]:
    """The state after an action, its reward, and whether the episode is over."""
    return moved(state, action, parameter, jax.random.normal(key, [1 + MAX_TICKS, 2]))


def moved(
    state: State, action: Array, parameter: Array, noise: Array
) -> tuple[State, Array, Array]:
    """The same, given the noise [1 + MAX_TICKS, 2] of the take-off and of each tick."""
    power = jnp.clip(parameter, 0, HIGH[action])

    def tick(now: tuple) -> tuple:
        state = _tick(now[0], action, power, noise)
        hit = (jnp.abs(state.enemy - state.x) < WIDTH).any() & (jnp.abs(state.y - TOP) < HEIGHT)
        over = (state.y < TOP) | (state.x >= FINISH) | hit
        landed = jnp.where(action == RUN, state.ticks >= RUN_TICKS, _standing(state))
        return state, ~over & ~landed, over

    begin = state._replace(ticks=jnp.int32(0)), jnp.bool_(True), jnp.bool_(False)
    end, _, over = lax.while_loop(lambda now: now[1], tick, begin)
    return end, (end.x - state.x) / FINISH, over


def _standing(state: State) -> Array:
    on = (state.x - LEFTS >= -WIDTH) & (state.x - LEFTS <= WIDTHS)
    return on.any() & (state.y == TOP)


def _tick(state: State, action: Array, power: Array, noise: Array) -> State:
    first, now = noise[0], noise[jnp.minimum(1 + state.ticks, MAX_TICKS)]
    standing, running = _standing(state), action == RUN
    rise = jnp.array(JUMP)[action]
    forward = jnp.clip(power / (2 * rise / GRAVITY + 1) - state.vx, -MAX_DDX, MAX_DY - rise)
    ax = jnp.where(running, power, forward - jnp.abs(first[0])) / DT
    ay = jnp.where(running, 0.0, rise - jnp.abs(first[1])) / DT
    ax = jnp.clip(jnp.where(standing, ax, 0.0), -MAX_DDX, MAX_DDX)
    ay = jnp.clip(jnp.where(standing, ay, -GRAVITY), -MAX_DDY, MAX_DDY)
    vx = jnp.clip(state.vx + ax * DT - jnp.abs(now[0] * (0.5 * DT)), 0, MAX_DX)
    vx = jnp.where(standing, jnp.clip(vx, 0, MAX_RUN), vx)
    vy = jnp.clip(state.vy + ay * DT, -MAX_DY, MAX_DY)
    active = jnp.arange(2) == (state.x > LEFTS[1])
    inside = (state.enemy > LEFT) & (state.enemy < RIGHT)
    speed = jnp.where(inside, state.enemy_speed, -state.enemy_speed)
    speed = jnp.clip(speed + now[1] * (0.5 * DT), -MAX_ENEMY, MAX_ENEMY)
    enemy = jnp.clip(state.enemy + speed * DT, LEFT, RIGHT)
    after = State(
        x=jnp.clip(state.x + vx * DT, 0, FINISH),
        y=state.y + vy * DT,
        vx=vx * 0.99,
        vy=vy,
        enemy=jnp.where(active, enemy, state.enemy),
        enemy_speed=jnp.where(active, speed, state.enemy_speed),
        ticks=state.ticks + 1,
    )
    for left, width in PLATFORMS:
        after = _pushed_out(after, left, width)
    return after


def _pushed_out(state: State, left: float, width: float) -> State:
    x, y, right = state.x, state.y, left + width
    overlap = (x < right) & (x + WIDTH > left) & (y < TOP) & (y + HEIGHT > 0)
    to_x = jnp.where(x < left, left - WIDTH, jnp.where(x > right - WIDTH, right, x))
    to_y = jnp.where(y < 0, -HEIGHT, jnp.where(y > TOP - HEIGHT, TOP, y))
    along_y = (to_x == x) | ((to_y != y) & (jnp.abs(to_y - y) <= jnp.abs(to_x - x)))
    return state._replace(
        x=jnp.where(overlap & ~along_y, to_x, x),
        y=jnp.where(overlap & along_y, to_y, y),
        vx=jnp.where(overlap, 0.0, state.vx),
        vy=jnp.where(overlap & along_y, 0.0, state.vy),
    )
