"""MLflow as a view of the records; the only importer of `mlflow`.

`View.sync` makes MLflow show exactly one record: what it lacks is added, what it has stays.
All else is that call: `Live` syncs growing snapshots of a record from a background thread, `Folder`
leaves them for another process to sync, `rebuild` syncs the finished records of a checkout.

Environment: `MLFLOW_TRACKING_URI` is the address (default: `mlflow.db` and `mlartifacts/` in the
project's root), `PAMDP_TRACKING=off` switches tracking off, `PAMDP_RECORDS` names the folder where
snapshots are left for the process that has set it.
"""

import os
from pathlib import Path

from pamdp.tracking.connection import enabled
from pamdp.tracking.folder import VARIABLE, Folder, showing
from pamdp.tracking.live import Live
from pamdp.tracking.rebuild import collect, open_pages, rebuild
from pamdp.tracking.sink import Sink

__all__ = ["Sink", "collect", "open_pages", "open_sink", "rebuild", "showing"]


def open_sink(experiment: str, root: Path) -> Sink:
    """What the environment says that records are to be shown by; a context manager.

    Args:
      experiment: the experiment's name.
      root: the project's root.
    """
    if not enabled():
        return Sink()
    folder = os.environ.get(VARIABLE)
    return Folder(Path(folder)) if folder else Live(experiment, root)
