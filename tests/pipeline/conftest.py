"""The studies that the tests look at: each is run once, however many processes test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.pipeline import checkout, small


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of this test session have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def study(shared) -> Path:
    """A study from nothing to the report. Do not change anything in it; `copy` may be changed."""
    return checkout.once(shared / "study", small.run_study, lambda: built_other(shared))


@pytest.fixture
def copy(study, tmp_path) -> Path:
    """The finished study, to be changed."""
    return shutil.copytree(study, tmp_path / "copy", symlinks=True)


@pytest.fixture(scope="session")
def other(shared) -> Path:
    """One cell of the same study at another place, under adverse conditions."""
    return built_other(shared)


def built_other(shared: Path) -> Path:
    return checkout.once(shared / "another place", small.run_cell)
