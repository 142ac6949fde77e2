"""Extensions of the package, put into a checkout as its pages tell to.

What a page of docs shows in full is taken from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helpers import ROOT
from tests.pipeline import checkout

NEW = "new"


def touched(folder: Path) -> dict[str, object]:
    """What git sees: which files are new, and how many lines of others were added and removed.

    What is shown of the last training is no part of it, and results are none.
    """
    excluded = (f":(exclude){name}" for name in ("live", "results", "times.json"))
    others = ("--", ".", *excluded)
    status = checkout.git(folder, "status", "--porcelain", "--untracked-files=all", *others)
    files: dict[str, object] = {line[3:]: NEW for line in status.splitlines()}
    for line in checkout.git(folder, "diff", "--numstat", *others).splitlines():
        added, removed, path = line.split("\t")
        files[path] = (int(added), int(removed))
    return files


def edit(path: Path, *pairs: tuple[str, str]) -> None:
    """Replaces pieces of a file, by regular expressions that match once each."""
    text = path.read_text()
    for old, new in pairs:
        text, number = re.subn(old, new, text, flags=re.MULTILINE)
        assert number == 1, f"{old} matches {number} times in {path}, which has changed"
    path.write_text(text)


def define(folder: Path, block: str, entries: Mapping[str, Any], listed: str) -> None:
    """Puts entries into a block of params.yaml, a line each, and their names into the study."""
    lines = "".join(f"  {name}: {json.dumps(values)}\n" for name, values in entries.items())
    edit(
        folder / "params.yaml",
        (rf"^{block}:\n", f"{block}:\n{lines}"),
        (rf"^(study:\n(?:  .*\n)*?  {listed}): \[(.*)\]$", rf"\1: [\2, {', '.join(entries)}]"),
    )


def shown(page: str) -> str:
    """The one Python module on a page of docs."""
    text = (ROOT / "docs" / page).read_text()
    (module,) = re.findall(r"^   ```python\n(.*?)^   ```$", text, re.MULTILINE | re.DOTALL)
    return re.sub(r"^   ", "", module, flags=re.MULTILINE)


def strategy(folder: Path) -> None:
    """The strategy `halving`."""
    strategies = folder / "src/pamdp/strategies"
    (strategies / "halving.py").write_text(shown("strategies.md"))
    edit(
        strategies / "members.py",
        (r"^(from pamdp.strategies.inv)", r"from pamdp.strategies.halving import Halving\n\1"),
        (r'^(    "plain": Plain,)$', r'\1\n    "halving": Halving,'),
    )
    define(folder, "gradients", {"halving": {"kind": "halving", "factor": 0.5}}, "strategies")


def algorithm(folder: Path) -> None:
    """The algorithm `scaled`, with two values of its factor, which may be tuned."""
    algorithms = folder / "src/pamdp/algorithms"
    (algorithms / "scaled.py").write_text(shown("algorithms.md"))
    edit(
        algorithms / "__init__.py",
        (r"^(from pamdp.algorithms.spdqn)", r"from pamdp.algorithms.scaled import Scaled\n\1"),
        (r'^(    "epdqn": EPDQN,)$', r'\1\n    "scaled": Scaled,'),
    )
    values = {"scaled": 0.5, "scaled_weak": 0.1}
    entries = {name: {"kind": "scaled", "factor": value} for name, value in values.items()}
    define(folder, "algorithms", entries, "algorithms")
    dimension = "{path: algorithm.factor, low: 0.1, high: 1.0}"
    edit(folder / "params.yaml", (r"^  space:\n", f"  space:\n  - {dimension}\n"))


DRIFT = '''"""Drift: a point on a line is pushed to its middle."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from pamdp.base import seeding
from pamdp.base.component import Positive
from pamdp.base.environment import Outcome, Versioned
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec


