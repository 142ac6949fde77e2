"""The simulator of Robot Soccer Goal, tick by tick: on numbers worked by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pamdp.envs import soccer
from pamdp.envs.soccer import BALL, KEEPER, PLAYER
from tests.unit.matches import GOLDEN, at, ticked


def test_kickoff_as_recorded() -> None:
    episodes = json.loads(GOLDEN.read_text())
    states = np.array([episode["initial_observation"] for episode in episodes])
    ours = soccer.features(soccer.kickoff(tf.constant([1, 2]), 10_000)).numpy()
    for found, tolerance in ((states, 1e-9), (ours, 1e-5)):
        y = found[:, 1]
        zero, distance = 0 * y, np.hypot(20, y)
        unit = np.stack([20 / distance, -y / distance])
        expected = [zero, y, zero, zero, np.arctan2(-y, 20), zero + 14.5, 5.5 / 20 * y, zero, zero]
        expected += [np.arctan2(y, -20), 1.6 * unit[0], y + 1.6 * unit[1], zero, zero]
        np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=0, atol=tolerance)
    np.testing.assert_allclose([ours[:, 1].min(), ours[:, 1].max()], [-15, 15], atol=0.02)
    assert ours[:, 1].mean() == pytest.approx(0, abs=4 * 30 / 12**0.5 / 100)


def test_the_ball_can_be_kicked_at_the_kickoff() -> None:
    # It is 1.6 away, rounded up or down, and 1.6 is the farthest that it can be kicked from.
    state = soccer.kickoff(tf.constant([1, 2]), 100_000)
    assert soccer.kickable(state).numpy().all()
    farther = state.position + np.float32([[0, 0], [0, 0], [1e-3, 0]])
    assert not soccer.kickable(state._replace(position=farther)).numpy().any()


def test_kicking() -> None:
    after = ticked(at(), target=(6.0, 9.0))
    # 0.06 of the way from the player, then 6 % less.
    np.testing.assert_allclose(after.position[0, BALL], [1.5 + 0.36, 0.54], rtol=1e-6)
    np.testing.assert_allclose(after.velocity[0, BALL], [0.94 * 0.36, 0.94 * 0.54], rtol=1e-5)
    np.testing.assert_array_equal(after.position[0, PLAYER], [0, 0])


@pytest.mark.parametrize(
    ("orientation", "quality"),
    [(0.0, 0.75), (np.pi, 0.5), (-np.pi / 2, 0.625), (2 * np.pi, 0.75)],
)
def test_kicks_are_as_strong_as_the_player_stands(orientation: float, quality: float) -> None:
    # The ball at 1.6 comes with a speed of 1; 1 + 0.06 * 20.4 would be needed.
    state = at(ball=(1.6, 0.0), ball_velocity=(-1.0, 0.0), orientation=(orientation, 0.0))
    speed = 0.94 * (-1 + 2.7 * quality)
    np.testing.assert_allclose(ticked(state).velocity[0, BALL], [speed, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("orientation", "ball", "speed", "expected"),
    [
        (np.pi / 2, (5.0, 0.0), 0.0, 0.0),
        (np.pi / 2, (5.0, 0.0), 0.2, np.pi / 4),  # half of the turn, as 1 + 5 * 0.2 = 2
        (3.0, (-5.0, -5.0), 0.0, 5 * np.pi / 4),  # the shorter way: through pi
        (0.4, (5.0, 0.0), 0.0, 0.0),
        (0.39, (5.0, 0.0), 0.0, 0.39),  # less than pi / 8 off: runs
    ],
)
def test_turning(orientation: float, ball: tuple, speed: float, expected: float) -> None:
    state = at(ball=ball, orientation=(orientation, 0.0), player_velocity=(0.0, speed))
    after = ticked(state)
    np.testing.assert_allclose(after.orientation[0, 0], expected, atol=1e-6)
    runs = 0.06 if orientation == 0.39 else 0.0
    np.testing.assert_allclose(after.position[0, PLAYER, 0], runs * np.cos(0.39), atol=1e-7)


def test_running() -> None:
    after = ticked(ticked(at(ball=(5.0, 0.0))))
    # 0.06, then 0.4 * 0.06 + 0.06
    np.testing.assert_allclose(after.position[0, PLAYER], [0.06 + 0.084, 0], atol=1e-7)
    np.testing.assert_allclose(after.velocity[0, PLAYER], [0.4 * 0.084, 0], atol=1e-7)


def test_keeper_runs_to_where_the_ball_stops() -> None:
    # 8 + 0.12 / 0.06 = 10, and no shot: it stops before the goal.
    after = ticked(at(ball=(8.0, 6.0), ball_velocity=(0.12, 0.0), keeper=(13.0, 2.0)))
    np.testing.assert_allclose(after.orientation[0, 1], np.arctan2(4, -3), rtol=1e-6)
    expected = [13 - 0.048 * 0.6, 2 + 0.048 * 0.8]
    np.testing.assert_allclose(after.position[0, KEEPER], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("ball_y", "way", "push"),
    [
        # Passes y = 9 on the goal line, a shot. The foot on the line y = x - 11 is (16, 5).
        (0.0, (2.0, -2.0), 0.12),
        # Passes 9.1: none. It stops 0.8 / 0.06 = 40 / 3 farther on both axes.
        (0.1, (11 + 40 / 3 - 14, 0.1 + 40 / 3 - 7), 0.048),
    ],
)
def test_keeper_saves_shots(ball_y: float, way: tuple[float, float], push: float) -> None:
    after = ticked(at(ball=(11.0, ball_y), ball_velocity=(0.8, 0.8), keeper=(14.0, 7.0)))
    moved = push * np.array(way) / np.hypot(*way)
    np.testing.assert_allclose(after.position[0, KEEPER], np.add((14, 7), moved), rtol=1e-6)
    np.testing.assert_allclose(after.orientation[0, 1], np.arctan2(*way[::-1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("bodies", "size"), [((PLAYER, KEEPER), 1.8), ((PLAYER, BALL), 1.3), ((KEEPER, BALL), 1.3)]
)
def test_collisions(bodies: tuple[int, int], size: float) -> None:
    places, speeds = np.full([3, 2], 50.0), np.full([3, 2], 0.5)
    places[2] = 90
    one, other = bodies
    places[one], places[other] = (5, 5), (5 + 0.6 * (size - 0.2), 5 + 0.8 * (size - 0.2))
    state = at()._replace(position=tf.constant(places[None]), velocity=tf.constant(speeds[None]))
    after = soccer._collided(state, one, other)
    moved, turned = np.zeros([3, 2]), np.ones([3, 1])
    moved[one], moved[other] = (-0.06, -0.08), (0.06, 0.08)
    turned[[one, other]] = -1
    np.testing.assert_allclose(after.position[0], places + moved, atol=1e-12)
    np.testing.assert_array_equal(after.velocity[0], speeds * turned)
    places[other] = np.array([5, 5]) + np.array([0.6, 0.8]) * (size + 0.001)
    apart = state._replace(position=tf.constant(places[None]))
    np.testing.assert_array_equal(soccer._collided(apart, one, other).position, apart.position)


def test_collision_in_a_tick() -> None:
    # The keeper runs 0.048 into the player, who turns on the spot. Each gives way by 0.024, and
    # what is left of the keeper's speed has changed its sign.
    state = at(player=(3.0, 0.0), keeper=(4.8, 0.0), ball=(-1.0, 0.0), orientation=(0.0, 0.0))
    after = ticked(state)
    np.testing.assert_allclose(after.position[0, :2], [[2.976, 0], [4.776, 0]], atol=1e-6)
    np.testing.assert_allclose(after.velocity[0, 1], [0.4 * 0.048, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("noise", "position", "velocity"),
    [
        ((1.0, 0, 0), 0.06 * np.array([np.cos(1.1 * 0.3), np.sin(1.1 * 0.3)]), 0.0),
        ((-1.0, 0, 0), 0.06 * np.array([np.cos(0.9 * 0.3), np.sin(0.9 * 0.3)]), 0.0),
        # At rest nothing is shaken; at a speed of 0.5 it is by a tenth of that.
        ((0, 1.0, -1.0), 0.06 * np.array([np.cos(0.3), np.sin(0.3)]), 0.0),
        ((0, 1.0, -0.5), [0.35 + 0.06 * np.cos(0.3), 0.375 + 0.06 * np.sin(0.3)], 0.5),
    ],
)
def test_noise(noise: tuple, position: list[float], velocity: float) -> None:
    state = at(
        ball=(5.0, 0.5),
        orientation=(0.3, 0.0),
        player_velocity=(0.6 * velocity, 0.8 * velocity),
    )
    after = ticked(state, noise=(*noise, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(after.position[0, PLAYER], position, rtol=1e-5)
    quiet = ticked(state)
    np.testing.assert_array_equal(after.position[0, 1:], quiet.position[0, 1:])


def test_noise_of_the_keeper_and_of_a_kick() -> None:
    state = at(keeper=(10.0, 2.0), ball_velocity=(0.0, 0.1))
    quiet, noisy = ticked(state), ticked(state, noise=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    # Kick: 5 % more of the angle and 5 % of the speed.
    angle = 1.05 * np.arctan2(-0.1, 1.224)
    expected = np.hypot(1.224, 0.1) * np.array([np.cos(angle), np.sin(angle)])
    expected += [0.005, 0.1 + 0.005]
    np.testing.assert_allclose(noisy.velocity[0, BALL], 0.94 * expected, atol=1e-6)
    # Keeper: 10 % more of the angle.
    (x, y), moved = (
        (s.position[0, KEEPER] - state.position[0, KEEPER]).numpy() for s in (quiet, noisy)
    )
    angle = 1.1 * np.arctan2(y, x)
    np.testing.assert_allclose(
        moved, np.hypot(x, y) * np.array([np.cos(angle), np.sin(angle)]), atol=2e-6
    )
