"""What MLflow shows of finished results besides their records: words, files, numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML

from pamdp.files import read_json
from pamdp.ranking import best_cells, read_words
from pamdp.records import Run, Scalar
from pamdp.tracking.files import digest, files_below, text_of

NOTE = "mlflow.note.content"  # the description, in Markdown
EVALUATE = "evaluate"  # begins the names of the evaluation's metrics, and their group of charts
CONFIGURATION = "configuration.yaml"


class Page(Run):
    """A record with what is shown besides.

    Attributes:
      texts: artifacts that are no files of the checkout, by name.
    """

    texts: dict[str, str] = Field(default_factory=dict)


class Results:
    """What a checkout holds after training.

    Args:
      root: the project's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the evaluation found, by cell; empty before."""
        path = self._root / "metrics" / "evaluate" / "summary.json"
        return read_json(path, dict) if path.is_file() else {}

    @cached_property
    def figures(self) -> list[str]:
        """The files of the report, relative to the root."""
        return files_below(self._root, "metrics/report")

    def best(self) -> dict[str, str]:
        """The cell with the highest mean return of each environment."""
        return best_cells(self.summary, read_words(self._root))

    def trained(self, path: Path) -> Page:
        """The page of a training: its record, the settings, and what was found out about it.

        The evaluation is of no step of the training, so that its numbers are at step 0: MLflow
        draws those as bars, one for each run, and no longer as lines of one dot.
        """
        page = Page(**dict(Run.read(path)))
        page.texts[CONFIGURATION] = configuration(page.parameters)
        environment, algorithm = page.tags.get("environment"), page.tags.get("algorithm")
        cell = page.key.partition("/")[2]
        if found := self.summary.get(cell):
            has = f"`{CONFIGURATION}` among the artifacts has all settings, with tuned values."
            page.tags[NOTE] = f"{sentence(page, found)}\n\n{has}"
            for name, value in _numbers("", found):
                page.metrics[f"{EVALUATE}/{name}"] = [(0, value)]
        wanted = [f"{environment}-returns.svg", f"{environment}-curves-{algorithm}.svg"]
        if cell in self.best().values():
            wanted.append(f"{environment}-best.gif")
        page.artifacts += [path for path in self.figures if path.rpartition("/")[2] in wanted]
        return page

    def report(self) -> Page:
        """The page of the report."""
        content = digest(self._root, self.figures)
        tags = {"stage": "report"}
        return Page(key="report", fingerprint=content, tags=tags, artifacts=self.figures)


def sentence(run: Run, found: Mapping[str, Any]) -> str:
    """What came of a training, in Markdown.

    Args:
      run: its record.
      found: its entry in the evaluation's summary.
    """
    seeds, steps = found["per_seed"], run.parameters.get("training.steps")
    score = _interval(found["return"], "mean_low", "mean_high")
    words = [f"Mean greedy return **{found['return']['mean']:.4f}**{score}"]
    if environment := run.tags.get("environment"):
        words.append(f"on `{environment}`")
    words.append(f"over {len(seeds)} seed{'s' * (len(seeds) != 1)}")
    if isinstance(steps, int):
        words.append(f"of {steps:,} training steps")
    text = " ".join(words)
    success = found.get("success") or {}
    if success.get("mean") is not None:
        share = _interval(success, "low", "high")
        text += f"; share of successful episodes **{success['mean']:.4f}**{share}"
    best = max(seeds, key=itemgetter("mean"))
    return f"{text}. The best seed is {best['seed']}, with {best['mean']:.4f}."


def searched(run: Run) -> Run:
    """The record of a search with what it has found so far: the best score and its values.

    The score so far is a curve over the numbers of the trials. The values are tags, as MLflow never
    changes a parameter and a study may grow.
    """
    scores = {
        int(child.tags.get("trial", number)): (child.metrics["score"][-1][1], child)
        for number, child in enumerate(run.children)
        if child.metrics.get("score")
    }
    if not scores:
        return run
    curve: list[tuple[int, float]] = []
    best = min(scores)
    for number in sorted(scores):
        best = number if scores[number][0] > scores[best][0] else best
        curve.append((number, scores[best][0]))
    (score, child), metrics = scores[best], {"tune/best_score": curve}
    words = f"Best score **{score:.4f}**, of trial {best}"
    if 0 in scores:
        gain = score - scores[0][0]
        metrics["tune/gain_over_trial_0"] = [(0, gain)]
        words += f"; trial 0, the settings as they stand, has {scores[0][0]:.4f} (gain {gain:.4f})"
    values = {path: text_of(value) for path, value in child.parameters.items()}
    rows = [f"| `{path}` | {value} |" for path, value in values.items()]
    table = "\n".join(["| setting | best value |", "|---|---|", *rows]) if rows else ""
    tags = {"best.trial": str(best), NOTE: f"{words}.\n\n{table}".strip()}
    tags |= {f"best.{path}": value for path, value in values.items()}
    return run.model_copy(
        update={"tags": run.tags | tags, "metrics": run.metrics | metrics},
    )


def configuration(parameters: Mapping[str, Scalar]) -> str:
    """Flattened settings as YAML, nested as in params.yaml."""
    nested: dict[str, Any] = {}
    for path, value in parameters.items():
        *folders, name = path.split(".")
        inner = nested
        for folder in folders:
            known = inner.setdefault(folder, {})
            if not isinstance(known, dict):  # the name of what has settings, too
                inner[folder] = known = {"name": known}
            inner = known
        inner[name] = value
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = False
    yaml.dump(_lists(nested), text)
    return text.getvalue()


def _lists(value: Any) -> Any:
    """Mappings whose keys are 0, 1, ... as lists, since that is how lists are flattened."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(each) for name, each in value.items()}
    return [*inner.values()] if [*inner] == [*map(str, range(len(inner)))] and inner else inner


def _interval(found: Mapping[str, Any], low: str, high: str) -> str:
    ends = found.get(low), found.get(high)
    return "" if None in ends else f" [{ends[0]:.4f}, {ends[1]:.4f}]"


def _numbers(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The numbers of nested mappings, their path joined by underscores; lists are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}_{key}" if name else key, inner)
    elif isinstance(value, int | float):
        yield name, float(value)
