"""The pages in docs: tables that follow from classes, and examples that work."""

import importlib.util
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from docs import tables
from pamdp.algorithms import ALGORITHMS
from pamdp.base.algorithm import Joint
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.strategy import Context
from pamdp.settings import Settings
from pamdp.strategies import STRATEGIES, Chain
from tests.helpers import ROOT, SPEC, params

DOCS = ROOT / "docs"
FAMILIES = {"strategies.md": STRATEGIES, "algorithms.md": ALGORITHMS}


def test_the_tables_are_current() -> None:
    for page in FAMILIES:
        text = (DOCS / page).read_text()
        assert tables.updated(page, text) == text, "run `make tables`"


def test_the_script_rewrites_the_pages_beside_it(tmp_path: Path) -> None:
    for name in ("tables.py", *FAMILIES):
        shutil.copy(DOCS / name, tmp_path)
    pages = {page: (tmp_path / page).read_text() for page in FAMILIES}
    for page, text in pages.items():
        (tmp_path / page).write_text(re.sub(r"\| `p\w+` \|.*\n", "", text))
        assert (tmp_path / page).read_text() != text
    subprocess.run([sys.executable, tmp_path / "tables.py"], check=True)
    assert {page: (tmp_path / page).read_text() for page in FAMILIES} == pages


@pytest.mark.parametrize("page", FAMILIES)
def test_a_table_has_a_row_for_each_class(page: str) -> None:
    rows = [
        line.strip("| \n").split(" | ")
        for line in tables.updated(page, tables.BEGIN + tables.END).splitlines()
        if line.startswith("| `")
    ]
    assert rows == [
        [f"`{kind}`", each.title, each.rule, each.reference]
        for kind, each in FAMILIES[page].items()
    ]


def test_all_but_the_table_is_kept() -> None:
    begin, end = tables.BEGIN, tables.END
    text = tables.updated("algorithms.md", f"before\n{begin}old\n{end}after\n")
    assert text.startswith(f"before\n{begin}\n| kind | name | Q-function | source |\n")
    assert text.endswith(f" |\n\n{end}after\n")
    assert "old" not in text


@pytest.mark.parametrize("text", ["", tables.BEGIN, tables.END])
def test_a_page_without_a_place_for_its_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"strategies.md: expected a line .*make tables"):
        tables.updated("strategies.md", text)


# -- The examples ----------------------------------------------------------------------------------


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code on a page."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", (DOCS / page).read_text(), re.M | re.S)
    return [textwrap.dedent(text) for _, text in found]


@pytest.fixture
def example(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The one Python module on a page."""
    (text,) = blocks(request.param, "python")
    path = tmp_path / "example_of_docs.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("example", ["strategies.md"], indirect=True)
def test_the_strategy_does_as_its_rule_says(example: ModuleType) -> None:
    halving = example.Halving(kind="halving")
    assert "`factor g`" in halving.rule
    x = tf.constant([[-1.5, 0.0, 3.0]])
    ones = tf.ones([3])
    context = Context(x, -ones, ones, tf.constant([0.0]), tf.ones([1, 3]))
    np.testing.assert_array_equal(halving.transform(4 * ones[None], context), [[2, 4, 2]])
    assert halving.forward.kind == "forward"


@pytest.mark.parametrize("example", ["algorithms.md"], indirect=True)
def test_the_algorithm_does_as_its_rule_says(example: ModuleType) -> None:
    values = params()["environments"]["platform"]["learner"]["q"]
    network = Network.model_validate(values)
    scaled = example.Scaled(kind="scaled", factor=0.25)
    assert "times `factor`" in scaled.rule
    q_function, joint = scaled.q_function(network, SPEC), Joint(network, SPEC)
    weights = joint.initial(tf.constant([1, 2]), 3)
    s, x = tf.constant([[0.1, 0.2, 0.3]]), tf.reshape(tf.range(6.0), [1, 6])
    expected = joint.values(weights, s, 0.25 * x)
    np.testing.assert_array_equal(q_function.values(weights, s, x), expected)
    assert not np.array_equal(expected, joint.values(weights, s, x))


def test_the_names_and_chains_are_accepted() -> None:
    named, chained = map(YAML(typ="safe").load, blocks("strategies.md", "yaml"))
    for block in (named, chained):
        values = params()
        values["study"] |= block["study"]
        values["gradients"] |= block["gradients"]
        names = {cell.name.strategy for cell in Settings.model_validate(values).cells}
        assert names == set(block["study"]["strategies"])
    members = Settings.model_validate(values).gradients["reversal_inverting"]
    assert isinstance(members, Chain)
    assert [member.kind for member in members.members] == ["reversal", "inverting"]


def test_the_paths_for_the_search_are_accepted() -> None:
    text = (DOCS / "strategies.md").read_text()
    assert "`strategy.members.0.factor`" in text
    space = YAML(typ="safe").load(re.findall(r"`(\{path: .*\})`", text)[0])
    values = params()
    values["study"]["strategies"] = ["reversal_inverting"]
    values["tuning"]["space"] = [space, space | {"path": "strategy.members.0.factor"}]
    assert len(Settings.model_validate(values).tuning.space) == 2


def test_each_promise_names_tests_that_exist() -> None:
    text = (DOCS / "trust.md").read_text()
    rows = re.findall(r"(?m)^\| [A-Z].*\| (.*) \|$", text)
    assert len(rows) > 20
    for row in rows:
        names = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert names, row
        assert all((ROOT / name).is_file() for name in names), row
