"""The JSON schema of params.yaml, by which editors complete and check it."""

import json
import subprocess
import sys
from typing import Any

import pytest
from ruamel.yaml import YAML

from pamdp.schema import schema
from tests.helpers import PARAMS, ROOT, changed, params

LEARNER, CHAIN = "environments.platform.learner", "gradients.reversal_inverting"


def test_the_schema_is_current(tmp_path) -> None:
    subprocess.run([sys.executable, "-m", "pamdp.schema"], cwd=tmp_path, check=True)
    written = (tmp_path / "params.schema.json").read_text()
    assert (ROOT / "params.schema.json").read_text() == written, "run `make schema`"
    assert json.loads(written) == schema()
    assert PARAMS.read_text().startswith("# yaml-language-server: $schema=params.schema.json\n")


SCHEMA = schema()


def fits(value: Any, part: dict[str, Any]) -> bool:
    """Whether a value fits a part of the schema, as far as an editor has to see."""
    if "if" in part:
        part = part["then" if {*part["if"]["required"]} <= {*value} else "else"]
    part = SCHEMA["$defs"][part["$ref"].split("/")[-1]] if "$ref" in part else part
    for union in ("anyOf", "oneOf"):
        if union in part:
            return any(fits(value, member) for member in part[union])
    if "const" in part or "enum" in part:
        return value in part.get("enum", [part.get("const")])
    if part["type"] == "object":
        known, patterns = part.get("properties", {}), part.get("patternProperties", {})
        return (
            isinstance(value, dict)
            and set(part.get("required", ())) <= set(value)
            and all(
                any(fits(member, p) for p in [known.get(name), *patterns.values()] if p)
                for name, member in value.items()
            )
        )
    if part["type"] == "array":
        return isinstance(value, list) and all(fits(member, part["items"]) for member in value)
    types = {
        "number": (int, float),
        "integer": int,
        "string": str,
        "boolean": bool,
        "null": type(None),
    }
    number = isinstance(value, int | float) and part["type"] != "boolean"
    if number and not part.get("minimum", value) <= value <= part.get("maximum", value):
        return False
    return isinstance(value, types[part["type"]])


def test_the_schema_knows_right_from_wrong() -> None:
    assert fits(params(), SCHEMA)
    for path, value in (
        (f"{LEARNER}.n_step", {"steps": 2, "beta": 0.5}),
        (f"{LEARNER}.gradient_clip", None),
        ("environments.platform.task", {"kind": "sparse", "task": {"kind": "platform"}}),
    ):
        assert fits(changed(params(), {path: value}), SCHEMA), path
    for path, value in (
        (f"{LEARNER}.gamma", "0.9"),
        (f"{LEARNER}.gamma", 1.5),
        (f"{LEARNER}.gama", 0.9),
        (f"{LEARNER}.gamma", ...),
        ("gradients.reversal.kind", "reversl"),
        (f"{CHAIN}.0.scope", "everything"),
        ("study.seeds", 1),
        (f"{LEARNER}.n_step", {"steps": 1, "beta": 0.5}),
        (f"{LEARNER}.n_step", {"steps": 2}),
        ("environments.platform.task", {"kind": "sparse"}),
        ("environments.platform.task", {"kind": "sparse", "task": {"kind": "platfrom"}}),
        ("environments.platform.training", ...),
        ("environments.platform.return_threshold", None),
        ("training", {"steps": 1, "report_every": 1, "evaluation_episodes": 1}),
        ("tuning.share", 1.5),
    ):
        assert not fits(changed(params(), {path: value}), SCHEMA), path


def test_a_block_that_extends_another_says_what_it_likes_of_it() -> None:
    whole = YAML(typ="safe").load(PARAMS)
    block = {"extends": "platform"}
    assert fits(whole, SCHEMA)
    for own in (
        {},
        {"task": {"noise": 0.5}},
        {"task": {"kind": "platform", "noise": 0.5}},
        {"task": {"kind": "sparse", "task": {"kind": "catch_point"}}, "learner": {"gamma": 0.5}},
        {"learner": {"n_step": None, "q": {"hidden": [1]}, "exploration": {"kind": "uniform"}}},
        {"learner": {"n_step": {"steps": 2}, "exploration": {"sigma": 0.1}}},
        {"training": {"steps": 1}, "initial_parameters": {"bias": [1.0]}},
    ):
        assert fits(changed(whole, {"environments.mine": block | own}), SCHEMA), own
    for own in (
        {"extends": 1},
        {"task": {"kind": "sparse"}},
        {"task": {"nosie": 0.5}},
        {"task": {"kind": "platfrom"}},
        {"learner": {"gama": 0.5}},
        {"learner": {"gamma": 1.5}},
        {"training": None},
    ):
        assert not fits(changed(whole, {"environments.mine": block | own}), SCHEMA), own
    assert not fits(changed(whole, {"environments.goal_v1.extends": ...}), SCHEMA)
    tuning = {"extends": "pamdp.tuning", "trials": 3, "sampler": {"n_startup_trials": 2}}
    assert fits(whole | {"tuning": tuning}, SCHEMA)
    for own in ({"extends": 1}, {"trails": 3}, {"share": 1.5}):
        assert not fits(whole | {"tuning": tuning | own}, SCHEMA), own
    assert not fits(whole | {"tuning": {"trials": 3}}, SCHEMA)


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/*/params.yaml")), ids=str)
def test_the_studies_fit(path) -> None:
    assert fits(YAML(typ="safe").load(path), SCHEMA)


def test_the_schema_describes_every_setting_of_the_learner() -> None:
    parts = schema()["$defs"]
    shown = ("LearnerSettings", "NStep", "Network", "Study", "Tuning", "Training", "Benchmark")
    for name in shown:
        for key, part in parts[name]["properties"].items():
            assert len(part.get("description", "")) > 8, f"{name}.{key}"
        assert "Attributes" not in parts[name]["description"]
    assert parts["Network"]["properties"]["tau"]["description"].startswith("share by which")
