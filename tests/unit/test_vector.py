"""What the vector form refuses, and that one trace serves any number of copies."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from pamdp.bridge.vector import FunctionalVectorEnv
from tests.unit.test_adapter import Probe, draw


def made(number: int = 3, **settings: Any) -> FunctionalVectorEnv:
    return FunctionalVectorEnv(Probe(), number, **settings)


STAY = (np.array([1, 1, 1]), (np.zeros([3, 2]), np.zeros([3, 0]), np.zeros([3, 1])))


def test_seeds_are_counted_up_and_streams_are_those_of_the_compiled_loop() -> None:
    env = made()
    given = env.reset(seed=np.int64(4))[0], env.reset(seed=[4, 5, 6])[0]
    observations, info = env.reset(seed=4)
    np.testing.assert_array_equal(given, [observations] * 2)
    assert info == {}
    starts = [draw(seed, "reset", 0) for seed in (4, 5, 6)]
    np.testing.assert_array_equal(observations, [[start, 0] for start in starts])
    observations, *_ = env.step(STAY)
    draws = [draw(seed, "environment", 0) for seed in (4, 5, 6)]
    np.testing.assert_array_equal(observations, np.stack([starts, draws], axis=1))


def test_each_copy_takes_its_own_action() -> None:
    env = made()
    env.reset(seed=1)
    blocks = (np.float32([[0.25, 0.5], [9, 9], [9, 9]]), np.zeros([3, 0]), np.full([3, 1], 0.5))
    _, rewards, terminated, truncated, info = env.step((np.array([0, 1, 2]), blocks))
    assert rewards.tolist() == [5.25, 0, 0.5]
    assert terminated.tolist() == info["success"].tolist() == [False, False, True]
    assert truncated.tolist() == [False] * 3
    # The copy that has ended begins anew and takes no action; nothing is told of it.
    _, rewards, terminated, _, info = env.step((np.array([2, 1, 2]), blocks))
    assert rewards.tolist() == [0.5, 0, 0]
    assert terminated.tolist() == [True, False, False]
    assert info["success"].tolist() == [True, False, False]
    assert info["_success"].tolist() == [True, True, False]


def test_without_a_time_limit_nothing_is_cut_off() -> None:
    for limit, expected in ((None, 0), (-1, 0), (2, 3)):
        env = made(max_episode_steps=limit)
        env.reset(seed=1)
        env.step(STAY)
        assert env.step(STAY)[3].sum() == expected


def test_without_seeds_they_are_drawn() -> None:
    assert len({*made(8).reset()[0][:, 0].tolist(), *made(8).reset()[0][:, 0].tolist()}) == 16


def test_any_number_of_copies_and_any_floats_share_their_programs() -> None:
    one, many = made(2), FunctionalVectorEnv(Probe(bonus=0.5), 7)
    assert one._programs is many._programs
    for env in (one, many):
        env.reset(seed=1)
    actions = many.action_space.sample()
    few = actions[0][:2], tuple(block[:2] for block in actions[1])
    plain = one.step(few)[1].astype(np.float32)
    np.testing.assert_array_equal(many.step(actions)[1][:2], plain + np.float32(0.5))


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (0, r"actions: expected a pair \(indices, \(parameters of go, stay, stop\)\), received 0"),
        ((np.array([0, 1, 3]), STAY[1]), r"actions\[0\]: expected 3 indices from 0 to 2"),
        ((np.array([0, 1]), STAY[1]), r"actions\[0\]: expected 3 indices"),
        ((np.zeros(3), STAY[1]), r"actions\[0\]: expected 3 indices"),
        ((STAY[0], STAY[1][:2]), r"actions\[1\]: expected a tuple of 3 arrays"),
        (
            (np.zeros(3, int), (np.zeros(2), *STAY[1][1:])),
            r"actions\[1\]\[0\]: expected finite numbers \[3, 2\], the parameters of go",
        ),
        ((np.zeros(3, int), (np.full([3, 2], np.nan), *STAY[1][1:])), "finite numbers"),
        ((np.zeros(3, int), ([[1, 2], [3], [4]], *STAY[1][1:])), "finite numbers"),
    ],
)
def test_malformed_actions(actions: Any, expected: str) -> None:
    env = made()
    env.reset(seed=1)
    with pytest.raises(ValueError, match=expected):
        env.step(actions)
    env.step(STAY)  # none has done any harm


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="num_envs: expected at least 1, received 0"):
        made(0)
    with pytest.raises(ValueError, match="render_mode: expected None or one of"):
        made(render_mode="ansi")
    env = made()
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        env.step(STAY)
    with pytest.raises(ValueError, match=r"seed: expected one number or 3, .* received 2"):
        env.reset(seed=[1, 2])
    for seed, bad in ((-1, "-1"), (1.5, "1.5"), ("x", "'x'"), ([1.5, 2, 3], "1.5")):
        words = f"expected whole numbers from 0 on, received {bad}$"
        with pytest.raises(gymnasium.error.Error, match=words):
            env.reset(seed=seed)
    for limit in (0, -5, 2.5, "x"):
        with pytest.raises(ValueError, match="max_episode_steps: expected a whole number from 1"):
            made(max_episode_steps=limit)
    for mask in ([True] * 3, np.ones(2, bool), np.ones(3)):
        with pytest.raises(ValueError, match=r"expected an array \(3,\) of bool"):
            env.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="expected a copy to reset, received none"):
        env.reset(options={"reset_mask": np.zeros(3, bool)})
    # Some that have never begun are none to step.
    env.reset(seed=1, options={"reset_mask": np.array([True, False, False])})
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        env.step(STAY)
