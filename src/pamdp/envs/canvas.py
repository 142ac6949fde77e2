"""Drawing in world coordinates, with smooth edges.

Pillow is imported where it draws: most who import an environment never look at it.
"""

from __future__ import annotations

import numpy as np

SUPERSAMPLING = 3  # pixels drawn for each pixel of the picture, along each axis

Colour = tuple[int, int, int]


class Canvas:
    """A picture of the world between two corners; y points up, lengths are the world's.

    Args:
      left, bottom, right, top: the part of the world that is seen.
      width: of the picture, in pixels; its height follows.
      sky: colours of the background at its top and at its bottom.
    """

    def __init__(
        self,
        corners: tuple[float, float, float, float],
        width: int,
        sky: tuple[Colour, Colour],
    ) -> None:
        from PIL import Image, ImageDraw

        self._left, bottom, right, self._top = corners
        self._scale = width * SUPERSAMPLING / (right - self._left)
        # Even, as video encoders want it.
        height = 2 * round(width * (self._top - bottom) / (right - self._left) / 2)
        self._size = (width, height)
        share = np.linspace(0, 1, height * SUPERSAMPLING)[:, None, None]
        rows = np.asarray(sky[0]) * (1 - share) + np.asarray(sky[1]) * share
        pixels = np.repeat(rows, width * SUPERSAMPLING, axis=1).round().astype(np.uint8)
        self._image = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self._image)

    def copy(self) -> Canvas:
        """The same picture, to draw on independently: for backgrounds."""
        from PIL import ImageDraw

        other = object.__new__(Canvas)
        other.__dict__.update(self.__dict__)
        other._image = self._image.copy()
        other._draw = ImageDraw.Draw(other._image)
        return other

    def box(
        self,
        corner: tuple[float, float],
        size: tuple[float, float],
        colour: Colour,
        radius: float = 0.0,
    ) -> None:
        """A rectangle from its lower-left corner, with rounded corners if there is a radius."""
        (x, y), (width, height) = corner, size
        (left, top), (right, bottom) = self._pixel(x, y + height), self._pixel(x + width, y)
        self._draw.rounded_rectangle(
            (left, top, right - 1, bottom - 1), radius * self._scale, fill=colour
        )

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        """A filled circle."""
        x, y = centre
        self.box((x - radius, y - radius), (2 * radius, 2 * radius), colour, radius)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([self._pixel(x, y) for x, y in points], fill=colour)

    def line(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        """Straight lines from point to point."""
        pixels = [self._pixel(x, y) for x, y in points]
        self._draw.line(pixels, colour, round(width * self._scale), joint="curve")

    def text(self, position: tuple[float, float], text: str, size: float, colour: Colour) -> None:
        """A line of text from the left end of its baseline; `size` is the height of the font."""
        from PIL import ImageFont

        font = ImageFont.load_default(size * self._scale)
        self._draw.text(self._pixel(*position), text, fill=colour, font=font, anchor="ls")

    def array(self) -> np.ndarray:
        """[height, width, 3] uint8."""
        from PIL import Image

        return np.asarray(self._image.resize(self._size, Image.Resampling.BOX))

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        return (x - self._left) * self._scale, (self._top - y) * self._scale
