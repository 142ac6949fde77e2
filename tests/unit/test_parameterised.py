"""Episodes of a user's environment in this package's form, and its errors as its own."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

from pamdp.base.errors import EnvironmentFailure
from pamdp.bridge.gymnasium import Gymnasium
from tests import user_environment

MODULE = "tests.user_environment"


def task(name: str, **settings: Any) -> Gymnasium:
    return Gymnasium(kind="gymnasium", id=f"{MODULE}:{name}-v0", **settings)


# -- Episodes --------------------------------------------------------------------------------------

GO = (0, (np.float32([1.5]),))


def lengths_and_ends(subject: Gymnasium, number: int = 30) -> set[tuple[int, bool, bool]]:
    made, found = subject.make(), set()
    for seed in range(number):
        made.reset(seed=seed)
        for length in range(1, 10):
            observation, reward, terminated, truncated, _ = made.step(GO)
            assert (reward, type(reward), observation[1]) == (1.5, float, length)
            if terminated or truncated:
                found.add((length, terminated, truncated))
                break
    return found


def test_termination_and_truncation_are_kept_apart() -> None:
    own = {(1, True, False), (2, True, False), (3, True, False), (4, True, False)}
    assert lengths_and_ends(task("Dice")) == own | {(5, False, True)}
    limited = lengths_and_ends(task("Dice", max_episode_steps=3))
    assert limited == {
        (1, True, False),
        (2, True, False),
        (3, True, True),  # the end of the task at the limit is one
        (3, False, True),
    }


def test_success_is_told_under_either_name() -> None:
    made = task("Dice").make()
    made.reset(seed=next(s for s in range(99) if made.reset(seed=s)[0][0] == 4))
    told = [made.step(GO)[4]["success"] for _ in range(4)]
    assert told == [False, True, True, False]
    assert all(type(value) is bool for value in told)
    made = task("Reach").make()
    made.reset(seed=1)
    stop = (1, (np.zeros(1, np.float32), np.zeros(0, np.float32)))
    _, reward, terminated, _, info = made.step(stop)
    assert (info["success"], terminated) == (reward == 1.0, True)


def test_an_environment_without_a_criterion_tells_no_success() -> None:
    made = task("Spaces").make()
    _, info = made.reset(seed=1)
    assert info == {}
    assert made.step(made.action_space.sample())[4] == {}


def test_only_the_chosen_parameters_are_passed_on() -> None:
    made = task("Spaces", arguments={"actions": "each in a tuple"}).make()
    made.reset(seed=1)
    made.step((2, (np.float32([0.5, 0.5]), np.zeros(0, np.float32), np.float32([9.0]))))
    index, blocks = made.unwrapped.received
    assert (index, [block.tolist() for block in blocks]) == (2, [[-1, -1], [], [8]])


def test_pictures() -> None:
    made = task("Reach").make("rgb_array")
    made.reset(seed=1)
    before = made.render()
    made.step((0, (np.float32([0.7]), np.zeros(0, np.float32))))
    assert before.shape == made.render().shape == (48, 48, 3)
    assert (before != made.render()).any()


# -- Failures --------------------------------------------------------------------------------------


def play(where: str) -> None:
    made = task("Broken", arguments={"where": where}).make("rgb_array")
    made.reset(seed=1)
    made.step((0, (np.float32([0.5, 0.25]), np.zeros(4, np.float32))))
    made.render()
    made.close()


def fail(where: str) -> str:
    """What is told of an environment that fails there."""
    with pytest.raises(EnvironmentFailure) as failure:
        play(where)
    assert failure.value.__cause__ is not None
    return str(failure.value)


@pytest.mark.parametrize("where", ["make", "reset", "step", "render", "close"])
def test_errors_are_reported_as_theirs(where) -> None:
    first, *trace = fail(where).splitlines()
    assert first.startswith(f"environment '{MODULE}:Broken-v0' failed in {where}")
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == f"LookupError: no luck in {where}"
    # Their frames and no other ones.
    frames = [line for line in trace if line.startswith('  File "')]
    assert len(frames) == 2
    assert all(f'"{user_environment.__file__}"' in line for line in frames)
    assert frames[1].endswith("in _fail")


def test_the_failing_action_is_told() -> None:
    assert " failed in step with action 0 (action_0), parameters [0.5  0.25]:\n" in fail("step")


def test_an_error_that_gymnasium_raises_anew_is_theirs_too() -> None:
    message = fail("argument")
    assert message.endswith("TypeError: no luck with an argument")
    assert f'"{user_environment.__file__}"' in message


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("spaces", "make:\nAttributeError: 'Broken' object has no attribute 'action_space'"),
        ("reward", "expected a finite number as the reward, received nan"),
        ("large", "expected a finite number as the reward, received -1e+39"),
        ("list", "expected a finite number as the reward, received [1.0]"),
        ("none", "expected a finite number as the reward, received None"),
        ("nan", "ValueError: expected an observation of finite numbers, received {'a': array(["),
        ("huge", "ValueError: expected an observation of finite numbers"),
        ("key", "received no array as observation['a']: {'b': array([0., 0.])}"),
        (
            "shape",
            "expected an observation of Dict('a': Box(0.0, 1.0, (2,), float32)), received (3,)",
        ),
        ("ragged", "received no array as observation['a']: {'a': [[1], 2]}"),
    ],
)
def test_what_no_environment_may_give(where, expected) -> None:
    assert expected in fail(where)


def test_an_interruption_is_no_failure() -> None:
    # Python's own handler is not there if tests run in the background of a shell.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            play("interrupt")
    finally:
        signal.signal(signal.SIGINT, before)
