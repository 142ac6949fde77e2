"""What a checkout holds, shown in MLflow."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pamdp.files import read_json
from pamdp.records import Run
from pamdp.tracking.connection import enabled
from pamdp.tracking.files import digest, files_below
from pamdp.tracking.models import log_model
from pamdp.tracking.view import View


def collect(root: Path) -> list[Run]:
    """The finished records of a checkout, with the results that came after training.

    The evaluation's numbers become metrics `evaluate/...` of the training runs, at their last
    step; the report's files become the artifacts of a run `report`.
    """
    runs = [
        Run.read(path)
        for stage in ("tune", "train")
        for path in sorted((root / "metrics" / stage).glob("*/record.json"))
    ]
    summary = root / "metrics" / "evaluate" / "summary.json"
    results = read_json(summary) if summary.is_file() else {}
    for run in runs:
        stage, _, cell = run.key.partition("/")
        if stage == "train" and cell in results:
            step = max(_last_step(each) for each in (run, *run.children))
            for name, value in _numbers("", results[cell]):
                run.metrics[f"evaluate/{name}"] = [(step, value)]
    if report := files_below(root, "metrics/report"):
        content = digest(root, report)
        tags = {"stage": "report"}
        runs.append(Run(key="report", fingerprint=content, tags=tags, artifacts=report))
    return runs


def rebuild(experiment: str, root: Path) -> list[str]:
    """Makes MLflow show all that a checkout holds: records, results, report and models.

    A model is registered where `models/<cell>/signature.json` holds its `Signature`.

    Returns:
      The keys of the records and the folders of the models; none if tracking is off.
    """
    if not enabled():
        return []
    view = View(experiment, root)
    runs = collect(root)
    for run in runs:
        view.sync(run, final=True)
    models = sorted((root / "models").glob("*/signature.json"))
    for path in models:
        log_model(view, path.parent.name, read_json(path))
    return [run.key for run in runs] + [f"models/{path.parent.name}" for path in models]


def _last_step(run: Run) -> int:
    return max((points[-1][0] for points in run.metrics.values() if points), default=0)


def _numbers(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The numbers of nested mappings, their path joined by underscores; lists are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}_{key}" if name else key, inner)
    elif isinstance(value, int | float):
        yield name, float(value)
