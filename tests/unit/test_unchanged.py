"""Settings that are edited while a stage of all cells runs."""

from __future__ import annotations

import shutil

import pytest

from pamdp.base.errors import PamdpError
from pamdp.settings import SHIPPED
from pamdp.stages.unchanged import unchanged


@pytest.fixture
def path(tmp_path):
    return shutil.copy(SHIPPED, tmp_path / "params.yaml")


def test_they_are_refused_at_its_end(path) -> None:
    text = path.read_text()
    other = text.replace("  episodes: 1000 #", "  episodes: 999 #")
    assert other != text
    stage = unchanged(path)
    stage.__enter__()
    path.write_text(other)
    with pytest.raises(PamdpError, match="edited while it ran; its results are not recorded"):
        stage.__exit__(None, None, None)


def test_comments_may_be_edited_and_an_error_of_the_stage_is_told(path) -> None:
    with unchanged(path):
        path.write_text(f"# Another comment.\n{path.read_text()}")
    error = RuntimeError("of its own")
    with pytest.raises(RuntimeError, match="of its own"), unchanged(path):
        raise error