class Drift(Versioned):
    """`push` moves by its parameter times `strength`, `wait` does nothing; nearer pays more."""

    kind: Literal["drift"]
    version: Literal["v0"] = "v0"
    strength: Positive = 0.5

    actions: ClassVar[ActionSpec] = ActionSpec(
        (Action("push", (-1.0,), (1.0,)), Action("wait", (), ()))
    )
    observation_low: ClassVar[np.ndarray] = np.array([-1.0], np.float32)
    observation_high: ClassVar[np.ndarray] = np.array([1.0], np.float32)
    time_limit: ClassVar[int] = 5

    def initial(self, key: tf.Tensor, batch: int) -> Any:
        """Anywhere."""
        return 2 * seeding.uniform(key, [batch]) - 1

    def observation(self, state: Any) -> tf.Tensor:
        """The place."""
        return state[:, None]

    def transition(self, state: Any, action: Any, parameters: Any, key: Any) -> Outcome:
        """Pays 1 less the distance to the middle, and ends close to it."""
        push = tf.where(action == 0, self.strength * tf.clip_by_value(parameters[:, 0], -1, 1), 0)
        place = tf.clip_by_value(state + push, -1, 1)
        there = tf.abs(place) < 0.05
        return Outcome(place, 1 - tf.abs(place), there, there)

    def picture(self, state: Any, caption: str = "") -> np.ndarray:
        """The point as a white column."""
        image = np.zeros([8, 64, 3], np.uint8)
        image[:, int(round(31.5 * (1 + float(state[0]))))] = 255
        return image
'''


def environment(folder: Path) -> None:
    """The environment `drift`."""
    envs = folder / "src/pamdp/envs"
    (envs / "drift.py").write_text(DRIFT)
    edit(
        envs / "members.py",
        (r"^(from pamdp.envs.goal)", r"from pamdp.envs.drift import Drift\n\1"),
        (r'^(    "platform": Platform,)$', r'\1\n    "drift": Drift,'),
    )
    platform = checkout.settings(folder)["environments"]["platform"]
    block = platform | {"task": {"kind": "drift", "strength": 0.5}, "return_threshold": 4.0}
    define(folder, "environments", {"drift": block}, "environments")


MEASURE = '''
def advancing_share(step: Step) -> tf.Tensor:
    """[N] share of the steps that brought something."""
    return tf.cast(step.reward > 0, tf.float32)

'''
COLUMN = '    "Advancing %": lambda summary: _percent(summary["advancing_share"]),\n'


def metric(folder: Path) -> None:
    """The share of advancing steps."""
    edit(
        folder / "src/pamdp/evaluation.py",
        (r"^(\n# A measure of each step)", rf"{MEASURE}\1"),
        (r"near_bound_share\)\}", "near_bound_share, advancing_share)}"),
    )
    tables = folder / "src/pamdp/reporting/tables.py"
    edit(tables, (r'^(    "Near bound %": .*\n)', rf"\1{COLUMN}"))


CALLING = '''"""One task after another, in the thread that hands them over."""

from __future__ import annotations

import threading

from pamdp.engines.base import Engine, News, Task, steps


class Calling(Engine):
    """Runs each task to its end before the next one is handed over."""

    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        print(f"task {number} in {threading.current_thread().name}")
        generator = steps(task, arguments)
        try:
            while True:
                self._news.put(News(number, "event", next(generator)))
        except StopIteration as end:
            self._news.put(News(number, "result", end.value))
        except Exception as error:
            self._news.put(News(number, "error", error))

    def _stop(self) -> None:
        pass
'''


def engine(folder: Path) -> None:
    """The engine `calling`."""
    engines = folder / "src/pamdp/engines"
    (engines / "calling.py").write_text(CALLING)
    edit(
        engines / "__init__.py",
        (r"^(from pamdp.engines.processes)", r"from pamdp.engines.calling import Calling\n\1"),
        (r'"ray": Ray\}', '"ray": Ray, "calling": Calling}'),
    )


CELLS = '''"""Lists the cells of a study."""

from __future__ import annotations

from argparse import Namespace

from pamdp.checkout import Checkout


def run(options: Namespace) -> None:
    """Lists them."""
    del options
    print(*(cell.name for cell in Checkout.here().settings.cells), sep="\\n")
'''


def verb(folder: Path) -> None:
    """The verb `cells`."""
    (folder / "src/pamdp/stages/cells.py").write_text(CELLS)
    line = '    "cells": Verb("list the cells of the study", "pamdp cells"),\n'
    edit(folder / "src/pamdp/cli.py", (r'^(    "track": Verb\()', rf"{line}\1"))
