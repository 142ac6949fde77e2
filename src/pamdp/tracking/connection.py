"""Where MLflow is and how it is reached."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Set unless the user has set them; they have to stand before mlflow is first imported.
DEFAULTS = {
    # MLflow reports usage to its makers by default, from the import on.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # 7 retries of 120 s by default: a stage would wait for minutes for a server that is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # What fails is raised as well as logged; it is reported once, by the sink.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def enabled() -> bool:
    """Whether tracking is on: unless `PAMDP_TRACKING=off`."""
    return os.environ.get("PAMDP_TRACKING", "").lower() != "off"


def address(root: Path) -> str:
    """Where MLflow's data are: `MLFLOW_TRACKING_URI`, else a database in `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve()}/mlflow.db"


def configure() -> None:
    """Sets MLflow's settings in the environment, where the user has not."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a line for every retry


def connect(experiment: str, root: Path) -> tuple["MlflowClient", str]:
    """Connects to MLflow, creating database and experiment if need be.

    Returns:
      The client and the id of the experiment.
    """
    configure()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = address(root)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    if found := client.get_experiment_by_name(experiment):
        return client, found.experiment_id
    # A server decides itself where artifacts go; for a database the client has to.
    served = uri.startswith(("http:", "https:"))
    location = None if served else (root.resolve() / "mlartifacts").as_uri()
    try:
        return client, client.create_experiment(experiment, location)
    except MlflowException:
        if found := client.get_experiment_by_name(experiment):  # another process was first
            return client, found.experiment_id
        raise
