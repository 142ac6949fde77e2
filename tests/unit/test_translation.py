"""Spaces of Gymnasium in this package's one form, on elements worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    Sequence,
    Text,
    Tuple,
)
from ruamel.yaml import YAML

from pamdp.base.errors import SettingsError
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.bridge.translation import Actions, Observations, Seen
from tests.user_environment import ACTIONS, OBSERVATIONS, UNIT


def task(parameters: Any = None, omit: Any = (), **arguments: str) -> Gymnasium:
    return Gymnasium(
        kind="gymnasium",
        id="tests.user_environment:Spaces-v0",
        arguments=arguments,
        parameters=parameters,
        omit=omit,
    )


# -- Action spaces ---------------------------------------------------------------------------------

# What the actions of a space drive, where it does not tell that.
DRIVES: dict[str, Any] = {
    "sorted dict": {0: ["walk"], 1: ["jump"]},
    "dict of boxes": {-1: ["walk"], 0: ["jump"]},
    "dict with a dict": {0: ["size.down", "size.up"], 1: ["size.up"]},
}
# For each space: names, sizes, what action and parameters are sent, and what has to arrive.
SENT = {
    "each in a tuple": (
        ["action_0", "action_1", "action_2"],
        (2, 0, 1),
        (2, [5.5, 9.0]),
        (2, ([-1, -1], [], [5.5])),
    ),
    "each its own": (
        ["action_0", "action_1"],
        (2, 4),
        (1, [0.25, 0.5, 0.75, 1.0]),
        (1, ([-1, -1], [[0.25, 0.5], [0.75, 1.0]])),
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
        ["walk", "jump"],
        (2, 1),
        (1, [3.0, 0.0]),
        {"jump": [3.0], "kind": 1, "walk": [-1, -1]},
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
        ["action_0", "action_1"],
        (3, 1),
        (0, [0.5, -0.5, 4.0]),
        {"kind": 0, "size": {"up": [4], "down": [0.5, -0.5]}},
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
    actions = Actions.of(ACTIONS[name], DRIVES.get(name))
    assert [action.name for action in actions.spec.actions] == names
    assert actions.spec.sizes == sizes
    element = actions.own(sent[0], np.float32(sent[1]))
    assert plain(element) == expected
    assert element in ACTIONS[name]


@pytest.mark.parametrize("name", ACTIONS)
def test_an_environment_receives_elements_of_its_own_space(name) -> None:
    subject = task(DRIVES.get(name), actions=name)
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


def test_bounds_are_rounded_inwards() -> None:
    """The float32 next to 0.1 is greater than the float64, and the environment would refuse it."""
    space = Tuple((Discrete(1), Box(-0.1, 0.1, (1,), np.float64)))
    actions = Actions.of(space)
    below = np.nextafter(np.float32(0.1), np.float32(0))
    assert float(np.float32(0.1)) > 0.1 > float(below)
    assert (actions.spec.low.tolist(), actions.spec.high.tolist()) == ([-below], [below])
    index, sent = actions.own(0, actions.spec.high)
    assert (sent.dtype, sent.tolist()) == (np.float64, [float(below)])
    assert (index, sent) in space
    # What float32 holds stays, on both sides, and the nearest one is taken where that is inside.
    nearest = np.float32(0.3)
    assert float(nearest) > 0.3
    spec = Actions.of(Tuple((Discrete(1), Box(0.3, 0.5, (1,), np.float64)))).spec
    assert (spec.low.tolist(), spec.high.tolist()) == ([nearest], [0.5])


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
            Tuple((Discrete(2), Tuple([Box(0, 1, (0,))] * 2))),
            "expected a parameter of at least one action, received none",
        ),
        (
            Tuple((Discrete(2), Tuple((UNIT, Box(0, 3, (1,), np.int64))))),
            r"expected real numbers as the parameters of action_1, received Box\(0, 3, .*int64\)",
        ),
        (
            Tuple((Discrete(2), Tuple((UNIT, Box(-np.inf, 1, (1,)))))),
            "finite bounds .* received low -inf and high 1.0 of parameter 0 of action_1; wrap",
        ),
        (
            Tuple((Discrete(2), Box(np.float32([0, 0]), np.float32([1, np.inf])))),
            "finite bounds .* received low 0.0 and high inf of parameter 1 of action_0",
        ),
        (
            Tuple((Discrete(1), Box(np.float32([0, 2]), np.float32([1, 2])))),
            r"low < high .* received low 2.0 and high 2.0 of parameter 1 of action_0",
        ),
        (
            Tuple((Discrete(1), Box(0, 1e300, (1,), np.float64))),
            r"received low 0.0 and high 1e\+300, beyond float32, of parameter 0",
        ),
        (
            Tuple((Discrete(1), Box(-3e38, 3e38, (1,)))),
            r"low -3e\+38 and high 3e\+38, beyond float32,",
        ),
    ],
)
def test_refused_action_spaces(space, expected) -> None:
    with pytest.raises(SettingsError, match=expected):
        Actions.of(space)


# -- What is known of the actions ------------------------------------------------------------------


def test_features_of_actions_are_part_of_the_specification() -> None:
    space = Tuple((Discrete(2), UNIT))
    spec = Actions.of(space, features=[[0, 1.5], [2, 3]]).spec
    np.testing.assert_array_equal(spec.features, [[0.0, 1.5], [2.0, 3.0]])
    assert Actions.of(space).spec.features.shape == (2, 0)


@pytest.mark.parametrize("given", [[1, 2], [[1], [2], [3]], [[1], [np.nan]], [[1], ["a"]], 1, {}])
def test_features_that_are_no_table_are_refused(given) -> None:
    message = "action_features: expected a row of finite numbers for each of the 2 actions"
    with pytest.raises(SettingsError, match=message):
        Actions.of(Tuple((Discrete(2), UNIT)), features=given)


# -- What each action drives -----------------------------------------------------------------------

PULL = Box(0, 1, (1,))


def drives(space: Any, setting: Any = None) -> list[list[str]]:
    """The boxes of each action in turn; the settings are those of a task."""
    given = task(setting)._drives
    return [action["drives"] for action in Actions.of(space, given).described()]


def prefixed(numbers: Any, prefix: str = "param_") -> dict[str, Box]:
    return {f"{prefix}{number}": PULL for number in numbers}


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Tuple((Discrete(2), Tuple((UNIT, PULL)))), [["1.0"], ["1.1"]]),
        (Dict(kind=Discrete(2), size=Tuple((UNIT, PULL))), [["size.0"], ["size.1"]]),
        (Tuple((Discrete(3, start=5), UNIT)), [["1"], ["1"], ["1"]]),
        (Dict(kind=Discrete(2), size=UNIT), [["size"], ["size"]]),
        (Dict(kind=Discrete(1), size=Dict(all=UNIT)), [["size.all"]]),
        (
            Dict({"kind": Discrete(12)} | prefixed(range(12))),
            [[f"param_{number}"] for number in range(12)],  # and not 0, 1, 10, 11, 2
        ),
        (
            Dict(kind=Discrete(2, start=3), size=Dict(prefixed([3, 4], "b"))),
            [["size.b3"], ["size.b4"]],
        ),
    ],
    ids=str,
)
def test_what_cannot_be_mistaken_is_inferred(space, expected) -> None:
    assert drives(space) == expected


@pytest.mark.parametrize(
    ("space", "names", "lines"),
    [
        (
            # Gymnasium sorts the keys: in their order action 0 would hop.
            Dict({"type": Discrete(2), "run": UNIT, "hop": PULL}),
            "hop, run",
            "{0: [hop], 1: [run]}",
        ),
        # Both gears use both.
        (
            Dict(gear=Discrete(2), steer=UNIT, throttle=PULL),
            "steer, throttle",
            "{0: [steer], 1: [throttle]}",
        ),
        (Tuple((Discrete(2), UNIT, PULL)), "1, 2", "{0: [1], 1: [2]}"),
        (Tuple((Discrete(3), UNIT, PULL)), "1, 2", "{0: [1], 1: [2], 2: []}"),
        (Tuple((Discrete(3), Tuple((UNIT,)))), '"1.0"', '{0: ["1.0"], 1: [], 2: []}'),
        (
            Dict(kind=Discrete(1), size=Tuple((UNIT, UNIT))),
            "size.0, size.1",
            "{0: [size.0, size.1]}",
        ),
        (Tuple((Discrete(2, start=4), UNIT, UNIT, PULL)), "1, 2, 3", "{4: [1], 5: [2, 3]}"),
        # Numbers that are not those of the actions, of two kinds, or in two places.
        (
            Dict({"kind": Discrete(2)} | prefixed([1, 2])),
            "param_1, param_2",
            "{0: [param_1], 1: [param_2]}",
        ),
        (Dict(kind=Discrete(2), a0=UNIT, b1=UNIT), "a0, b1", "{0: [a0], 1: [b1]}"),
        (Dict(kind=Discrete(2), a0=UNIT, b=Dict(a1=UNIT)), "a0, b.a1", "{0: [a0], 1: [b.a1]}"),
        (
            Dict({"kind": Discrete(2), "a b": UNIT, "true": UNIT}),
            '"a b", "true"',
            '{0: ["a b"], 1: ["true"]}',
        ),
    ],
    ids=str,
)
def test_what_might_be_mistaken_is_refused_with_what_to_write(space, names, lines) -> None:
    with pytest.raises(SettingsError) as error:
        Actions.of(space)
    first, *written = str(error.value).splitlines()
    assert f"which of the boxes {names} each of" in first
    assert written == [f"  parameters: {lines}", "  parameters: all"]
    for line in written:  # as it stands, it is what YAML has to have
        assert drives(space, YAML(typ="safe").load(line)["parameters"])


def test_long_lines_to_write_are_cut() -> None:
    with pytest.raises(SettingsError, match=r"11: \[\], \.\.\.\}\n  parameters: all$"):
        Actions.of(Tuple((Discrete(64), UNIT, PULL)))


def test_an_action_may_drive_several_boxes_and_a_box_may_have_several_actions() -> None:
    space = Dict(gear=Discrete(3, start=1), steer=UNIT, throttle=PULL, brake=Box(2, 4, (1,)))
    setting = {1: ["throttle", "steer"], 2: ["brake", "steer"], 3: []}
    actions = Actions.of(space, task(setting)._drives)
    assert actions.spec.sizes == (3, 3, 0)
    assert actions.spec.low.tolist() == [0, -1, -1, 2, -1, -1]
    sent = plain(actions.own(1, np.float32([3, 0.25, -0.5])))
    assert sent == {"gear": 2, "steer": [0.25, -0.5], "throttle": [0], "brake": [3]}
    assert plain(actions.own(2, np.float32([9, 9, 9])))["steer"] == [-1, -1]


def test_all_boxes_may_be_driven_by_all_actions() -> None:
    space = Dict(gear=Discrete(2), steer=UNIT, throttle=PULL)
    assert drives(space, "all") == [["steer", "throttle"]] * 2
    actions = Actions.of(space, "all")
    assert actions.spec.sizes == (3, 3)
    sent = plain(actions.own(1, np.float32([0.25, -0.5, 0.75])))
    assert sent == {"gear": 1, "steer": [0.25, -0.5], "throttle": [0.75]}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            {0: ["run"]},
            r"^parameters\.1: expected a list of boxes for each of .* 0 to 1, .* none",
        ),
        ({0: ["run"], 1: ["hop"], 2: []}, "^parameters: expected the actions 0 to 1, received 2$"),
        (
            {0: ["run"], 1: ["hpo"]},
            r"^parameters\.1: expected .* among hop, run, received hpo; .* 'hop'",
        ),
        (
            {0: ["run", "run"], 1: ["hop"]},
            r"^parameters\.0: expected each box once, received run again",
        ),
        (
            {0: ["run"], 1: ["run"]},
            "^parameters: .* hop, run to be driven .* none for hop$",
        ),
        ({0: ["type"], 1: ["run"]}, "expected boxes among hop, run, received type"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting, expected) -> None:
    space = Dict({"type": Discrete(2), "run": UNIT, "hop": PULL})
    with pytest.raises(SettingsError, match=expected):
        Actions.of(space, task(setting)._drives)


def test_a_box_without_numbers_needs_no_action() -> None:
    space = Tuple((Discrete(2), UNIT, Box(0, 1, (0,))))
    assert drives(space, {0: [1], 1: []}) == [["1"], []]


# -- Observation spaces ----------------------------------------------------------------------------

FLAT = {
    "box": (np.float32([0.5, -5]), [0.5, -5]),
    "picture": (np.uint8([[1, 2, 3], [4, 5, 255]]), [1, 2, 3, 4, 5, 255]),
    "number": (np.float32(1.5), [1.5]),
    "with steps": ((np.float32([0.25, 0.75]), 2), [0.25, 0.75, 0, 0, 1, 0]),
    "kinds": (
        {
            "gear": np.int64(-1),
            "lights": np.int8([[0, 1], [1, 1]]),
            "map": np.uint8([[[1], [2]]]),
            "rest": (np.int64([2, 1]), [0.5]),
        },
        [1, 0, 0, 0, 1, 1, 1, 1, 2, 0, 0, 1, 0, 1, 0.5],
    ),
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
    "with steps": ([0] * 6, [1] * 6),
    "kinds": ([0] * 14 + [-2], [1] * 7 + [255] * 2 + [1] * 5 + [2]),
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
    ("omit", "expected"),
    [
        (["1"], [0.5, -0.5, 9]),
        ([1, "2.far"], [0.5, -0.5]),
        ([0, "2"], [0, 1, 0]),
    ],
)
def test_parts_may_be_left_out(omit, expected) -> None:
    space = Tuple((UNIT, Discrete(3), Dict(far=Box(0, 9, (1,)))))
    observations = Observations.of(space, task(omit=omit).omit)
    assert observations.flat((np.float32([0.5, -0.5]), 1, {"far": [9.0]})).tolist() == expected


def test_what_cannot_be_translated_may_be_left_out() -> None:
    assert Observations.of(Tuple((UNIT, Text(5))), ["1"]).flat(([0, 1], "a")).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("space", "omit", "expected"),
    [
        (
            Dict(near=UNIT, step=Discrete(9)),
            ["stpe"],
            r"\(near, step\), received stpe; .* 'step'\?",
        ),
        (Tuple((UNIT, Dict(a=UNIT))), ["2"], r"^omit: expected parts .* \(0, 1.a\), received 2"),
        (UNIT, ["0"], r"\(it has none\), received 0"),
        (Tuple((UNIT, UNIT)), ["0", "1"], "received no number in Tuple"),
    ],
)
def test_parts_that_are_not_there_cannot_be_left_out(space, omit, expected) -> None:
    with pytest.raises(SettingsError, match=expected):
        Observations.of(space, omit)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Tuple(()), r"received no number in Tuple\(\); wrap"),
        (Box(0, 1, (0,)), "received no number in Box"),
        (Text(5), r"received Text\(.*\); wrap"),
        (Dict(a=UNIT, b=Dict(c=Text(5))), r"of which b\.c is none; omit it, or wrap"),
        (Tuple((UNIT, Sequence(UNIT))), "of which 1 is none"),
        (Tuple((Graph(UNIT, UNIT), UNIT)), "of which 0 is none"),
    ],
    ids=str,
)
def test_refused_observation_spaces(space, expected) -> None:
    with pytest.raises(SettingsError, match=f"expected the observation space Box, .*{expected}"):
        Observations.of(space)


@pytest.mark.parametrize(
    ("space", "given", "expected"),
    [
        (Discrete(3), 3, "received 3 as observation: 3"),
        (Discrete(3), -1, "received -1 as observation"),
        (Discrete(3), 1.0, "received 1.0 as observation"),
        (Discrete(3), [1], r"received \(1,\) as observation"),
        (
            Dict(a=MultiDiscrete([2, 3])),
            {"a": np.array([2, 0])},
            r"received \[2 0\] as observation\['a'\]",
        ),
        (MultiBinary(2), np.array([0, 2]), r"received \[0 2\] as observation"),
    ],
)
def test_what_is_no_element_of_the_space_is_refused(space, given, expected) -> None:
    with pytest.raises(ValueError, match=expected):
        Observations.of(space).flat(given)


# -- What was seen of them -------------------------------------------------------------------------

LARGEST = float(np.finfo(np.float32).max)
INF = np.inf


def seen(low: Any, high: Any) -> Seen:
    return Seen(np.array(low, np.float64), np.array(high, np.float64))


@pytest.mark.parametrize(
    ("space", "used"),
    [
        (Box(0, LARGEST, (1,)), False),
        (Box(-LARGEST, LARGEST, (1,)), False),
        (Box(0, 1e6, (1,)), False),
        (Box(0, 2**31 - 1, (1,), np.int32), False),
        (Box(0, 5001, (1,)), False),
        (Box(0, 5000, (1,)), True),
        (Box(0, 50, (1,)), True),
    ],
    ids=str,
)
def test_bounds_far_wider_than_what_was_met_are_not_used(space, used) -> None:
    observations = Observations.of(space, seen=seen([0], [50]))
    ends = (observations.low.tolist(), observations.high.tolist())
    assert ends == (([0], [space.high[0]]) if used else ([-INF], [INF]))
    assert len(observations.remarks) == (not used)


def test_a_remark_tells_the_figures() -> None:
    space = Dict(near=Box(0, 1, (1,)), sight=Box(0, 1e6, (2, 2)))
    observations = Observations.of(space, seen=seen([-0.5, 0, 0, 0, 0], [2, 5e4, 1e6, 12.5, 1e5]))
    assert observations.remarks == [
        "feature 0, observation['near'][0], was met from -0.5 to 2 and lies outside of its bounds, "
        "from 0 to 1; it is scaled by running moments",
        "feature 3, observation['sight'][1][0], was met from 0 to 12.5 and fills less than 1/100 "
        "of its bounds, from 0 to 1000000; it is scaled by running moments",
    ]
    assert observations.low.tolist() == [-INF, 0, 0, -INF, 0]
    assert observations.flat({"near": [0.5], "sight": np.zeros([2, 2])}).tolist() == [
        0.5,
        0,
        0,
        0,
        0,
    ]


def test_bounds_that_what_was_met_exceeds_are_not_used() -> None:
    space = Box(np.float32([0, 0, -INF, 0]), np.float32([1, 1, 1, INF]))
    observations = Observations.of(space, seen=seen([0, -0.01, 0, -1], [1.02, 1, 2, 1]))
    assert observations.low.tolist() == [-INF] * 4
    assert [line.split(",")[0] for line in observations.remarks] == [
        f"feature {n}" for n in range(4)
    ]


def test_rounding_is_not_outside() -> None:
    space = Box(np.array([-np.pi, 0]), np.array([np.pi, 1]), dtype=np.float64)
    half = float(np.float32(np.pi))
    assert half > np.pi
    observations = Observations.of(space, seen=seen([-half, -1e-9], [half, 1]))
    assert np.isfinite(observations.low).all()
    assert observations.remarks == []


def test_a_feature_that_did_not_change_counts_as_its_size() -> None:
    space = Box(np.float32([0, 0, 0, 0]), np.float32([100, 101, 500, 501]))
    observations = Observations.of(space, seen=seen([0, 0.5, 5, 5], [0, 0.5, 5, 5]))
    assert np.isfinite(observations.high).tolist() == [True, False, True, False]


def test_pixels_of_a_picture_are_of_a_kind() -> None:
    """One that stays black while actions are random says nothing about its range."""
    low, high = np.zeros(6), np.array([0, 0, 3, 255, 90, 0])
    picture = Box(0, 255, (2, 3), np.uint8)
    assert Observations.of(picture, seen=seen(low, high)).high.tolist() == [255] * 6
    row = Box(0, 255, (6,), np.uint8)
    expected = [INF, INF, 255, 255, 255, INF]
    assert Observations.of(row, seen=seen(low, high)).high.tolist() == expected


def test_one_hot_features_keep_their_bounds() -> None:
    observations = Observations.of(Discrete(3), seen=seen([0, 0, 1], [0, 1, 1]))
    assert observations.high.tolist() == [1, 1, 1]


def test_what_was_seen_has_as_many_features_as_the_space() -> None:
    with pytest.raises(SettingsError, match=r"^seen: expected 2 numbers .* received 3"):
        Observations.of(UNIT, seen=seen([0] * 3, [1] * 3))


# -- Precision -------------------------------------------------------------------------------------

EPOCH = 1.7e9


@pytest.mark.parametrize("dtype", [np.float64, np.float32])  # some declare less than they give
def test_what_float32_cannot_tell_apart_is_subtracted(dtype) -> None:
    space = Box(-INF, INF, (2,), dtype)
    given = [np.array([EPOCH + sign * 0.9, 0.5]) for sign in (1, -1)]
    before = Observations.of(space)
    assert (before.flat(given[0]) == before.flat(given[1])).all()
    observations = Observations.of(space, seen=seen([EPOCH - 1, 0], [EPOCH + 1, 1]))
    assert observations.offset is not None
    assert observations.offset.tolist() == [EPOCH, 0]
    one, other = (observations.flat(each) for each in given)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one - other, [1.8, 0], rtol=1e-6)
    assert observations.remarks == [
        "feature 0, observation[0], was met from 1699999999 to 1700000001, which float32 cannot "
        "tell apart; 1700000000 is subtracted"
    ]


def test_a_large_number_that_never_changed_is_subtracted() -> None:
    """Such as the time at which episodes start, which goes on later."""
    space = Box(-INF, INF, (1,), np.float64)
    observations = Observations.of(space, seen=seen([EPOCH], [EPOCH]))
    assert observations.flat(np.array([EPOCH + 1])).tolist() == [1]
    assert observations.remarks == [
        "feature 0, observation[0], was met from 1700000000 to 1700000000, which float32 cannot "
        "tell from its neighbours; 1700000000 is subtracted"
    ]


def test_a_discrete_part_with_many_values_is_remarked() -> None:
    space = Dict(small=Discrete(10), steps=Discrete(50), grid=MultiDiscrete([6, 5]))
    assert Observations.of(space).remarks == [
        "observation['steps'] is Discrete(50) and becomes 50 features, one for each value",
        "observation['grid'] is MultiDiscrete([6 5]) and becomes 11 features, one for each value",
    ]
    assert Observations.of(space, omit=["steps", "grid"]).remarks == []


CLASH = {"a.b": UNIT, "a": Dict(b=UNIT)}


def test_parts_of_one_name_are_refused_where_names_are_needed() -> None:
    with pytest.raises(SettingsError, match=r"^omit: expected keys .* two parts with the name a.b"):
        Observations.of(Dict(CLASH), ["a"])
    assert len(Observations.of(Dict(CLASH)).low) == 4
    space = Dict(CLASH | {"kind": Discrete(2)})
    for drives in (None, {0: ["a.b"], 1: []}):
        with pytest.raises(SettingsError, match=r"^parameters: .* two parts with the name a.b"):
            Actions.of(space, drives)
    assert Actions.of(space, "all").spec.sizes == (4, 4)


def test_bounds_that_are_one_number_in_float32_are_told_in_all_their_digits() -> None:
    space = Tuple((Discrete(1), Box(1e9, 1e9 + 1, (1,), np.float64)))
    with pytest.raises(
        SettingsError,
        match=r"received low 1000000000.0 and high 1000000001.0, one number in float32, of param",
    ):
        Actions.of(space)


def test_whole_numbers_are_subtracted_from_as_well() -> None:
    space = Box(0, 2**40, (1,), np.int64)
    observations = Observations.of(space, seen=seen([2**36], [2**36 + 256]))
    assert observations.flat(np.array([2**36 + 3])).tolist() == [-125]


def test_bounds_move_with_the_offset() -> None:
    space = Box(EPOCH - 10, EPOCH + 20, (1,), np.float64)
    observations = Observations.of(space, seen=seen([EPOCH - 2], [EPOCH + 4]))
    assert (observations.low.tolist(), observations.high.tolist()) == ([-11], [19])


@pytest.mark.parametrize(
    ("space", "low", "high"),
    [
        (Box(-INF, INF, (1,)), EPOCH - 2**10, EPOCH + 2**10),  # float32 is all there is
        (Box(-INF, INF, (1,), np.float64), 0, EPOCH + 0.1),  # fine enough for such a range
        (Box(-INF, INF, (1,), np.float64), 0.1, 0.2),
        (Box(-INF, INF, (1,), np.float64), 1e6 + 0.1, 1e6 + 0.1),  # whole numbers around it are
        (Box(0, 65535, (1,), np.uint16), 65530, 65535),
    ],
)
def test_what_float32_can_tell_apart_is_left_alone(space, low, high) -> None:
    assert Observations.of(space, seen=seen([low], [high])).offset is None


@pytest.mark.parametrize("numbers", [["1", "2"], np.array([1, 2j]), np.array([1, 2], object)])
def test_what_only_looks_like_numbers_is_refused(numbers) -> None:
    with pytest.raises(ValueError, match="received an array of"):
        Observations.of(Box(0, 9, (2,))).flat(numbers)
