"""The documentation site is whole, and its pages can be read where they stand as well."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def copy(tmp_path) -> Path:
    """What a site is made from, to be changed at will."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("params.yaml", "results", "src", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make docs` in another folder."""
    command = [sys.executable, "-m", "mkdocs", "build"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "true"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(copy):
    done = build(copy)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    docs = copy / "docs"
    names = [page.relative_to(docs).with_suffix(".html") for page in docs.rglob("*.md")]
    for name in (*names, "index.html", "CONTRIBUTING.html"):
        text = (copy / "site" / name).read_text()
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?([^\s\">]+)", text)
        assert loaded
        assert not [address for address in loaded if re.match(r"(\w+:)?//", address)]
    strategies = (copy / "site" / "api" / "strategies.html").read_text()
    assert 'id="pamdp.strategies.inverting.Inverting.transform"' in strategies


def test_a_broken_site_is_not_built(copy):
    with (copy / "docs" / "trust.md").open("a") as page:
        page.write("[a](nowhere.md) [b](decisions.md#nowhere) [c](../nowhere.md)\n")
    (copy / "docs" / "forgotten.md").write_text("# A page that is nowhere in the navigation\n")
    for page in (copy / "docs" / "api").glob("*.md"):
        page.write_text("# Without what takes time\n")
    done = build(copy)
    assert done.returncode == 1
    for fault in ("'nowhere.md'", "#nowhere", "'../nowhere.md'", "forgotten.md"):
        assert fault in done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_where_the_pages_stand(page):
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text())
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    assert not [link for link in links if ":" not in link and not (page.parent / link).exists()]


def test_the_readme_leads_to_every_guide():
    links = set(re.findall(r"\]\((docs/[^)#]+\.md)", (ROOT / "README.md").read_text()))
    guides = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")}
    assert links >= guides | {"docs/api/index.md"}
