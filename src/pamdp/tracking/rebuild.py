"""What a checkout holds, shown in MLflow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.base.places import workspace
from pamdp.files import read_json
from pamdp.records import Run
from pamdp.tracking import database, failures
from pamdp.tracking.connection import DATABASE, address, chosen, enabled, load, told, within
from pamdp.tracking.models import crown, log_model
from pamdp.tracking.overview import records_of, route, show_overview
from pamdp.tracking.pages import Results
from pamdp.tracking.view import FINGERPRINT, KEY, View


def collect(root: Path) -> list[Run]:
    """The finished records of a checkout, with the results that came after training.

    The evaluation's numbers become metrics `evaluate/...` of the training runs; the report's files
    become the artifacts of a run `report`.

    Raises:
      Damaged: one of the files cannot be read.
    """
    return [record() for record in _records(root)]


def rebuild(experiment: str, root: Path, patience: float = 60.0) -> list[str]:
    """Makes MLflow show all that a checkout holds: records, results, report and models.

    A model is registered where `models/<cell>/signature.json` holds its `Signature`, and
    `training.json` the fingerprint of the training's record.

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
    with _explained(root):
        shown, failed = show(_opened(experiment, root, patience))
    failures.forget(root)
    if failed:
        raise PamdpError(f"{len(shown)} shown in MLflow, {len(failed)} not: {failed[0]}")
    return shown


def open_pages(experiment: str, root: Path, patience: float = 60.0) -> tuple[str, str]:
    """Sees to it that MLflow has the page of a study, with all trainings that the checkout holds.

    Args:
      experiment: the experiment's name.
      root: the project's root.
      patience: the longest wait for the first answer of a server, in seconds.

    Returns:
      The address of MLflow's data, and that of the page, below a server's own.

    Raises:
      PamdpError: MLflow cannot be reached.
    """
    with _explained(root):
        view = _opened(experiment, root, patience)
        if _shows_trainings(view, root):
            show_study(view)
        else:
            show(view)
        return view.uri, route(view.experiment_id)


def _shows_trainings(view: View, root: Path) -> bool:
    """Whether the current runs are those of the trainings that a checkout holds."""
    tags = [run.data.tags for run in view.current()]
    shown = {(each.get(KEY), each.get(FINGERPRINT)) for each in tags}
    try:
        records = [Run.read(path) for path in records_of(root)]
    except PamdpError:  # one is damaged
        return False
    return all((record.key, record.fingerprint) in shown for record in records)


def _opened(experiment: str, root: Path, patience: float) -> View:
    load()
    return within(patience if chosen() else None, lambda: open_view(experiment, root))


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Makes one message of what goes wrong with MLflow."""
    try:
        yield
    except PamdpError:
        raise
    except Exception as error:  # whatever MLflow and a server may raise
        where = chosen() or root / DATABASE
        raise PamdpError(
            told(f"MLflow at {where}: {type(error).__name__}: {error}")
            + "; the records are safe, and `pamdp track` shows them once it can be reached"
        ) from error


def open_view(experiment: str, root: Path) -> View:
    """A view of the address that the user has chosen, or of `mlflow.db` in the project's root.

    What DVC runs beside the workspace is shown in the workspace's.

    Where there is none, or none that can be read, it is made from the records.
    """
    if uri := chosen():
        return View(experiment, root, uri)
    home = workspace(root)
    database.ensure(home, lambda uri: show(View(experiment, home, uri)))
    return View(experiment, root, address(home / DATABASE))


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
            shown += filter(None, [job(view)])
        except (PamdpError, FileNotFoundError) as error:
            failed.append(error)
    show_study(view)
    return shown, failed


def show_study(view: View) -> None:
    """Makes MLflow show the study as a whole: its headline, its table of cells, its best model."""
    show_overview(view)
    crown(view)


def _sync(record: Callable[[], Run]) -> Callable[[View], str]:
    def job(view: View) -> str:
        run = record()
        view.sync(run, final=True)
        return run.key

    return job


def _log(path: Path) -> Callable[[View], str | None]:
    def job(view: View) -> str | None:
        cell = path.parent.name
        return f"models/{cell}" if log_model(view, cell, read_json(path)) else None

    return job


def _records(root: Path) -> list[Callable[[], Run]]:
    """Reads the finished records, one with each call."""
    results = Results(root)
    readers = {"tune": Run.read, "train": results.trained}
    found = [
        partial(read, path)
        for stage, read in readers.items()
        for path in sorted((root / "metrics" / stage).glob("*/record.json"))
    ]
    return [*found, results.report] if results.figures else found
