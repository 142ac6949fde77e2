"""What every registered environment does in its Gymnasium form."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from pamdp.base.environment import Environment
from pamdp.bridge.adapter import RegisteredEnv
from tests.conformance.playing import random_action, rollout


def test_check_env(env: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    # Parameters are in the environment's units on purpose: scaling them is the learner's business.
    own = [str(w.message) for w in caught if "symmetric and normalized space" not in str(w.message)]
    assert own == []


def test_picture(env: Any) -> None:
    env.action_space.seed(2)
    env.reset(seed=2)
    before = env.render()
    assert before.dtype == np.uint8
    assert before.shape[2] == 3
    assert before.shape[0] % 2 == before.shape[1] % 2 == 0  # as video encoders want it
    env.step(env.action_space.sample())
    after = env.render()
    assert after.shape == before.shape
    assert (after != before).any()


def test_frames_are_a_film(env: Any) -> None:
    env.action_space.seed(2)
    env.reset(seed=2)
    base = env.unwrapped
    (start,) = base.frames()
    np.testing.assert_array_equal(start, env.render())
    env.step(env.action_space.sample())
    ticks, film, end = (base.frames(every) for every in (1, 4, 10_000))
    assert (len(film), len(end)) == (-(-len(ticks) // 4), 1)
    for frames in (ticks, film, end):
        np.testing.assert_array_equal(frames[-1], env.render())
    for number, frame in enumerate(film[:-1]):
        np.testing.assert_array_equal(frame, ticks[4 * number + 3])


def test_step_after_the_end(env: Any) -> None:
    base = env.unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        base.step(base.action_space.sample())
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        base.render()
    random = np.random.default_rng(1)
    for seed in range(500):  # some first action ends the task
        base.reset(seed=seed)
        if base.step(random_action(env, random))[2]:
            break
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        base.step(base.action_space.sample())
    base.reset()
    base.step(base.action_space.sample())


def test_malformed_actions(env: Any) -> None:
    base, spec = env.unwrapped, env.unwrapped.environment.actions
    blocks = tuple(np.zeros(size, np.float32) for size in spec.sizes)
    number, names = spec.num_actions, ", ".join(action.name for action in spec.actions)
    base.reset(seed=1)
    for action, expected in [
        (0, rf"action: expected a pair .*{names}.*, received 0"),
        ((0, *blocks, 1), r"action: expected a pair"),
        ((number, blocks), rf"from 0 to {number - 1}, one of {names}, received {number}"),
        ((-1, blocks), r"received -1"),
        ((0.5, blocks), r"received 0.5"),
        ((0, blocks[1:]), rf"expected a tuple of {number} arrays, the parameters of {names}"),
        ((0, blocks[0]), rf"expected a tuple of {number} arrays"),
    ]:
        with pytest.raises(ValueError, match=expected):
            base.step(action)
    index = int(np.argmax(spec.sizes))
    for wrong in (np.zeros(spec.max_size + 1), np.full(spec.max_size, np.nan), "x", None):
        given = (*blocks[:index], wrong, *blocks[index + 1 :])
        with pytest.raises(ValueError, match=rf"action\[1\]\[{index}\]: expected .* finite number"):
            base.step((index, given))
    base.step((index, blocks))  # none of them has done any harm


def test_instances_share_their_programs(env: Any, task: Environment) -> None:
    rollout(env, seed=1, steps=3)
    step = env.unwrapped._programs.step
    other = gymnasium.make(task.gymnasium_id)
    rollout(other, seed=2, steps=3)
    assert other.unwrapped._programs.step is step


def test_other_floats_share_their_programs() -> None:
    loud, quiet = gymnasium.make("pamdp/Platform-v0"), gymnasium.make("pamdp/Platform-v0", noise=0)
    action = (1, tuple(np.full(1, 300, np.float32) for _ in range(3)))
    ends = []
    for made in (loud, quiet):
        made.reset(seed=1)
        ends.append(made.step(action)[0])
    assert (ends[0] != ends[1]).any()
    assert loud.unwrapped._programs is quiet.unwrapped._programs


def test_settings_are_checked(task: Environment) -> None:
    with pytest.raises(ValueError, match="no_such_setting"):
        gymnasium.make(task.gymnasium_id, no_such_setting=1.0)


def test_render_mode_is_checked() -> None:
    with pytest.raises(ValueError, match=r"render_mode: expected None or one of .*'ansi'"):
        RegisteredEnv("platform", render_mode="ansi")
