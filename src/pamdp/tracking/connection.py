"""Where MLflow is and how it is reached."""

import logging
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"  # in the project's root
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

_Result = TypeVar("_Result")


def enabled() -> bool:
    """Whether tracking is on: unless `PAMDP_TRACKING=off`."""
    return os.environ.get("PAMDP_TRACKING", "").lower() != "off"


def chosen() -> str | None:
    """The address that the user has chosen, `MLFLOW_TRACKING_URI`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def address(path: Path) -> str:
    """The address of a database, whatever its path and wherever the process stands."""
    # With the driver's name, because MLflow takes what follows "sqlite:///" for a path as it
    # stands and makes its folders.
    quoted = str(path.resolve()).replace("%", "%25").replace("?", "%3F")
    return f"sqlite+pysqlite:///{quoted}"


def artifacts(root: Path) -> str:
    """The address of the artifacts of a project's default database."""
    return (root.resolve() / "mlartifacts").as_uri()


def told(text: object) -> str:
    """Text about an address as one line, without the name and password that it may hold."""
    return re.sub(r"//[^/@\s]*@", "//", " ".join(str(text).split()))[:300]


def configure() -> None:
    """Sets MLflow's settings in the environment, where the user has not."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a line for every retry


def load() -> None:
    """Imports MLflow, which takes seconds."""
    configure()
    from mlflow import MlflowClient  # noqa: F401


def connect(experiment: str, root: Path, uri: str) -> tuple["MlflowClient", str]:
    """Connects to MLflow, creating the experiment if need be.

    Returns:
      The client and the id of the experiment.
    """
    configure()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    if found := client.get_experiment_by_name(experiment):
        return client, found.experiment_id
    # A server decides itself where artifacts go; for a database the client has to.
    served = uri.startswith(("http:", "https:"))
    location = None if served else artifacts(root)
    try:
        return client, client.create_experiment(experiment, location)
    except MlflowException:
        if found := client.get_experiment_by_name(experiment):  # another process was first
            return client, found.experiment_id
        raise


def within(seconds: float | None, call: Callable[[], _Result]) -> _Result:
    """What a call returns; one that takes longer is left to itself.

    Raises:
      TimeoutError: it took longer.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  raised where it is waited for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None
