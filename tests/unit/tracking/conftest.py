"""A database of MLflow for tests to write to."""

import shutil
from pathlib import Path

import pytest

from pamdp.tracking.connection import address
from pamdp.tracking.rebuild import open_view


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """One database for all tests, because creating it takes seconds; its path has a space."""
    root = tmp_path_factory.mktemp("a checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("PAMDP_TRACKING", raising=False)
        assert (
            open_view("first", root).experiment_id == open_view("first", root).experiment_id != "0"
        )
    shutil.copy(root / "mlflow.db", root / "template.db")
    return address(root / "mlflow.db")


@pytest.fixture(scope="session")
def template(database):
    """A whole database without runs, to be copied."""
    return Path(database.removeprefix("sqlite+pysqlite:///")).with_name("template.db")


@pytest.fixture(autouse=True)
def tracked(database, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    for name in ("PAMDP_TRACKING", "PAMDP_RECORDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fresh(request, tmp_path):
    """Gives a view as another process would have it: one that knows nothing yet."""
    return lambda: open_view(request.node.name, tmp_path)
