"""MLflow, made to show records."""

import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pamdp.base.places import workspace
from pamdp.records import Run
from pamdp.tracking.connection import connect
from pamdp.tracking.files import digest, git_tags, require_artifacts, text_of, user_tags
from pamdp.tracking.pages import Page, searched

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

KEY, FINGERPRINT, DIGEST = "pamdp.key", "pamdp.fingerprint", "pamdp.digest"
CURRENT = "pamdp.current"  # the runs of trainings that the workspace holds, and not earlier ones
EXPERIMENT = "dvc.experiment"  # the name of what DVC runs beside the workspace
PARENT = "mlflow.parentRunId"
METRICS_PER_CALL, OTHERS_PER_CALL = 1000, 100  # what MLflow takes in one log_batch

_T = TypeVar("_T")


@dataclass
class _Shown:
    """What MLflow shows of one run; `points` is metric name to step to value."""

    run_id: str
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    points: dict[str, dict[int, float | str]] = field(default_factory=dict)
    finished: bool = False


class View:
    """One experiment of MLflow, made to show records; for use by one thread.

    What DVC runs beside the workspace has runs of its own, with the experiment's name as a tag.

    Attributes:
      root: the project's root.
      uri: the address of MLflow's data.
      beside: the name of the experiment that DVC runs there, beside the workspace.

    Args:
      experiment: the experiment's name; it is created if need be.
      root: the project's root, to which the records' artifacts are relative.
      uri: the address of MLflow's data.
    """

    def __init__(self, experiment: str, root: Path, uri: str) -> None:
        self.root, self.uri = root.resolve(), uri
        home = workspace(self.root)
        name = os.environ.get("DVC_EXP_NAME") or self.root.name
        self.beside = None if home == self.root else name
        self.client, self.experiment_id = connect(experiment, home, uri)
        self._known: dict[tuple[str, str, str | None], _Shown] = {}

    def sync(self, run: Run, final: bool, live: bool = False) -> str:
        """Makes MLflow show `run` and its children; a second time changes nothing.

        A run is known by its key and fingerprint (a child by its parent too), so that a rerun with
        another fingerprint is a new run and the old one stays.

        Args:
          run: the record, or a growing snapshot of it.
          final: the record is complete: its artifacts are logged and the runs end as FINISHED.
          live: its work is done now. What was done earlier may be of another commit, which nothing
            tells, and is shown without.

        Returns:
          MLflow's id of the run.

        Raises:
          FileNotFoundError: an artifact of a final record does not exist.
        """
        if final:
            require_artifacts(self.root, run)
        shown = searched(run) if run.key.startswith("tune/") else run
        run_id = self._sync(shown, final, None, live or not final)
        if run.key.startswith("train/") and not self.beside:
            self._set_current(run)
        return run_id

    def current(self) -> "list[MlflowRun]":
        """The runs of trainings that the workspace holds."""
        return list(self.client.search_runs([self.experiment_id], f"tags.`{CURRENT}` = 'true'"))

    def _set_current(self, run: Run) -> None:
        """Makes a run the current one of its key."""
        shown = self._known[run.key, run.fingerprint, None]
        if CURRENT in shown.tags:
            return
        for other in self.current():
            if other.data.tags.get(KEY) == run.key:
                self.client.delete_tag(other.info.run_id, CURRENT)
        self.client.set_tag(shown.run_id, CURRENT, "true")
        shown.tags[CURRENT] = "true"

    def _sync(self, run: Run, final: bool, parent_id: str | None, live: bool) -> str:
        identity = (run.key, run.fingerprint, parent_id)
        if identity not in self._known:
            # Read once: from here on this process knows what MLflow shows.
            self._known[identity] = self._find(run, parent_id) or self._create(run, parent_id, live)
        shown = self._known[identity]
        self._add_fields(run, shown)
        self._add_points(run, shown)
        for child in run.children:
            self._sync(child, final, shown.run_id, live)
        if final:
            self._add_artifacts(run, shown)
            self._finish(shown)
        return shown.run_id

    def _find(self, run: Run, parent_id: str | None) -> _Shown | None:
        query = " and ".join(f"tags.`{k}` = '{v}'" for k, v in _identity(run, parent_id).items())
        candidates = self.client.search_runs(
            [self.experiment_id], query, order_by=["attributes.start_time ASC"]
        )
        found = [each for each in candidates if each.data.tags.get(EXPERIMENT) == self.beside]
        if not found and run.key.startswith("tune/"):  # no evaluation changes it: one is enough
            found = candidates
        if not found:
            return None
        run_id, data = found[0].info.run_id, found[0].data
        points: dict[str, dict[int, float | str]] = {}
        for name in data.metrics:
            history = self.client.get_metric_history(run_id, name)
            points[name] = {point.step: _comparable(point.value) for point in history}
        finished = found[0].info.status == "FINISHED"
        return _Shown(run_id, dict(data.tags), set(data.params), points, finished)

    def _create(self, run: Run, parent_id: str | None, live: bool) -> _Shown:
        # "train platform-mpdqn-inverting" for a parent, "seed-1" below it.
        name = run.key.rpartition("/")[2] if parent_id else run.key.replace("/", " ")
        command = "pamdp " + " ".join(run.key.split("/")[:2])
        tags = run.tags | _identity(run, parent_id) | user_tags(command)
        if live:
            tags |= git_tags(self.root)
        if self.beside:
            tags[EXPERIMENT] = self.beside
        made = self.client.create_run(self.experiment_id, tags=tags, run_name=name)
        return _Shown(made.info.run_id, tags)

    def _add_fields(self, run: Run, shown: _Shown) -> None:
        from mlflow.entities import Param, RunTag

        tags = [RunTag(k, v) for k, v in run.tags.items() if shown.tags.get(k) != v]
        for batch in _batches(tags, OTHERS_PER_CALL):
            self.client.log_batch(shown.run_id, tags=batch)
            shown.tags.update((tag.key, tag.value) for tag in batch)
        params = [Param(k, text_of(v)) for k, v in run.parameters.items() if k not in shown.params]
        for batch in _batches(params, OTHERS_PER_CALL):
            self.client.log_batch(shown.run_id, params=batch)
            shown.params.update(param.key for param in batch)

    def _add_points(self, run: Run, shown: _Shown) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(name, value, now, step)
            for name, series in run.metrics.items()
            for step, value in series
            if shown.points.get(name, {}).get(step) != _comparable(value)
        ]
        for batch in _batches(points, METRICS_PER_CALL):
            self.client.log_batch(shown.run_id, metrics=batch)
            for point in batch:
                shown.points.setdefault(point.key, {})[point.step] = _comparable(point.value)

    def _add_artifacts(self, run: Run, shown: _Shown) -> None:
        texts = run.texts if isinstance(run, Page) else {}
        content = digest(self.root, run.artifacts, texts)
        if not (run.artifacts or texts) or shown.tags.get(DIGEST) == content:
            return
        for name, text in texts.items():
            self.client.log_text(shown.run_id, text, name)
        for path in run.artifacts:
            folder = Path(path).parent.as_posix()
            self.client.log_artifact(
                shown.run_id, str(self.root / path), None if folder == "." else folder
            )
        # Last, so that an interrupted upload is done again.
        self.client.set_tag(shown.run_id, DIGEST, content)
        shown.tags[DIGEST] = content

    def _finish(self, shown: _Shown) -> None:
        if not shown.finished:
            self.client.set_terminated(shown.run_id)
            shown.finished = True


def _identity(run: Run, parent_id: str | None) -> dict[str, str]:
    tags = {KEY: run.key, FINGERPRINT: run.fingerprint}
    return tags | {PARENT: parent_id} if parent_id else tags


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _comparable(value: float) -> float | str:
    """A metric's value as it compares with what MLflow gives back.

    MLflow keeps infinities as the largest floats, and not a number equals nothing.
    """
    if math.isnan(value):
        return "nan"
    return max(-sys.float_info.max, min(sys.float_info.max, value))
