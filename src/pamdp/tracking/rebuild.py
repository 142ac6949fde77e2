"""What a checkout holds, shown in MLflow."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.files import read_json
from pamdp.records import Run
from pamdp.tracking import database, failures
from pamdp.tracking.connection import DATABASE, address, chosen, enabled, load, told, within
from pamdp.tracking.files import digest, files_below
from pamdp.tracking.models import log_model
from pamdp.tracking.view import View


def collect(root: Path) -> list[Run]:
    """The finished records of a checkout, with the results that came after training.

    The evaluation's numbers become metrics `evaluate/...` of the training runs, at their last
    step; the report's files become the artifacts of a run `report`.

    Raises:
      Damaged: one of the files cannot be read.
    """
    return [record() for record in _records(root)]


def rebuild(experiment: str, root: Path, patience: float = 60.0) -> list[str]:
    """Makes MLflow show all that a checkout holds: records, results, report and models.

    A model is registered where `models/<cell>/signature.json` holds its `Signature`.

    Args:
      experiment: the experiment's name.
      root: the project's root.
      patience: the longest wait for the first answer of a server, in seconds.

    Returns:
      The keys of the records and the folders of the models; none if tracking is off.

    Raises:
      PamdpError: MLflow cannot be reached, or what a file holds cannot be shown; what can is.
    """
    if not enabled():
        return []
    try:
        load()
        view = within(patience if chosen() else None, lambda: open_view(experiment, root))
        shown, failed = show(view)
    except PamdpError:
        raise
    except Exception as error:  # whatever MLflow and a server may raise
        where = chosen() or root / DATABASE
        raise PamdpError(
            told(f"MLflow at {where}: {type(error).__name__}: {error}")
            + "; the records are safe, and `pamdp track` shows them once it can be reached"
        ) from error
    failures.forget(root)
    if failed:
        raise PamdpError(f"{len(shown)} shown in MLflow, {len(failed)} not: {failed[0]}")
    return shown


def open_view(experiment: str, root: Path) -> View:
    """A view of the address that the user has chosen, or of `mlflow.db` in the project's root.

    Where there is none, or none that can be read, it is made from the records.
    """
    if uri := chosen():
        return View(experiment, root, uri)
    database.ensure(root, lambda uri: show(View(experiment, root, uri)))
    return View(experiment, root, address(root / DATABASE))


def show(view: View) -> tuple[list[str], list[Exception]]:
    """Makes MLflow show all that the view's checkout holds, as far as its files can be read.

    Returns:
      The keys of the records and the folders of the models, and what was wrong with the others.
    """
    shown: list[str] = []
    failed: list[Exception] = []
    models = sorted((view.root / "models").glob("*/signature.json"))
    for job in (*(_sync(record) for record in _records(view.root)), *map(_log, models)):
        try:
            shown.append(job(view))
        except (PamdpError, FileNotFoundError) as error:
            failed.append(error)
    return shown, failed


def _sync(record: Callable[[], Run]) -> Callable[[View], str]:
    def job(view: View) -> str:
        run = record()
        view.sync(run, final=True)
        return run.key

    return job


def _log(path: Path) -> Callable[[View], str]:
    def job(view: View) -> str:
        log_model(view, path.parent.name, read_json(path))
        return f"models/{path.parent.name}"

    return job


def _records(root: Path) -> list[Callable[[], Run]]:
    """Reads the finished records, one with each call."""
    summary = root / "metrics" / "evaluate" / "summary.json"
    results = cache(lambda: read_json(summary, dict) if summary.is_file() else {})

    def trained(path: Path) -> Run:
        run = Run.read(path)
        if found := results().get(run.key.partition("/")[2]):
            step = max(_last_step(each) for each in (run, *run.children))
            for name, value in _numbers("", found):
                run.metrics[f"evaluate/{name}"] = [(step, value)]
        return run

    def report() -> Run:
        files = files_below(root, "metrics/report")
        content = digest(root, files)
        return Run(key="report", fingerprint=content, tags={"stage": "report"}, artifacts=files)

    readers = {"tune": Run.read, "train": trained}
    found = [
        partial(read, path)
        for stage, read in readers.items()
        for path in sorted((root / "metrics" / stage).glob("*/record.json"))
    ]
    return [*found, report] if files_below(root, "metrics/report") else found


def _last_step(run: Run) -> int:
    return max((points[-1][0] for points in run.metrics.values() if points), default=0)


def _numbers(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The numbers of nested mappings, their path joined by underscores; lists are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}_{key}" if name else key, inner)
    elif isinstance(value, int | float):
        yield name, float(value)
