"""What is watched is the episode that is played, at a speed one can follow."""

from __future__ import annotations

from itertools import count, pairwise
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from pamdp import export, watching
from pamdp.base.errors import EnvironmentFailure, PamdpError
from pamdp.base.lazy import tf
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.films import Frame
from pamdp.learning.cell import policy_of
from pamdp.learning.loops import loop_of
from pamdp.watching import Played, Player, Shape, UndrawableError
from tests.helpers import cell
from tests.unit.test_films import read_gif

HOSTED = {"kind": "gymnasium", "id": "pamdp/Platform-v0"}


def initial(trained, seed: int = 1) -> Any:
    """Weights of a cell before its first update, as arrays."""
    loop = loop_of(trained)
    return tf.nest.map_structure(np.asarray, loop.weights(loop.initial(seed)))


@pytest.fixture(scope="module")
def trained():
    return cell("mpdqn", "squashing")


@pytest.fixture(scope="module")
def weights(trained):
    return initial(trained)


def watch(task, player, seed: int = 3, episodes: int = 1) -> tuple[list[Frame], list[Played]]:
    played: list[Played] = []
    return list(watching.frames(task, player, seed, episodes, played.append)), played


# -- Films of Platform -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filmed(trained, weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "new" / "best.gif"
    return watching.film(trained, weights, 3, path), path


def test_a_film_starts_at_the_start_moves_and_holds_the_end(filmed):
    frames, durations, loop = read_gif(filmed[1])
    assert loop == 0
    assert len(frames) > 5
    assert durations == [60] * (len(frames) - 1) + [1560]
    assert all((a != b).any() for a, b in pairwise(frames))


def test_the_return_is_that_of_the_greedy_episode(trained, weights, filmed):
    environment = trained.task.make()
    observation, _ = environment.reset(seed=3)
    spec, total, ended = trained.task.actions, 0.0, False
    policy = policy_of(trained)
    while not ended:
        x, q = (t.numpy()[0] for t in policy.greedy(weights, tf.constant(observation[None]))[1:])
        action = int(q.argmax())
        values = spec.low + (x + 1) / 2 * (spec.high - spec.low)
        element = spec.element(action, values[action : action + 1])  # one parameter each
        observation, reward, terminated, truncated, _ = environment.step(element)
        total, ended = total + float(reward), terminated or truncated
    assert filmed[0] == pytest.approx(total, rel=1e-5)


def test_the_same_episode_is_the_same_bytes(trained, weights, filmed, tmp_path):
    assert watching.film(trained, weights, 3, tmp_path / "a.gif") == filmed[0]
    assert (tmp_path / "a.gif").read_bytes() == filmed[1].read_bytes()
    watching.film(trained, weights, 4, tmp_path / "b.gif")
    assert (tmp_path / "b.gif").read_bytes() != filmed[1].read_bytes()


def test_episodes_follow_one_another_and_differ(trained, weights, filmed):
    frames, played = watch(trained.task, watching.player_of(trained, weights), episodes=2)
    seconds = [frame.seconds for frame in frames]
    assert seconds.count(1.5) == 2
    first = seconds.index(1.5) + 1
    np.testing.assert_array_equal(frames[first - 1].picture, frames[first - 2].picture)
    assert set(seconds) == {0.06, 1.5}
    assert played[0].returns == filmed[0]
    assert played[1].returns != played[0].returns
    assert [p.success for p in played] == [False, False]
    assert all(p.length >= 1 for p in played)


def test_it_is_the_same_play_through_gymnasium(trained, weights, filmed):
    _, played = watch(Gymnasium(**HOSTED), watching.player_of(trained, weights))
    assert played[0].returns == filmed[0]


# -- Exported models -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(trained, weights, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "x"
    export.save(trained, weights, path)
    return path


def test_a_model_plays_like_the_policy_that_it_was_exported_from(trained, weights, folder):
    policy, model = watching.player_of(trained, weights), watching.load_player(folder)
    assert model.shape == policy.shape == Shape(features=9, actions=3, parameters=3)
    (frames, played), (expected, known) = (watch(trained.task, p) for p in (model, policy))
    assert played[0] == pytest.approx(known[0], rel=1e-4)
    assert len(frames) == len(expected)


