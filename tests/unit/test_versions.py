"""Setup refuses other versions than the locked ones."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.provenance import RESULT_PACKAGES
from pamdp.stages import setup
from tests.helpers import ROOT
from tests.unit.two_cells import small

LOCK = """\
# written by a tool
numpy==2.4.6 \\
    --hash=sha256:1111
    # via somebody==1.0
optuna==5.0.0 ; python_version < "4" \\
    --hash=sha256:2222
pywin32==306 ; sys_platform == "win32" \\
    --hash=sha256:3333
Some_Tool==1.2.post1
"""


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock file, and what is installed: change it at will."""
    installed = {"numpy": "2.4.6", "optuna": "5.0.0", "Some_Tool": "1.2.post1"}

    def version(name: str) -> str:
        if name not in installed:
            raise setup.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(setup, "version", version)
    (tmp_path / "requirements.lock").write_text(LOCK)
    return SimpleNamespace(path=tmp_path / "requirements.lock", installed=installed)


def test_the_locked_versions_are_accepted(lock):
    setup.check_versions(lock.path)


def test_all_other_versions_are_listed(lock):
    lock.installed.update({"numpy": "2.4.5", "Some_Tool": "1.2"})
    with pytest.raises(PamdpError) as error:
        setup.check_versions(lock.path)
    assert str(error.value).splitlines() == [
        "the installed packages are not those of requirements.lock:",
        "  numpy: expected 2.4.6, found 2.4.5",
        "  Some_Tool: expected 1.2.post1, found 1.2",
        "install these: `make install`, or `pip install --require-hashes -r requirements.lock`",
    ]


def test_a_tool_may_be_missing_and_what_computes_may_not(lock):
    del lock.installed["Some_Tool"]
    setup.check_versions(lock.path)
    del lock.installed["optuna"]
    with pytest.raises(PamdpError, match=r"  optuna: expected 5\.0\.0, found none\n"):
        setup.check_versions(lock.path)


def test_a_study_with_a_lock_is_held_to_it(lock, tmp_path):
    lock.installed["numpy"] = "2.4.5"
    with pytest.raises(PamdpError, match="numpy: expected"):
        setup.set_up(Checkout(small(), tmp_path))
    assert not (tmp_path / "metrics").exists()


def test_the_lock_has_all_that_results_come_from():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line and line[0] not in " #"}
    assert pinned >= set(RESULT_PACKAGES)
