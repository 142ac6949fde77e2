"""MLflow as a view of the records; the only importer of `mlflow`.

`View.sync` makes MLflow show exactly one record: what it lacks is added, what it has is left alone.
Everything else is that call: live tracking (`Tracker`) syncs growing snapshots of a record from a
background thread, `relayed` those of several processes, `rebuild` syncs the finished records of a
checkout.

Environment: `MLFLOW_TRACKING_URI` is the address (default: `mlflow.db` and `mlartifacts/` in the
project's root), `PAMDP_TRACKING=off` switches tracking off.
"""

from pamdp.tracking.checkout import collect, rebuild
from pamdp.tracking.connection import address, enabled
from pamdp.tracking.models import Signature, log_model
from pamdp.tracking.relay import relayed
from pamdp.tracking.tracker import Tracker, ensure_experiment
from pamdp.tracking.view import View

__all__ = [
    "Signature",
    "Tracker",
    "View",
    "address",
    "collect",
    "enabled",
    "ensure_experiment",
    "log_model",
    "rebuild",
    "relayed",
]
