"""Frames, and the films and windows that show them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from pamdp.base.errors import PamdpError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GIF_COLOURS = 64
GIF_MEMORY = 2**29  # bytes of pictures that are kept for a GIF, which is not written before its end
MP4_QUALITY = 7  # of 1 to 10
WHITE = 255
ROUNDING = 1e-3  # by which floats may lie beyond 0 and 1
PICTURES = (
    "expected pictures [height, width] or [height, width, 1, 3 or 4], of booleans, of integers "
    "from 0 to 255 or of floats from 0 to 1 or 255"
)


class Frame(NamedTuple):
    """A picture, [height, width, 3] uint8, and for how many seconds it is seen."""

    picture: np.ndarray
    seconds: float


def pictures(drawn: Any) -> list[np.ndarray]:
    """What an environment has drawn, as pictures [height, width, 3] uint8, one at least.

    Args:
      drawn: a picture or a list of pictures, arrays [height, width] or [height, width, channels]
        with 1 channel (grey), 3 (red, green, blue) or 4 (the last is opacity, over white), at least
        a pixel large. Booleans are black and white; integers are from 0 to 255; floats from 0 to 1
        if none is larger, else from 0 to 255.

    Raises:
      ValueError: it is something else; the message says what.
    """
    if isinstance(drawn, list | tuple) and drawn:
        return [_picture(each) for each in drawn]
    return [_picture(drawn)]


def _picture(drawn: Any) -> np.ndarray:
    array = np.asarray(drawn) if hasattr(drawn, "__array__") else None
    if array is None or array.dtype.kind not in "buif":
        raise ValueError(f"{PICTURES}, received {type(drawn).__name__} {str(drawn)[:80]}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(f"{PICTURES}, received {list(np.shape(drawn))}")
    if array.dtype == np.bool_:
        array = array * np.uint8(WHITE)
    least, most = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and least >= -ROUNDING and most <= 1 + ROUNDING:
        array = array * WHITE
    elif not (least >= 0 and most <= WHITE):  # so that what is no number is refused
        raise ValueError(f"{PICTURES}, received {array.dtype} from {least:g} to {most:g}")
    if array.shape[2] == 4:
        opacity = array[..., 3:] / WHITE
        array = opacity * array[..., :3] + (1 - opacity) * WHITE
    if array.dtype.kind == "f":
        array = np.clip(np.rint(array), 0, WHITE)
    return np.broadcast_to(array, (*array.shape[:2], 3)).astype(np.uint8, order="C")


def output(file: Path | None, title: str) -> Callable[[Iterable[Frame]], None]:
    """What shows frames: a film, or without a file a window.

    Args:
      file: ends with one of `WRITERS`.
      title: of the window.

    Raises:
      PamdpError: no film is written to such a file, or there is no screen.
    """
    if file is None:
        return partial(_play, _window(title))
    if file.suffix not in WRITERS:
        raise PamdpError(
            f"file: expected a name that ends with {' or '.join(WRITERS)}, received {file}"
        )
    return partial(WRITERS[file.suffix], path=file)


def write_gif(frames: Iterable[Frame], path: Path) -> None:
    """Writes frames of one size as an animated GIF that repeats.

    Of more pictures than `GIF_MEMORY` holds, some are left out; those that stay are seen for their
    time as well.
    """
    pictures, seconds = zip(*_thinned(frames), strict=True)
    # One palette for all, so that what does not move costs nothing. Eight pictures tell it; without
    # refinement (k-means) it blends rare colours with others.
    sample = np.concatenate(pictures[:: max(1, len(pictures) // 8)])
    palette = Image.fromarray(sample).quantize(GIF_COLOURS, kmeans=1)
    first, *others = [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    durations = [round(1000 * second) for second in seconds]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)


def _thinned(frames: Iterable[Frame]) -> list[Frame]:
    """All frames, if `GIF_MEMORY` holds them; else the last of each 2, 4 or more."""
    kept: list[Frame] = []
    together = 1
    for number, frame in enumerate(frames):
        if number % together:
            kept[-1] = frame._replace(seconds=kept[-1].seconds + frame.seconds)
            continue
        pairs = max(1, GIF_MEMORY // (2 * frame.picture.nbytes))
        if len(kept) == 2 * pairs:
            kept = [
                last._replace(seconds=first.seconds + last.seconds)
                for first, last in zip(kept[::2], kept[1::2], strict=True)
            ]
            together *= 2
        kept.append(frame)
    return kept


def write_mp4(frames: Iterable[Frame], path: Path) -> None:
    """Writes frames of one size as an MP4 (H.264), as they come."""
    import imageio_ffmpeg

    frames = iter(frames)
    first = next(frames)
    height, width, _ = first.picture.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(
        path,
        (width, height),
        fps=1 / first.seconds,  # pyright: ignore[reportArgumentType]
        codec="libx264",
        quality=MP4_QUALITY,
        macro_block_size=2,  # sizes are even, or a row is added
        ffmpeg_log_level="error",
    )
    with closing(writer):
        writer.send(None)
        for frame in chain([first], frames):
            for _ in range(round(frame.seconds / first.seconds)):
                writer.send(np.ascontiguousarray(frame.picture))


WRITERS = {".gif": write_gif, ".mp4": write_mp4}


def _window(title: str) -> Figure:
    """A window that is not seen yet."""
    import matplotlib.pyplot as plt

    reason = "neither a screen nor a toolkit such as Tk was found"
    try:
        with plt.rc_context({"toolbar": "None"}):
            figure = plt.figure(title)
        if figure.canvas.required_interactive_framework:
            return figure
        plt.close(figure)
    except ImportError as error:  # a toolkit that was asked for by name
        reason = str(error)
    raise PamdpError(
        f"file: expected the name of a film, such as film.mp4 or film.gif, because no window can "
        f"be opened here ({reason}); received none"
    )


def _play(figure: Figure, frames: Iterable[Frame]) -> None:
    """Shows frames in their time, until they end or the window is closed."""
    import matplotlib.pyplot as plt

    axes = figure.add_axes((0, 0, 1, 1), frame_on=False, xticks=[], yticks=[])
    image, since = None, time.monotonic()
    for frame in frames:
        if image is None:
            height, width, _ = frame.picture.shape
            figure.set_size_inches(width / figure.dpi, height / figure.dpi)
            image = axes.imshow(frame.picture)
            figure.show()
        image.set_data(frame.picture)
        figure.canvas.draw_idle()
        # What it took to play and to draw is part of the time.
        figure.canvas.start_event_loop(max(0.001, since + frame.seconds - time.monotonic()))
        since = time.monotonic()
        if not plt.fignum_exists(figure.number):
            return
    plt.close(figure)
