"""Calls an exported policy for MLflow; a copy of this file goes with every logged model.

MLflow's own loader refuses float64 where a signature says float32, and drops axes of length one
from what TensorFlow answers.
"""

from pathlib import Path
from typing import Any

import numpy as np

OBSERVATION = "observation"
FOLDER = "saved_model"  # in the folder of the logged model


class Policy:
    """A SavedModel as MLflow calls it."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._model = tf.saved_model.load(str(folder))  # its signature does not keep it alive
        self._serve = self._model.signatures["serving_default"]
        self._observation = self._serve.structured_input_signature[1][OBSERVATION]

    def predict(self, data: Any) -> dict[str, np.ndarray]:
        """What to do.

        Args:
          data: observations [N, S] as an array, nested lists, a mapping or a table with
            `observation`, or a list of such mappings, one for each row; any kind of number.

        Returns:
          The outputs by name, with the shapes and types of the signature.

        Raises:
          MlflowException: the observations have another shape, are no finite numbers, or there are
            none.
        """
        import tensorflow as tf

        answers = self._serve(**{OBSERVATION: tf.constant(self._rows(data))})
        return {name: answer.numpy() for name, answer in answers.items()}

    def _rows(self, data: Any) -> np.ndarray:
        """The observations as the model takes them."""
        from mlflow.exceptions import MlflowException

        width, dtype = self._observation.shape[1], self._observation.dtype
        expected = f"{OBSERVATION}: expected finite numbers of shape [N, {width}]"
        try:
            given = np.asarray(_observations(data))
        except (TypeError, ValueError, KeyError) as error:
            text = f"{expected}, received {type(error).__name__}: {error}"
            raise MlflowException.invalid_parameter_value(text) from None
        if given.ndim != 2 or given.shape[1] != width:
            text = f"{expected}, received shape {list(given.shape)}"
            raise MlflowException.invalid_parameter_value(text)
        if given.dtype.kind not in "biuf":  # numpy would read text, and drop an imaginary part
            text = f"{expected}, received {given.dtype}"
            raise MlflowException.invalid_parameter_value(text)
        with np.errstate(over="ignore"):  # too large for float32 is not finite
            rows = given.astype(dtype.as_numpy_dtype)
        if not np.isfinite(rows).all():
            number = int(np.argmin(np.isfinite(rows).all(axis=1)))
            text = f"{expected}, received row {number}: {given[number].tolist()}"
            raise MlflowException.invalid_parameter_value(text)
        return rows


def _observations(data: Any) -> Any:
    """What stands under the name of the observation, or the data itself."""
    import pandas as pd

    if isinstance(data, dict):
        return data[OBSERVATION]
    if isinstance(data, pd.DataFrame):
        return [*data[OBSERVATION]]
    if isinstance(data, list):
        return [row[OBSERVATION] if isinstance(row, dict) else row for row in data]
    return data


def _load_pyfunc(path: str) -> Policy:
    """What MLflow calls with the folder of the logged model."""
    return Policy(Path(path) / FOLDER)
