"""The record of a run: a tree of plain values, written as canonical JSON.

A record is part of a DVC output and therefore the truth; MLflow is a view of it (`tracking`). It
holds no wall times, machine names or commits, so that equal runs give equal bytes.
"""

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str | None


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
        """Reads a record that `write` wrote."""
        return cls.model_validate(read_json(path))


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as JSON: sorted keys, shortest floats, one trailing newline, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    scratch.replace(path)


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text())


def write_csv(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    """Writes a table; a missing value is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
