"""A database of MLflow for tests to write to."""

import pytest

from pamdp.tracking.connection import address
from pamdp.tracking.view import View


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """One database for all tests, because creating it takes seconds; its path has a space."""
    root = tmp_path_factory.mktemp("a checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("PAMDP_TRACKING", raising=False)
        assert address(root) == f"sqlite:///{root}/mlflow.db"
        assert View("first", root).experiment_id == View("first", root).experiment_id != "0"
    assert (root / "mlflow.db").is_file()
    return address(root)


@pytest.fixture(autouse=True)
def tracked(database, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    for name in ("PAMDP_TRACKING", "PAMDP_RECORDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fresh(request, tmp_path):
    """Gives a view as another process would have it: one that knows nothing yet."""
    return lambda: View(request.node.name, tmp_path)
