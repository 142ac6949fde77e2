"""A study whose work Ray does, on this machine: the same bytes, and a coordinator that is light."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

import pytest

from tests.pipeline import checkout
from tests.pipeline.small import CELL

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed (the extra `ray`)"
)

# Runs a verb, and sees to it that TensorFlow was not loaded for it.
LIGHT = """
import sys
from importlib.util import find_spec
from pamdp.cli import main
main(sys.argv[1:])
loaded = {"tensorflow", "ray"} & {*sys.modules}
if loaded != {"ray"}:
    sys.exit(f"expected Ray to be loaded, and TensorFlow not, received {loaded}")
"""


def test_stages_on_ray_give_the_same_bytes_and_load_no_tensorflow(copy) -> None:
    before = checkout.contents(copy, "metrics", "models")
    (copy / "optuna.db").unlink()
    for folder in (
        f"metrics/tune/{CELL}",
        f"metrics/train/{CELL}",
        "metrics/evaluate",
        "models",
        ".work/ahead",
    ):
        shutil.rmtree(copy / folder)
    for stage, names in (("tune", [CELL]), ("train", [CELL]), ("evaluate", []), ("export", [])):
        command = (sys.executable, "-c", LIGHT, stage, *names)
        checkout.succeed(copy, *command, PAMDP_ENGINE="ray", PAMDP_TRACKING="off")
    after = checkout.contents(copy, "metrics", "models")
    assert sorted(after) == sorted(before)
    assert [name for name in before if before[name] != after[name]] == []
