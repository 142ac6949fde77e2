"""Spaces of Gymnasium in this package's one form, on elements worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from pamdp.base.errors import SettingsError
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.bridge.translation import Actions, Observations
from tests.user_environment import ACTIONS, OBSERVATIONS, UNIT


def task(**arguments: str) -> Gymnasium:
    name = "tests.user_environment:Spaces-v0"
    return Gymnasium(kind="gymnasium", id=name, arguments=arguments)


# -- Action spaces ---------------------------------------------------------------------------------

# For each space: names, sizes, what action and parameters are sent, and what has to arrive.
SENT = {
    "each in a tuple": (
        ["action_0", "action_1", "action_2"],
        (2, 0, 1),
        (2, [5.5, 9.0]),
        (2, ([-1, -1], [], [5.5])),
    ),
    "each beside": (
        ["action_0", "action_1"],
        (2, 4),
        (1, [0.25, 0.5, 0.75, 1.0]),
        (1, [-1, -1], [[0.25, 0.5], [0.75, 1.0]]),
    ),
    "one for all": (["action_0", "action_1", "action_2"], (1, 1, 1), (1, [2.5]), (6, 2.5)),
    "one action": (["action_0"], (2,), (0, [0.5, -0.5]), (0, [0.5, -0.5])),
    "dict with one for all": (
        ["action_0", "action_1"],
        (2, 2),
        (1, [0.5, -0.5]),
        {"kind": 1, "size": [0.5, -0.5]},
    ),
    "sorted dict": (
        ["jump", "walk"],
        (1, 2),
        (0, [3.0, 0.0]),
        {"jump": [3.0], "kind": 0, "walk": [-1, -1]},
    ),
    "dict of boxes": (
        ["walk", "jump"],
        (2, 1),
        (0, [0.5, -0.5]),
        {"walk": [0.5, -0.5], "kind": -1, "jump": [0]},
    ),
    "dict with a tuple": (
        ["action_0", "action_1"],
        (2, 1),
        (1, [4.0, 0.0]),
        {"kind": 1, "size": ([-1, -1], [4.0])},
    ),
    "dict with a dict": (
        ["up", "down"],
        (1, 2),
        (1, [0.5, -0.5]),
        {"kind": 1, "size": {"up": [0], "down": [0.5, -0.5]}},
    ),
}


def plain(element: Any) -> Any:
    """An element of a space as nested lists and numbers."""
    if isinstance(element, tuple):
        return tuple(plain(member) for member in element)
    if isinstance(element, dict):
        return {key: plain(member) for key, member in element.items()}
    return np.asarray(element).tolist()


def test_all_spaces_are_tried() -> None:
    assert set(SENT) == set(ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_are_translated(name) -> None:
    names, sizes, sent, expected = SENT[name]
    actions = Actions.of(ACTIONS[name])
    assert [action.name for action in actions.spec.actions] == names
    assert actions.spec.sizes == sizes
    element = actions.own(sent[0], np.float32(sent[1]))
    assert plain(element) == expected
    assert element in ACTIONS[name]


@pytest.mark.parametrize("name", ACTIONS)
def test_an_environment_receives_elements_of_its_own_space(name) -> None:
    subject = task(actions=name)
    subject.check()
    made, (index, parameters) = subject.make(), SENT[name][2]
    spec = subject.actions
    assert made.action_space == spec.space()
    made.reset(seed=1)
    made.step(spec.element(index, np.float32(parameters)))
    assert plain(made.unwrapped.received) == SENT[name][3]
    made.action_space.seed(1)
    for _ in range(20):  # it refuses what is not in its space
        made.step(made.action_space.sample())


def test_bounds_are_those_of_the_boxes() -> None:
    spec = Actions.of(ACTIONS["each in a tuple"]).spec
    np.testing.assert_array_equal(spec.low, np.float32([-1, -1, 2]))
    np.testing.assert_array_equal(spec.high, np.float32([1, 1, 8]))
    matrix = Box(np.float32([[0, 1], [2, 3]]), np.float32([[4, 5], [6, 7]]))
    spec = Actions.of(Tuple((Discrete(1), matrix))).spec
    assert (spec.low.tolist(), spec.high.tolist()) == ([0, 1, 2, 3], [4, 5, 6, 7])


def test_the_number_of_an_action_is_of_the_type_of_the_space() -> None:
    index, _ = Actions.of(ACTIONS["one for all"]).own(2, np.float32([1.0]))
    assert (index, type(index)) == (7, np.int64)


def test_parameters_are_of_the_type_of_their_box_and_within() -> None:
    """The float32 next to 0.1 is greater than the float64, and the environment would refuse it."""
    space = Tuple((Discrete(1), Box(-0.1, 0.1, (1,), np.float64)))
    actions = Actions.of(space)
    _, sent = actions.own(0, actions.spec.high)
    assert float(actions.spec.high[0]) > 0.1
    assert (sent.dtype, sent.tolist()) == (np.float64, [0.1])


def test_elements_are_new_every_time() -> None:
    actions = Actions.of(ACTIONS["each in a tuple"])
    first = actions.own(2, np.float32([3.0]))
    for block in first[1]:
        block[...] = 0.5
    assert plain(actions.own(2, np.float32([3.0]))) == (2, ([-1, -1], [], [3.0]))


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Discrete(2), r"expected the action space Tuple\(Discrete\(K\), .*received Discrete\(2\);"),
        (UNIT, "received Box"),
        (Tuple((UNIT, UNIT)), "expected the action space"),
        (Tuple((Discrete(2), Discrete(2), UNIT)), "that holds one Discrete and boxes"),
        (Tuple((Discrete(2), MultiDiscrete([2, 2]))), "that holds one Discrete and boxes"),
        (Tuple((Discrete(2), UNIT, MultiDiscrete([2]))), "that holds one Discrete and boxes"),
        (
            Tuple((Discrete(3), UNIT, UNIT)),
            r"expected 3 boxes in the action space, .* or a single one beside .* received 2 in",
        ),
        (Tuple((Discrete(3), Tuple((UNIT,)))), "expected 3 boxes .* received 1 in"),
        (Dict(kind=Discrete(1), size=Tuple((UNIT, UNIT))), "expected 1 boxes .* received 2 in"),
        (
            Tuple((Discrete(2), Tuple([Box(0, 1, (0,))] * 2))),
            "expected a parameter of at least one action, received none",
        ),
        (
            Tuple((Discrete(2), UNIT, Box(0, 3, (1,), np.int64))),
            r"expected real numbers as the parameters of action_1, received Box\(0, 3, .*int64\)",
        ),
        (
            Dict(kind=Discrete(2), go=UNIT, hop=Box(-np.inf, 1, (1,))),
            "finite bounds .* received low -inf and high 1.0 of parameter 0 of hop; wrap",
        ),
        (
            Tuple((Discrete(2), Box(np.float32([0, 0]), np.float32([1, np.inf])))),
            "finite bounds .* received low 0.0 and high inf of parameter 1 of action_0",
        ),
        (
            Tuple((Discrete(1), Box(np.float32([0, 2]), np.float32([1, 2])))),
            r"low < high .* received low 2.0 and high 2.0 of parameter 1 of action_0",
        ),
        (Tuple((Discrete(1), Box(0, 1e300, (1,), np.float64))), "received low 0.0 and high inf"),
        (Tuple((Discrete(1), Box(-3e38, 3e38, (1,)))), r"low -3\S+e\+38 and high 3\S+e\+38"),
    ],
)
def test_refused_action_spaces(space, expected) -> None:
    with pytest.raises(SettingsError, match=expected):
        Actions.of(space)


# -- Observation spaces ----------------------------------------------------------------------------

FLAT = {
    "box": (np.float32([0.5, -5]), [0.5, -5]),
    "picture": (np.uint8([[1, 2, 3], [4, 5, 255]]), [1, 2, 3, 4, 5, 255]),
    "number": (np.float32(1.5), [1.5]),
    "with steps": ((np.float32([0.25, 0.75]), 17), [0.25, 0.75]),
    "dict": (
        {"near": np.float64([-3]), "sight": np.float32([[0.1, 0.2], [0.3, 0.4]])},
        [0.1, 0.2, 0.3, 0.4, -3],
    ),
    "unbounded": (np.float32([1, -1e6, 7]), [1, -1e6, 7]),
}
ENDS = {
    "box": ([0, -5], [1, 5]),
    "picture": ([0] * 6, [255] * 6),
    "number": ([-2], [2]),
    "with steps": ([0, 0], [1, 1]),
    "dict": ([0, 0, 0, 0, -3], [1, 1, 1, 1, 3]),
    # Half a range is none.
    "unbounded": ([0, -np.inf, -np.inf], [1, np.inf, np.inf]),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observations_are_flat(name) -> None:
    given, expected = FLAT[name]
    observations = Observations.of(OBSERVATIONS[name])
    flat = observations.flat(given)
    assert flat.dtype == np.float32
    np.testing.assert_array_equal(flat, np.float32(expected))
    for ends, bounds in zip((observations.low, observations.high), ENDS[name], strict=True):
        assert ends.dtype == np.float32
        np.testing.assert_array_equal(ends, np.float32(bounds))


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_an_environment_is_observed_flat(name) -> None:
    subject = task(observations=name)
    subject.check()
    made = subject.make()
    low, high = ENDS[name]
    np.testing.assert_array_equal(subject.observation_low, np.float32(low))
    np.testing.assert_array_equal(subject.observation_high, np.float32(high))
    assert made.observation_space.shape == (len(low),)
    observation, _ = made.reset(seed=1)
    following, *_ = made.step(made.action_space.sample())
    assert observation in made.observation_space
    assert following in made.observation_space
    assert (following != observation).any()


def test_a_flat_observation_is_a_copy() -> None:
    buffer = np.float32([0.5, 1])
    flat = Observations.of(OBSERVATIONS["box"]).flat(buffer)
    buffer[0] = 0
    assert flat.tolist() == [0.5, 1]


def test_a_feature_without_a_range_has_no_bounds() -> None:
    """It could not be scaled by them."""
    low, high = np.array([1.0, -2e38, 0, 0]), np.array([1.0, 2e38, 1e300, 1])
    observations = Observations.of(Box(low, high, dtype=np.float64))
    assert observations.low.tolist() == [-np.inf, -np.inf, -np.inf, 0]
    assert observations.high.tolist() == [np.inf, np.inf, np.inf, 1]


@pytest.mark.parametrize(
    "space",
    [
        Discrete(3),
        MultiDiscrete([2, 2]),
        Tuple(()),
        Tuple((Discrete(3),)),
        Tuple((Discrete(3), UNIT)),
        Dict(a=UNIT, b=Discrete(3)),
        Box(0, 1, (0,)),
    ],
    ids=str,
)
def test_refused_observation_spaces(space) -> None:
    with pytest.raises(SettingsError, match=r"expected the observation space Box, .* received "):
        Observations.of(space)
