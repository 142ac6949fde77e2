"""Exported policies, called with arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pamdp.base.calls import Direct
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.files import damaged, missing


class Answer(NamedTuple):
    """The outputs of an exported policy, in the order in which TensorFlow gives them.

    Attributes:
      action: [N] int32.
      all_parameters: [N, P] of all actions, clipped, environment units.
      num_parameters: [N] int32, how many of `parameters` count.
      parameters: [N, m] of the action, clipped, environment units, padded with zeros.
      q_values: [N, K], of which the action has the largest.
    """

    action: Any
    all_parameters: Any
    num_parameters: Any
    parameters: Any
    q_values: Any


class Model:
    """An exported policy, compiled for 1, 2, 4, ... rows as calls need it.

    Attributes:
      features: S, the length of an observation.
      num_actions: K.
      num_parameters: P, of all actions.
      dtype: of observations; float64 where float32 would lose what the policy has to tell apart.
    """

    def __init__(self, folder: Path | str) -> None:
        """Loads a SavedModel that the export stage wrote.

        Raises:
          Damaged: it cannot be loaded.
          PamdpError: there is none, or it has another signature.
        """
        try:
            serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
            observation = serve.structured_input_signature[1]["observation"]
            shapes = {name: serve.structured_outputs[name].shape for name in Answer._fields}
        except KeyError as error:
            raise PamdpError(
                f"{folder}: expected a SavedModel that the export stage wrote, received one "
                f"without {error}"
            ) from None
        except Exception as error:  # its files are read by native code, which raises what it likes
            local = "://" not in str(folder)
            if local and not os.path.exists(os.path.join(folder, "saved_model.pb")):
                raise missing(Path(folder), "a folder with a SavedModel") from None
            raise damaged(Path(folder), error) from error
        self.features = observation.shape[-1]
        self.dtype: Any = observation.dtype.as_numpy_dtype
        self.num_actions = shapes["q_values"][-1]
        self.num_parameters = shapes["all_parameters"][-1]
        self._serve = serve
        self._programs: dict[int, Direct] = {}

    def __call__(self, observations: np.ndarray) -> dict[str, np.ndarray]:
        """What to do.

        Args:
          observations: [N, S], raw.

        Returns:
          The model's outputs by name; see `export.save`.

        Raises:
          ValueError: the observations have another shape, or are no finite numbers.
        """
        given = np.asarray(observations)
        if given.dtype.kind not in "biuf":
            raise ValueError(f"expected observations of real numbers, received {given.dtype}")
        rows = given
        if given.dtype != self.dtype:  # errstate takes microseconds
            with np.errstate(over="ignore"):  # too large for float32 is not finite
                rows = given.astype(self.dtype)
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise ValueError(
                f"expected observations of shape [N, {self.features}], received {list(rows.shape)}"
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"expected finite observations of {rows.dtype}, received others")
        # Padded, so that a few programs do for all numbers of rows.
        number, padded = len(rows), 1 << max(len(rows) - 1, 0).bit_length()
        if padded != number:
            rows = np.concatenate([rows, np.zeros([padded - number, self.features], self.dtype)])
        if padded not in self._programs:
            shape = tf.TensorSpec([padded, self.features], self.dtype)
            self._programs[padded] = Direct(lambda rows: self._serve(observation=rows), shape)
        answers = self._programs[padded](rows)
        return {name: t.numpy()[:number] for name, t in zip(Answer._fields, answers, strict=True)}
