"""Films show the episode that is played, at a speed one can follow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pamdp import host, watching
from pamdp.lazy import tf
from pamdp.loops import loop_of, policy_of
from tests.helpers import cell

HOSTED = {"kind": "gymnasium", "id": "pamdp/Platform-v0"}


def initial(trained) -> tuple[tuple, tuple]:
    loop = loop_of(trained)
    return tf.nest.map_structure(np.asarray, loop.weights(loop.initial(1)))


def frames_of(path) -> tuple[list[np.ndarray], list[int], int]:
    with Image.open(path) as film:
        frames, durations = [], []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(film.info["duration"])
        return frames, durations, film.info["loop"]


@pytest.fixture(scope="module")
def trained():
    return cell("mpdqn", "squashing")


@pytest.fixture(scope="module")
def filmed(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "new" / "best.gif"
    return watching.film(trained, initial(trained), 3, path), path


def test_a_film_starts_at_the_start_and_moves(filmed):
    frames, durations, loop = frames_of(filmed[1])
    assert loop == 0  # for ever
    assert len(frames) > 5
    assert durations == [watching.FRAME_MILLISECONDS] * (len(frames) - 1) + [
        watching.LAST_FRAME_MILLISECONDS
    ]
    assert all((a != b).any() for a, b in pairwise(frames))


def test_the_return_is_that_of_the_greedy_episode(trained, filmed):
    environment = host.make(trained.task)
    observation, _ = environment.reset(seed=3)
    spec, total, ended = trained.task.actions, 0.0, False
    policy, weights = policy_of(trained), initial(trained)
    while not ended:
        x, q = (
            t.numpy()[0]
            for t in policy.greedy(*weights, policy.scale(tf.constant(observation[None])))[1:]
        )
        action = int(q.argmax())
        values = spec.low + (x + 1) / 2 * (spec.high - spec.low)
        element = spec.element(action, values[action : action + 1])  # one parameter each
        observation, reward, terminated, truncated, _ = environment.step(element)
        total, ended = total + reward, terminated or truncated
    assert filmed[0] == pytest.approx(total, rel=1e-5)


def test_the_same_episode_is_the_same_bytes(trained, filmed, tmp_path):
    again = watching.film(trained, initial(trained), 3, tmp_path / "a.gif")
    assert again == filmed[0]
    assert (tmp_path / "a.gif").read_bytes() == filmed[1].read_bytes()
    watching.film(trained, initial(trained), 4, tmp_path / "b.gif")
    assert (tmp_path / "b.gif").read_bytes() != filmed[1].read_bytes()


def test_any_gymnasium_environment_that_renders_is_filmed(tmp_path):
    hosted = cell("mpdqn", "squashing", task=HOSTED)
    watching.film(hosted, initial(hosted), 3, tmp_path / "a.gif")
    assert len(frames_of(tmp_path / "a.gif")[0]) > 1


def test_pictures_are_written_as_they_are(tmp_path):
    white, black = (np.full([4, 6, 3], value, np.uint8) for value in (255, 0))
    red = np.zeros([4, 6, 3], np.uint8)
    red[1:3, 2:4] = 255, 0, 0
    watching.write_gif([white, red, black], tmp_path / "x.gif")
    frames, durations, _ = frames_of(tmp_path / "x.gif")
    np.testing.assert_array_equal(frames, [white, red, black])
    assert durations == [60, 60, 1500]


def test_one_picture_is_a_film_too(tmp_path):
    watching.write_gif([np.zeros([4, 6, 3], np.uint8)], tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as film:
        assert film.n_frames == 1
