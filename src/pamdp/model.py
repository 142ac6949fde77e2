"""Exported policies, called with arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pamdp.direct import Direct
from pamdp.lazy import tf
from pamdp.problems import SettingsError


class Model:
    """An exported policy, compiled for each number of rows at the first call with as many.

    Attributes:
      features: S, the length of an observation.
      num_actions: K.
      num_parameters: P, of all actions.
    """

    def __init__(self, folder: Path | str) -> None:
        """Loads a SavedModel that the export stage wrote.

        Raises:
          SettingsError: it has another signature.
        """
        try:
            serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
            (observation,) = serve.structured_input_signature[1].values()
            outputs = serve.structured_outputs
            self.num_actions = outputs["q_values"].shape[-1]
            self.num_parameters = outputs["all_parameters"].shape[-1]
        except (KeyError, ValueError) as error:
            raise SettingsError(
                f"{folder}: expected a SavedModel that the export stage wrote, received one "
                f"without {error}"
            ) from None
        self.features = observation.shape[-1]
        self._serve, self._names = serve, sorted(outputs)
        self._programs: dict[int, Direct] = {}

    def __call__(self, observations: np.ndarray) -> dict[str, np.ndarray]:
        """What to do.

        Args:
          observations: [N, S], raw.

        Returns:
          The model's outputs by name; see `export.save`.

        Raises:
          ValueError: the observations have another shape.
        """
        rows = np.asarray(observations, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise ValueError(
                f"expected observations of shape [N, {self.features}], received {list(rows.shape)}"
            )
        if (number := len(rows)) not in self._programs:
            shape = tf.TensorSpec([number, self.features], tf.float32)
            self._programs[number] = Direct(lambda rows: self._serve(observation=rows), shape)
        answers = self._programs[number](tf.constant(rows))
        return {name: tensor.numpy() for name, tensor in zip(self._names, answers, strict=True)}