def test_another_model_is_refused(tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda observation: {"action": observation[:, 0]},
        input_signature=[tf.TensorSpec([None, 9], tf.float32, "observation")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    message = r"expected a SavedModel that the export stage wrote, .* without 'all_parameters'"
    with pytest.raises(PamdpError, match=message):
        watching.load_player(tmp_path)


# -- Environments of others ------------------------------------------------------------------------


class Toy(gymnasium.Env):
    """Three steps long; draws their number, and says whether the action was as it should be."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}
    action_space = spaces.Tuple(
        (spaces.Discrete(2), spaces.Tuple((spaces.Box(0, 1, [1]), spaces.Box(-2, 2, [2]))))
    )
    observation_space = spaces.Box(0, 1, [2])

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode, self.number = render_mode, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.number = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        if not self.action_space.contains(action):
            raise AssertionError(f"not in the space: {action}")
        self.number += 1
        return np.zeros(2, np.float32), 0.5, self.number == 3, False, {}

    def render(self) -> Any:
        return np.full([4, 6, 3], 10 * self.number, np.uint8)


NUMBERS = count(1)
SHAPE = Shape(features=2, actions=2, parameters=3)
PLAYER = Player(lambda observation: (1, np.array([0.5, -1.5], np.float32)), SHAPE)


@pytest.fixture
def toy():
    """Registers the environment with changes and gives the task."""
    name = f"watching/Toy{next(NUMBERS)}-v0"  # what is known of an id is known once

    def made(**changes: Any) -> Gymnasium:
        gymnasium.register(name, type("Changed", (Toy,), changes), max_episode_steps=50)
        return Gymnasium(kind="gymnasium", id=name)

    yield made
    del gymnasium.registry[name]


def test_an_environment_of_another_is_drawn_by_itself_at_its_own_speed(toy):
    frames, played = watch(toy(), PLAYER, episodes=2)
    assert [int(f.picture[0, 0, 0]) for f in frames] == [0, 10, 20, 30, 30] * 2
    assert [f.seconds for f in frames] == [0.05, 0.05, 0.05, 0.05, 1.5] * 2
    assert played == [Played(returns=1.5, length=3, success=None)] * 2


@pytest.mark.filterwarnings("ignore:.*render fps")
def test_without_a_speed_it_has_ours(toy):
    frames, _ = watch(toy(metadata={"render_modes": ["rgb_array"]}), PLAYER)
    assert frames[0].seconds == 0.06


def test_all_pictures_of_a_list_are_seen(toy):
    def render(self) -> Any:
        return [np.full([4, 6], (self.number + part) / 4) for part in (0.0, 0.5)]

    frames, _ = watch(toy(render=render), PLAYER)
    shades = [int(f.picture[0, 0, 0]) for f in frames]
    assert shades == [0, 32, 64, 96, 128, 159, 191, 223, 223]
    assert {f.picture.shape for f in frames} == {(4, 6, 3)}


def without_library(self, render_mode: str | None = None) -> None:
    if render_mode:
        raise ImportError("no pygame")


def failing(self) -> None:
    raise OSError("no OpenGL")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metadata": {"render_modes": ["human"]}}, r"received one with \['human'\]"),
        ({"metadata": {}}, r"received one with \[\]"),
        ({"render": lambda self: None}, r"expected pictures .* received NoneType None"),
        ({"render": lambda self: np.zeros([3, 4, 6])}, r"expected pictures .* \[3, 4, 6\]"),
        (
            {"render": lambda self: np.zeros([4, 6 + self.number, 3])},
            r"expected pictures of one size, received 4 x 6 and 4 x 7",
        ),
        ({"render": failing}, "OSError: no OpenGL"),
        ({"__init__": without_library}, "ImportError: no pygame"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*render")  # Gymnasium sees it coming
def test_an_environment_without_pictures_is_an_error_that_says_so(toy, changes, reason):
    with pytest.raises(UndrawableError, match=rf"(?s)watching/Toy\d+-v0.*{reason}"):
        watch(toy(**changes), PLAYER)


def test_without_pictures_there_is_a_note_and_no_film(toy, monkeypatch, tmp_path, capsys):
    task = toy(render=failing)
    monkeypatch.setattr(watching, "player_of", lambda cell, weights: PLAYER)
    path = tmp_path / "best.gif"
    path.write_bytes(b"an old one")
    hosted = cell("mpdqn", "squashing", task=task.model_dump())
    assert watching.film(hosted, None, 1, path) is None
    assert not path.exists()
    note = capsys.readouterr().err
    assert note.startswith("platform-mpdqn-squashing is not filmed: ")
    assert note.endswith("OSError: no OpenGL\n")


def test_what_an_environment_raises_while_it_is_played_is_its_own(toy):
    def step(self, action: Any) -> None:
        raise ZeroDivisionError("theirs")

    with pytest.raises(EnvironmentFailure, match="ZeroDivisionError: theirs"):
        watch(toy(step=step), PLAYER)


# -- Policies that do not fit ----------------------------------------------------------------------


@pytest.mark.parametrize("field", Shape._fields)
def test_a_policy_of_another_shape_is_refused_before_it_plays(toy, field):
    other = PLAYER._replace(shape=SHAPE._replace(**{field: 7}), act=None)
    message = rf"expected .*7 {field}.*, received 2 features, 2 actions, 3 parameters; choose"
    with pytest.raises(PamdpError, match=message):
        watch(toy(), other)


def acting(action: int, *parameters: float) -> Player:
    return Player(lambda observation: (action, np.array(parameters, np.float32)), SHAPE)


@pytest.mark.parametrize(
    ("player", "reason"),
    [
        (acting(0, 0.5, 0.5), r"action 0 takes 1 parameters .* given \[0\.5 0\.5\]"),
        (acting(1, 0.5), r"action 1 takes 2 parameters .* given \[0\.5\]"),
        (acting(1, 2.01, 0.0), r"from \[-2\. -2\.\] to \[2\. 2\.\]; it was given \[2\.01 0\.  \]"),
        (acting(0, -0.01), r"action 0 takes 1 parameters from \[0\.\] to \[1\.\]"),
    ],
)
def test_a_policy_for_other_sizes_or_bounds_is_refused_when_it_shows(toy, player, reason):
    with pytest.raises(PamdpError, match=f"expected an action space .*{reason}"):
        watch(toy(), player)


def test_rounding_is_no_other_bound(toy):
    _, played = watch(toy(), acting(1, 2.0001, -2.0001))
    assert played[0].length == 3
