"""What is edited while a stage of all cells runs."""

from __future__ import annotations

import shutil

import pytest

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.settings import SHIPPED
from pamdp.stages import results
from pamdp.stages.unchanged import unchanged
from tests.unit.two_cells import set_up


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    """The shipped settings, of which `setup` has looked at two cells' code."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(SHIPPED, tmp_path / "params.yaml")
    set_up(tmp_path)
    monkeypatch.setattr("pamdp.settings.Settings.cells", set_up(tmp_path).settings.cells)
    return Checkout.here()


def test_settings_are_refused_at_its_end(checkout) -> None:
    path = checkout.root / "params.yaml"
    text = path.read_text()
    other = text.replace("  episodes: 1000 #", "  episodes: 999 #")
    assert other != text
    stage = unchanged(checkout, "evaluate")
    stage.__enter__()
    path.write_text(other)
    with pytest.raises(PamdpError, match="edited while it ran; its results are not recorded"):
        stage.__exit__(None, None, None)


def test_comments_may_be_edited_and_an_error_of_the_stage_is_told(checkout) -> None:
    path = checkout.root / "params.yaml"
    with unchanged(checkout, "report"):
        path.write_text(f"# Another comment.\n{path.read_text()}")
    error = RuntimeError("of its own")
    with pytest.raises(RuntimeError, match="of its own"), unchanged(checkout, "report"):
        raise error


@pytest.mark.parametrize("stage", ["evaluate", "export", "report"])
@pytest.mark.parametrize("other", ["code", "packages"])
def test_code_and_packages_that_setup_has_not_looked_at_are_refused(
    checkout, monkeypatch, stage, other
) -> None:
    held = unchanged(checkout, stage)
    held.__enter__()  # nothing is edited yet
    if other == "code":
        now, own = results.digest, f"pamdp.stages.{stage}"
        edited = {"source": "edited"}
        monkeypatch.setattr(
            results, "digest", lambda modules: now(modules) | (edited if own in modules else {})
        )
    else:
        monkeypatch.setattr(results, "versions", lambda: {"packages": {"numpy": "0.1"}})
    name = {"code": f"code/{stage}", "packages": "versions"}[other]
    expected = f"^{name}: expected what `setup` has looked at, received other code or packages"
    with pytest.raises(PamdpError, match=expected):
        held.__exit__(None, None, None)
    with pytest.raises(PamdpError, match=expected), unchanged(checkout, stage):
        pass


def test_setup_that_looks_again_meanwhile_is_refused(checkout) -> None:
    stage = unchanged(checkout, "export")
    stage.__enter__()
    write_json(checkout.setup / "thresholds.json", {})
    with pytest.raises(PamdpError, match=r"^export: expected the settings and facts that it began"):
        stage.__exit__(None, None, None)
