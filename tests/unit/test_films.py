"""Films and windows show the frames they are given, for as long as they say."""

from __future__ import annotations

import sys
import tracemalloc
from types import SimpleNamespace

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from pamdp import films
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.films import Frame

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)


def picture(colour: tuple[int, int, int], height: int = 40, width: int = 60) -> np.ndarray:
    return np.full([height, width, 3], colour, np.uint8)


def read_gif(path) -> tuple[list[np.ndarray], list[int], int]:
    with Image.open(path) as film:
        frames, durations = [], []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(film.info["duration"])
        return frames, durations, film.info["loop"]


def read_mp4(path) -> tuple[list[np.ndarray], dict]:
    frames = imageio_ffmpeg.read_frames(path)
    facts = next(frames)
    width, height = facts["size"]
    return [np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in frames], facts


# -- GIF -------------------------------------------------------------------------------------------


def test_a_gif_holds_the_pictures_and_repeats(tmp_path):
    marked = picture(BLACK, 4, 6)
    marked[1:3, 2:4] = RED
    shown = [picture(WHITE, 4, 6), marked, picture(BLACK, 4, 6)]
    path = tmp_path / "new" / "x.gif"
    films.write_gif(map(Frame, shown, [0.06, 0.1, 1.5]), path)
    frames, durations, loop = read_gif(path)
    np.testing.assert_array_equal(frames, shown)
    assert durations == [60, 100, 1500]
    assert loop == 0  # for ever


