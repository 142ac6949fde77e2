"""The vector form of our environments is, bit for bit, single copies side by side."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from pamdp.base.environment import Environment

COPIES = 4
NEXT, SAME, DISABLED = AutoresetMode


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in form, type and bits; nests of tuples, dictionaries and arrays, of objects too."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif theirs is None:
        assert ours is None
    else:
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if theirs.dtype == object:
            assert_same(tuple(ours), tuple(theirs))
        else:
            assert ours.tobytes() == theirs.tobytes()


def both(name: str, mode: AutoresetMode, **settings: Any) -> tuple[Any, Any]:
    ours = gymnasium.make_vec(
        name, COPIES, "vector_entry_point", autoreset_mode=mode, render_mode="rgb_array", **settings
    )
    kwargs = {"autoreset_mode": mode}
    single = {"render_mode": "rgb_array", **settings}
    return ours, gymnasium.make_vec(name, COPIES, "sync", vector_kwargs=kwargs, **single)


def test_the_vector_form_has_batched_spaces(task: Environment) -> None:
    made = gymnasium.make_vec(task.gymnasium_id, COPIES, "vector_entry_point")
    assert made.spec is not None
    assert made.spec.id == task.gymnasium_id
    assert made.metadata["autoreset_mode"] is NEXT
    assert made.single_action_space == task.actions.space()
    assert made.action_space == batch_space(task.actions.space(), COPIES)
    assert made.observation_space == batch_space(made.single_observation_space, COPIES)
    assert made.single_observation_space.shape == task.observation_low.shape


@pytest.mark.parametrize(
    ("name", "mode", "settings"),
    [
        ("pamdp/Platform-v0", NEXT, {"max_episode_steps": 3}),
        ("pamdp/Platform-v0", SAME, {"max_episode_steps": 3}),
        ("pamdp/Platform-v0", DISABLED, {"noise": 0.5}),
        ("pamdp/CatchPoint-v0", NEXT, {}),
        ("pamdp/HardMove4-v0", SAME, {}),
        ("pamdp/SparseGoal-v1", NEXT, {}),
    ],
)
def test_copies_are_those_that_are_made_alone(name: str, mode: AutoresetMode, settings) -> None:
    ours, single = both(name, mode, **settings)
    ours.action_space.seed(3)
    assert_same(ours.reset(seed=7), single.reset(seed=7))
    ends = 0
    for _ in range(40):
        actions = ours.action_space.sample()
        told = ours.step(actions)
        assert_same(told, single.step(actions))
        assert told[0] in ours.observation_space
        over = told[2] | told[3]
        ends += int(over.sum())
        if mode is DISABLED and over.any():
            with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
                ours.step(actions)
            masked = ours.reset(options={"reset_mask": over})
            assert_same(masked, single.reset(options={"reset_mask": over.copy()}))
    assert ends >= COPIES
    assert_same(ours.render(), single.render())
    # Without a seed random numbers go on, in each copy its own; two resets in a row differ.
    assert_same(ours.reset(), single.reset())
    assert_same(ours.reset(), single.reset())
    some = [5, None, 2**40, None]
    assert_same(ours.reset(seed=some), single.reset(seed=some))
    mask = np.array([True, False, False, True])
    for each in (ours, single):
        each.step(actions)
    ours_again = ours.reset(seed=1, options={"reset_mask": mask})
    assert_same(ours_again, single.reset(seed=1, options={"reset_mask": mask.copy()}))
    assert_same(ours.step(actions), single.step(actions))
