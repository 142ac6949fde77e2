"""Learning curves for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pamdp.base.calls import on_cpu
from pamdp.base.lazy import tf
from pamdp.files import local
from pamdp.learning.training import Point


class TensorBoard:
    """An `on_point` of `pamdp.train` that writes for TensorBoard, with a curve for each seed.

    Args:
      folder: what `tensorboard --logdir` is given; a cell may have a folder of its own below. Each
        seed gets `seed-<number>` in it.

    Examples:
      >>> cell = pamdp.cell("platform", changes={"training.steps": 2000})
      >>> result = pamdp.train(cell, seed=1, on_point=pamdp.TensorBoard("curves/inverting"))
    """

    def __init__(self, folder: Path | str) -> None:
        """Writes nothing yet.

        Raises:
          PamdpError: it is a file, or an address.
        """
        self._folder = local(folder)
        self._writers: dict[int, Any] = {}

    @on_cpu()
    def __call__(self, seed: int, point: Point) -> None:
        """Writes all metrics of a point."""
        if seed not in self._writers:
            path = self._folder / f"seed-{seed}"
            self._writers[seed] = tf.summary.create_file_writer(str(path))
        with self._writers[seed].as_default(point.step):
            for name, value in point.metrics.items():
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=_scalar())
        self._writers[seed].flush()


def _scalar() -> Any:
    """What tells TensorBoard that a tensor is a point of a curve.

    `tf.summary.scalar` writes the same, but only where TensorBoard itself is installed.
    """
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    return metadata