def test_one_picture_is_a_gif_too(tmp_path):
    films.write_gif([Frame(picture(RED), 1.0)], tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as film:
        assert film.n_frames == 1


@pytest.fixture
def scene() -> list[np.ndarray]:
    """A little red square that moves over a background of all shades of blue, 40 pictures."""
    shades = np.random.default_rng(0).integers(0, 255, (100, 200))
    background = np.stack([0 * shades, 0 * shades, shades], axis=-1).astype(np.uint8)
    pictures = [background.copy() for _ in range(40)]
    for number, moved in enumerate(pictures):
        moved[10:16, 4 * number : 4 * number + 6] = RED
    return pictures


def test_what_does_not_move_costs_nothing_and_rare_colours_stay(tmp_path, scene):
    paths = [tmp_path / "one.gif", tmp_path / "all.gif"]
    for path, pictures in zip(paths, (scene[:1], scene), strict=True):
        films.write_gif([Frame(p, 0.06) for p in pictures], path)
    one, everything = (path.stat().st_size for path in paths)
    assert everything < 2 * one
    frames, _, _ = read_gif(paths[1])
    assert len(frames) == 40
    for frame, expected in zip(frames, scene, strict=True):
        error = np.abs(frame.astype(int) - expected)
        assert error.max() <= 16
        assert error[(expected == RED).all(axis=-1)].max() <= 4


def test_a_long_gif_is_held_in_bounded_memory_and_lasts_as_long(tmp_path, monkeypatch):
    size = picture(BLACK, 40, 250).nbytes
    monkeypatch.setattr(films, "GIF_MEMORY", 16 * size)

    def shown(number: int):
        for index in range(number):
            drawn = picture(BLACK, 40, number)
            drawn[:, index] = WHITE
            yield Frame(drawn, 0.06 if index < number - 1 else 1.5)

    tracemalloc.start()
    try:
        films.write_gif(shown(250), tmp_path / "x.gif")
        assert tracemalloc.get_traced_memory()[1] < 48 * size
    finally:
        tracemalloc.stop()
    frames, durations, _ = read_gif(tmp_path / "x.gif")
    # The last of each 16 pictures, and the last of all.
    assert [frame[0, :, 0].argmax() for frame in frames] == [*range(15, 250, 16), 249]
    assert durations == [960] * 15 + [9 * 60 + 1500]


@pytest.mark.parametrize("number", [1, 2, 15, 16])
def test_a_gif_that_memory_holds_has_all_pictures(number, monkeypatch):
    monkeypatch.setattr(films, "GIF_MEMORY", 16 * picture(RED).nbytes)
    frames = [Frame(picture((index, 0, 0)), 0.1) for index in range(number)]
    assert films._thinned(iter(frames)) == frames


# -- MP4 -------------------------------------------------------------------------------------------


def test_an_mp4_holds_the_pictures_for_their_time(tmp_path):
    path = tmp_path / "new" / "x.mp4"
    shown = [Frame(picture(WHITE), 0.05), Frame(picture(RED), 0.05), Frame(picture(BLACK), 0.2)]
    films.write_mp4(iter(shown), path)
    frames, facts = read_mp4(path)
    assert facts["size"] == (60, 40)
    assert facts["fps"] == pytest.approx(20)
    assert facts["codec"] == "h264"
    assert "yuv420p" in facts["pix_fmt"]  # what every player shows
    assert len(frames) == 1 + 1 + 4
    for frame, colour in zip(frames, [WHITE, RED, *[BLACK] * 4], strict=True):
        np.testing.assert_allclose(frame, picture(colour), atol=8)


def test_an_mp4_of_odd_size_is_a_pixel_larger(tmp_path):
    films.write_mp4([Frame(picture(RED, 33, 51), 0.1)] * 3, tmp_path / "x.mp4")
    frames, facts = read_mp4(tmp_path / "x.mp4")
    assert (len(frames), facts["size"]) == (3, (52, 34))


def test_an_mp4_is_written_as_the_frames_come(tmp_path):
    def interrupted():
        yield Frame(picture(RED), 0.1)
        yield Frame(picture(RED), 0.1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        films.write_mp4(interrupted(), tmp_path / "x.mp4")
    assert len(read_mp4(tmp_path / "x.mp4")[0]) == 2


# -- What environments draw ------------------------------------------------------------------------

GREY, FAINT = [[0, 51], [102, 255]], [255, 0, 0, 51]  # the second is red, a fifth of it over white
THREE = np.repeat(np.array(GREY)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (np.uint8(GREY), THREE),
        (np.int64(GREY)[..., None], THREE),
        (np.uint16(THREE), THREE),
        (np.float32(GREY) / 255, THREE),
        (np.float16(THREE) / 255, THREE),
        (np.float64(THREE) - 0.4 * (THREE > 0), THREE),
        (np.float64(GREY) / 255 * 1.0001, THREE),
        (np.float64([[-1e-9, 1.0]]), [[[0] * 3, [255] * 3]]),
        (np.array([[False, True]]), [[[0] * 3, [255] * 3]]),
        (np.uint8([[FAINT]]), [[[255, 204, 204]]]),
        (np.float32([[FAINT]]) / 255, [[[255, 204, 204]]]),
        (np.uint8([[[*RED, 255]]]), [[RED]]),
        (np.array([[[True, False, False, True]]]), [[RED]]),
        (tf.constant(THREE, tf.uint8), THREE),
    ],
)
def test_whatever_form_a_picture_has_its_colours_are_right(drawn, expected):
    (found,) = films.pictures(drawn)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_a_list_of_pictures_is_a_picture_each():
    found = films.pictures([np.zeros([2, 3]), np.ones([2, 3])])
    np.testing.assert_array_equal(found, [picture(BLACK, 2, 3), picture(WHITE, 2, 3)])


def test_a_picture_is_a_copy_of_what_may_be_drawn_over():
    canvas = picture(RED)
    (found,) = films.pictures(canvas)
    canvas[:] = 0
    np.testing.assert_array_equal(found, picture(RED))


@pytest.mark.parametrize(
    ("drawn", "received"),
    [
        (None, "NoneType None"),
        ("+--+", r"str \+--\+"),
        ([], r"list \[\]"),
        ([[0, 1]], r"list \[0, 1\]"),
        (np.array([["a"]]), "ndarray "),
        (np.zeros([4]), r"\[4\]"),
        (np.zeros([3, 4, 6]), r"\[3, 4, 6\]"),
        (np.zeros([4, 6, 2]), r"\[4, 6, 2\]"),
        (np.zeros([2, 4, 6, 3]), r"\[2, 4, 6, 3\]"),
        (np.zeros([0, 6, 3]), r"\[0, 6, 3\]"),
        (np.array([[0, 256]]), "int64 from 0 to 256"),
        (np.array([[-1, 1]]), "int64 from -1 to 1"),
        (np.array([[-0.5, 0.5]]), "float64 from -0.5 to 0.5"),
        (np.array([[0.0, 300.0]]), "float64 from 0 to 300"),
        (np.array([[0.0, np.nan]]), "float64 from nan to nan"),
        (np.array([[0.0, np.inf]]), "float64 from 0 to inf"),
        (np.array([[1j]]), "ndarray "),
    ],
)
def test_what_is_no_picture_is_refused_by_its_name(drawn, received):
    with pytest.raises(ValueError, match=rf"expected pictures \[height, .* received {received}"):
        films.pictures(drawn)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (33, 52)])
