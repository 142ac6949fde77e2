"""What a study leaves for others: models, their cards, and the report."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from pamdp.files import read_json
from tests.pipeline import checkout
from tests.pipeline.small import CELL, CELLS

ANSWERS = """
import json, re, sys
sys.modules["pamdp"] = sys.modules["keras"] = None  # an import of them fails
import numpy as np

found = {}
for cell in sys.argv[1:]:
    text = open(f"models/{cell}/README.md").read()
    names = {}
    exec(re.search("```python\\n(.*?)```", text, re.DOTALL)[1], names)
    rows = np.random.default_rng(0).random((7, 9), np.float32)
    kinds, named = names["policy"].structured_input_signature
    answers = names["policy"](observation=rows)
    found[cell] = {
        "inputs": [[n, s.dtype.name, [-1, *s.shape[1:]]] for n, s in named.items()],
        "outputs": sorted([n, a.dtype.name, [-1, *a.shape[1:]]] for n, a in answers.items()),
        "values": {n: a.numpy().tolist() for n, a in answers.items()},
    }
json.dump(found, sys.stderr)
"""


@pytest.fixture(scope="module")
def answers(study) -> dict:
    """What the models answer where pamdp cannot be imported, called as their cards say."""
    done = checkout.succeed(study, sys.executable, "-I", "-c", ANSWERS, *CELLS)
    assert done.stdout.count("tf.Tensor") == 2 * len(CELLS)
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("cell", CELLS)
def test_models_have_the_documented_signature(study, answers, cell):
    expected = {
        "inputs": [["observation", "float32", [-1, 9]]],
        "outputs": [
            ["action", "int32", [-1]],
            ["all_parameters", "float32", [-1, 3]],
            ["num_parameters", "int32", [-1]],
            ["parameters", "float32", [-1, 1]],
            ["q_values", "float32", [-1, 3]],
        ],
    }
    assert read_json(study / "models" / cell / "signature.json") == expected
    assert {side: answers[cell][side] for side in expected} == expected


@pytest.mark.parametrize("cell", CELLS)
def test_models_send_the_parameters_of_the_best_action(answers, cell):
    values = {name: np.array(rows) for name, rows in answers[cell]["values"].items()}
    np.testing.assert_array_equal(values["action"], values["q_values"].argmax(axis=1))
    own = np.take_along_axis(values["all_parameters"], values["action"][:, None], axis=1)
    np.testing.assert_allclose(values["parameters"], own, rtol=1e-6)
    assert (values["num_parameters"] == 1).all()
    assert (values["all_parameters"] >= 0).all()
    assert (values["all_parameters"] <= [30, 720, 430]).all()


@pytest.mark.parametrize("cell", CELLS)
def test_model_cards_are_about_the_best_seed(study, cell):
    seeds = read_json(study / "metrics/evaluate/summary.json")[cell]["per_seed"]
    best = max(seeds, key=lambda entry: entry["mean"])
    card = (study / "models" / cell / "README.md").read_text()
    assert card.startswith(f"# {cell}\n")
    assert f"seed {best['seed']}, the best of 2, 1,500 environment steps" in card
    assert f"Mean greedy return {best['mean']:.4f}" in card


SAVE = """
import sys
from pathlib import Path

import numpy as np
from pamdp import export
from pamdp.base.lazy import prepare_process
from pamdp.checkout import Checkout
from pamdp.learning.policy import Weights
from pamdp.stages.results import tuned

prepare_process()
name, seed, folder = sys.argv[1:]
with np.load(f"metrics/train/{name}/weights.npz") as archive:
    leaves = [archive[f"{seed}/{index}"] for index in range(8)]
layers = list(zip(leaves[::2], leaves[1::2]))  # kernels and biases
weights = Weights(tuple(layers[:2]), tuple(layers[2:]), ())
checkout = Checkout.here()
export.save(tuned(checkout, checkout.settings.cell(name)), weights, Path(folder))
"""


def test_a_model_has_the_same_bytes_wherever_it_is_saved(study, tmp_path):
    seeds = read_json(study / "metrics/evaluate/summary.json")[CELL]["per_seed"]
    best = max(seeds, key=lambda entry: entry["mean"])["seed"]
    checkout.succeed(study, sys.executable, "-c", SAVE, CELL, str(best), str(tmp_path / "model"))
    exported = checkout.contents(study / "models" / CELL, ".")
    saved = checkout.contents(tmp_path / "model", ".")
    assert saved == {name: exported[name] for name in saved}
    assert exported.keys() - saved.keys() == {"README.md", "signature.json", "training.json"}


# -- The report ------------------------------------------------------------------------------------


def test_the_page_loads_nothing(study):
    page = (study / "metrics" / "report" / "index.html").read_text()
    loaded = re.findall(r"""\b(?:src|srcset|data|poster)\s*=\s*["']([^"']*)""", page)
    loaded += re.findall(r"url\(\s*[\"']?([^)\"']*)", page)
    assert loaded
    assert {text.split(":")[0] for text in loaded if not text.startswith("#")} == {"data"}
    assert not re.search(r"<(link|iframe|object|embed)\b|@import|\bfetch\(", page)


def test_the_tables_name_the_cells(study):
    text = (study / "metrics" / "report" / "results.md").read_text()
    for cell in CELLS:
        mean = read_json(study / "metrics/evaluate/summary.json")[cell]["return"]["mean"]
        assert re.search(rf"\| `{cell.split('-')[2]}` \| \**{mean:.3f}", text)
    metrics = read_json(study / "metrics" / "report" / "metrics.json")
    assert set(metrics) == set(CELLS)
