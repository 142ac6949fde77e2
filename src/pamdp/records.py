"""The record of a run: a tree of plain values, written as canonical JSON.

A record is part of a DVC output and therefore the truth; MLflow is a view of it (`tracking`). It
holds no wall times, machine names or commits, so that equal runs give equal bytes.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pamdp.files import read_json, reading, write_json

Scalar = bool | int | float | str | None


class Facts(BaseModel):
    """What `setup` found out about an environment, as far as other stages depend on it."""

    random_policy: dict[str, float]


class Best(BaseModel):
    """What a search found best: values by path, and their score."""

    values: dict[str, Any]
    score: float | None = None


class Score(BaseModel):
    """How a trained seed did."""

    seed: int
    mean: float


class Evaluated(BaseModel):
    """How a cell did, as far as other stages depend on it."""

    returns: dict[str, Any] = Field(alias="return")
    per_seed: list[Score]


Summary = dict[str, Evaluated]


class Run(BaseModel):
    """One run: a trained seed, a trial, or the parent of several.

    Attributes:
      key: unique and stable, such as `train/platform-mpdqn-inverting/seed-1`.
      fingerprint: hash of all that the run's results depend on; same fingerprint, same results.
      tags: what to search runs by (`cell`, `seed`, `stage`, `algorithm`, ...).
      parameters: the flattened settings of the run, path to value.
      metrics: name to points `(step, value)` in ascending order of step.
      artifacts: files that belong to the run, relative to the project's root.
      children: the runs of the seeds or trials.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    fingerprint: str
    tags: dict[str, str] = {}
    parameters: dict[str, Scalar] = {}
    metrics: dict[str, list[tuple[int, float]]] = {}
    artifacts: list[str] = []
    children: list["Run"] = []

    def write(self, path: Path) -> None:
        """Writes the record to `path`."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Reads a record that `write` wrote.

        Raises:
          Damaged: it cannot be read.
        """
        with reading(path):
            return cls.model_validate(read_json(path))