@pytest.mark.parametrize("name", ["x.gif", "x.mp4"])
def test_films_have_any_size(tmp_path, name, size):
    films.output(tmp_path / name, "title")([Frame(picture(RED, *size), 0.1)] * 2)
    shown = {"x.gif": read_gif, "x.mp4": read_mp4}[name](tmp_path / name)[0][0]
    np.testing.assert_allclose(shown[: size[0], : size[1]], picture(RED, *size), atol=8)


# -- Which one -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.gif", "x.mp4"])
def test_the_name_of_the_file_tells_the_film(tmp_path, name):
    show = films.output(tmp_path / name, "title")
    show([Frame(picture(RED), 0.1)] * 2)
    read = {"x.gif": read_gif, "x.mp4": read_mp4}[name]
    np.testing.assert_allclose(read(tmp_path / name)[0][0], picture(RED), atol=8)


@pytest.mark.parametrize("name", ["film.avi", "film", "film.GIFF"])
def test_another_file_is_refused(tmp_path, name):
    message = rf"file: expected a name that ends with \.gif or \.mp4, received .*{name}"
    with pytest.raises(PamdpError, match=message):
        films.output(tmp_path / name, "title")


# -- Window ----------------------------------------------------------------------------------------


@pytest.fixture
def headless(monkeypatch):
    plt.switch_backend("agg")
    plt.close("all")  # of other tests in this process
    yield monkeypatch
    plt.close("all")


def test_without_a_screen_it_says_how_to_write_a_file(headless):
    message = r"expected the name of a film, such as film\.mp4 .* \(neither a screen nor "
    with pytest.raises(PamdpError, match=message):
        films.output(None, "title")
    assert plt.get_fignums() == []


def test_a_toolkit_that_was_asked_for_and_is_missing_is_named(headless):
    def missing(title: str) -> None:
        raise ImportError("Cannot load backend 'TkAgg'")

    headless.setattr(plt, "figure", missing)
    message = r"film\.mp4 .* \(Cannot load backend 'TkAgg'\)"
    with pytest.raises(PamdpError, match=message):
        films.output(None, "title")


class Screen:
    """A canvas in memory that is taken for a window: what it has shown, and for how long."""

    def __init__(self, monkeypatch) -> None:
        self.shown: list[np.ndarray] = []
        self.waited: list[float] = []
        self.close_after = sys.maxsize
        self.now = 0.0
        monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "fake")
        monkeypatch.setattr(plt.Figure, "show", lambda figure: None)
        screen = self

        def start_event_loop(canvas: FigureCanvasAgg, timeout: float) -> None:
            canvas.draw()
            screen.shown.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
            screen.waited.append(timeout)
            screen.now += timeout
            if len(screen.shown) == screen.close_after:
                plt.close(canvas.figure)

        monkeypatch.setattr(FigureCanvasAgg, "start_event_loop", start_event_loop)
        monkeypatch.setattr(films, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def screen(headless) -> Screen:
    return Screen(headless)


def test_a_window_shows_each_picture_in_its_own_size(screen):
    show = films.output(None, "the title")
    assert plt.get_figlabels() == ["the title"]
    marked = picture(WHITE, 80, 120)
    marked[10:50, 20:60] = RED
    show([Frame(marked, 0.06), Frame(picture(BLACK, 80, 120), 1.5)])
    first, last = screen.shown
    np.testing.assert_array_equal(first, marked)
    np.testing.assert_array_equal(last, picture(BLACK, 80, 120))
    assert screen.waited == pytest.approx([0.06, 1.5])
    assert plt.get_fignums() == []  # it closes at the end


def test_playing_is_part_of_the_time(screen):
    def frames():
        for seconds in (0.0, 0.04, 0.2):
            screen.now += seconds
            yield Frame(picture(RED), 0.1)

    films.output(None, "title")(frames())
    assert screen.waited == pytest.approx([0.1, 0.06, 0.001])


def test_closing_the_window_ends_the_play(screen):
    screen.close_after = 3
    played = []

    def frames():
        for number in range(10):
            played.append(number)
            yield Frame(picture(RED), 0.1)

    films.output(None, "title")(frames())
    assert played == [0, 1, 2]
