"""What is measured, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.growth import cells
from benchmarks.measures import (
    Measure,
    baseline,
    compiled,
    evaluated,
    first_written,
    floor,
    hand_written,
    hosted,
    jax_loop,
    many,
    served,
    vector,
)
from benchmarks.study import trained, tuned

STEP = "us a step"


class Case(NamedTuple):
    """A measurement.

    Attributes:
      prepare: imports, compiles, warms up, and gives what is called for one measurement.
      unit: of the measured numbers.
      cores: how many it may use.
      group: the table that it belongs to; its cases are measured in turns.
      needs: a package, or a program, without which it is left out.
    """

    prepare: Callable[[], Measure]
    unit: str
    cores: int
    group: str
    needs: str | None = None


CASES: dict[str, Case] = {}
for _environment in ("platform", "goal"):
    for _algorithm in ("pdqn", "mpdqn"):
        _problem = f"{_environment} {_algorithm}"
        for _name, _prepare, _cores, _needs in (
            ("compiled loop", compiled, 1, None),
            ("compiled loop, 2 seeds", partial(compiled, seeds=2), 2, None),
            ("host loop", hosted, 1, None),
            ("PyTorch", partial(baseline, "pytorch"), 1, "torch"),
            ("tf.function", partial(baseline, "tensorflow"), 1, None),
        ):
            CASES[f"{_problem}: {_name}"] = Case(
                partial(_prepare, _environment, _algorithm), STEP, _cores, _problem, _needs
            )
for _name, _prepare, _needs in (
    ("compiled loop as first written", partial(first_written, "platform"), None),
    ("JAX", partial(jax_loop, False), "jax"),
    ("JAX, passes shared", partial(jax_loop, True), "jax"),
    ("update in C++", hand_written, "g++"),
):
    CASES[f"platform mpdqn: {_name}"] = Case(_prepare, STEP, 1, "platform mpdqn", _needs)
for _algorithm in ("pdqn", "mpdqn"):
    CASES[f"platform {_algorithm}: matrix products in NumPy"] = Case(
        partial(floor, _algorithm), STEP, 1, f"platform {_algorithm}"
    )
LOOPS = tuple(dict.fromkeys(case.group for case in CASES.values()))
# Tell how fast the machine is at the moment; the second where there is no compiler.
PACES = ("platform mpdqn: update in C++", "platform mpdqn: matrix products in NumPy")
for _batch in (1, 1024):
    for _way in ("", " through TensorFlow's signature"):
        CASES[f"SavedModel, batch {_batch}{_way}"] = Case(
            partial(served, _batch, bool(_way)), "us a call", 1, "acting"
        )
for _environment in ("platform", "goal"):
    CASES[f"{_environment}: 1,000 greedy episodes"] = Case(
        partial(evaluated, _environment), "ms", 2, "acting"
    )

for _tracking in ("on", "beside", "off"):
    CASES[f"training of 5 seeds, tracking {_tracking}"] = Case(
        partial(trained, _tracking), "s", 2, "tracking"
    )
CASES["training of 5 seeds, tracking off, 3 times the steps"] = Case(
    partial(trained, "off", steps=30_000), "s", 2, "study"
)
CASES["tuning beside its trials"] = Case(tuned, "%", 1, "study")

for _id in ("Platform-v0", "Goal-v1", "CatchPoint-v0", "HardMove4-v0"):
    for _copies, _modes in ((16, ("vector_entry_point",)), (1024, ("vector_entry_point", "sync"))):
        for _mode in _modes:
            CASES[f"{_id}: {_copies:,} copies, {_mode}"] = Case(
                partial(vector, f"pamdp/{_id}", _mode, _copies), "us a step", 1, "vector"
            )


def _growth(axis: str, value: int, prepare: Callable[[], Measure]) -> None:
    CASES[f"{axis} {value:,}"] = Case(prepare, STEP, 1, axis)


for _steps in (2_000, 20_000):
    _growth("steps a call", _steps, partial(compiled, "platform", "mpdqn", steps=_steps))
for _units in (32, 64, 128, 256, 512):
    _changes = {"q__hidden": [_units], "parameters__hidden": [_units]}
    _growth("hidden units", _units, partial(compiled, "platform", "mpdqn", steps=1000, **_changes))
for _batch in (32, 128, 512):
    _growth("batch", _batch, partial(compiled, "platform", "mpdqn", steps=1000, batch_size=_batch))
for _size in (10_000, 100_000, 1_000_000):
    _growth("replay", _size, partial(compiled, "platform", "mpdqn", steps=2000, replay_size=_size))
for _actuators, _steps in {4: 200, 6: 50, 8: 20, 10: 4, 13: 1}.items():
    _growth("actions", 2**_actuators, partial(many, _actuators, "mpdqn", False, _steps))
for _algorithm, _axis in (("mpdqn", "actions, 8 sampled"), ("epdqn", "actions, one network")):
    for _actuators, _steps in {4: 2000, 6: 2000, 8: 1000, 10: 500, 13: 100}.items():
        _growth(_axis, 2**_actuators, partial(many, _actuators, _algorithm, True, _steps))
for _seeds in (1, 2, 4):
    CASES[f"seeds {_seeds}"] = Case(
        partial(compiled, "platform", "mpdqn", seeds=_seeds), STEP, 2, "seeds"
    )
for _number in (16, 64, 256):
    CASES[f"cells {_number}"] = Case(partial(cells, _number), "ms a cell", 2, "growth")
# Groups that take long, and are measured where they are named.
LONG = ("actions, 8 sampled", "actions, one network", "vector", "growth")
