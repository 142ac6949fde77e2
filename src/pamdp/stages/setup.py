"""Checks settings, installation and environments, and writes down what results depend on.

What was found out about an environment is kept as long as its code, its settings and the installed
versions stay as they are; nothing is measured anew, and TensorFlow is not loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from argparse import Namespace
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pamdp.base.errors import PamdpError, SettingsError
from pamdp.base.places import project
from pamdp.base.task import Task
from pamdp.checkout import Checkout
from pamdp.engines import ENGINES
from pamdp.files import forget_scratch, read_json, write_json
from pamdp.foresight import foretold
from pamdp.learning.loops import loop_for
from pamdp.provenance import RESULT_PACKAGES, digest
from pamdp.stages import live
from pamdp.stages.facts import STAGES, code_of, settings_of, versions
from pamdp.stages.vega import write_scripts

REMARKS = 10  # are printed of an environment
ACTIONS = 12  # likewise, or lines of those that do the same
NAMED = 8  # changes, by name
# In the environment, if setup has said all this in the study under way: DVC runs it twice then.
SAID = "PAMDP_SETUP_SAID"


def run(_: Namespace) -> None:
    """Sets the study up."""
    set_up(Checkout.here())


def set_up(checkout: Checkout) -> None:
    """Writes `metrics/setup/`.

    Raises:
      PamdpError: an installed version is not the locked one, or an environment is refused.
    """
    forget_scratch(checkout.root)
    lock = (project(checkout.root) or checkout.root) / "requirements.lock"
    if lock.is_file():
        check_versions(lock)
    _forget_old_cells(checkout)
    live.forget(checkout)
    write_scripts(checkout)
    study = checkout.settings.study
    facts: dict[str, Any] = {"versions": versions()}
    facts |= {f"code/{stage}": digest(code_of(stage)) for stage in STAGES}
    facts |= settings_of(checkout.settings)
    families = {
        "algorithms": _chosen(checkout.settings.algorithms, study.algorithms),
        "strategies": _chosen(checkout.settings.gradients, study.strategies),
    }
    for family, members in families.items():
        for name, member in members.items():
            facts[f"{family}/{name}"] = {"kind": member.kind, **digest(code_of(member))}
    facts["descriptions"] = {
        family: {name: _words(member) for name, member in members.items()}
        for family, members in families.items()
    }
    marks = {}
    for name in study.environments:
        facts[f"environments/{name}"], marks[name] = _environment(checkout, name)
    environments = {name: facts[f"environments/{name}"] for name in study.environments}
    told = [*foretold(checkout.settings, environments)]
    first = not checkout.setup.is_dir()
    # The marks come last: written first, they would vouch for what an interruption left undone.
    changed = _write(checkout.setup, facts | {"measured": marks})
    number = len(checkout.settings.cells)
    told.insert(0, f"{number} cell{'s' * (number > 1)}{'' if first else _in_words(changed)}")
    if SAID in os.environ and changed:  # DVC would compute one cell after another
        raise PamdpError(
            f"expected what `setup` had found when the study began, received other "
            f"{_named(changed)}, edited since; what was computed is kept: run `pamdp study` again"
        )
    if SAID not in os.environ:
        print(*(f"setup: {line}" for line in told), sep="\n", flush=True)


def check_versions(lock: Path) -> None:
    """Compares what is installed with `requirements.lock`.

    Raises:
      PamdpError: lists every package that differs.
    """
    wrong = []
    for requirement in _pinned(lock):
        expected = str(requirement.specifier).removeprefix("==")
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if requirement.name not in RESULT_PACKAGES:
                continue  # a developer's tool, say
            found = "none"
        if found != expected:
            wrong.append(f"  {requirement.name}: expected {expected}, found {found}")
    if wrong:
        raise PamdpError(
            "\n".join([f"the installed packages are not those of {lock.name}:", *wrong])
            + f"\ninstall these: `make install`, or `pip install --require-hashes -r {lock.name}`"
        )


def describe(task: Task, tell: Callable[[str], object] = print) -> dict[str, Any]:
    """Makes, checks and describes an environment, and measures what random actions earn.

    It is done where training is done: an environment in Python has a process of its own, which it
    may end or crash.

    Args:
      task: the environment.
      tell: is given what a user should know of it, line by line.
    """
    with ENGINES[loop_for(task).engine](1) as engine:
        (facts,) = engine.map(measure, [(task,)], lambda _, line: tell(line))
    return facts


def measure(task: Task) -> Generator[str, None, dict[str, Any]]:
    """The task that `describe` has done; yields what it tells."""
    yield from task.check()
    random, task = loop_for(task).random_episodes(task)
    facts = task.describe() | {
        "random_policy": {
            "episodes": len(random.returns),
            "return_mean": float(random.returns.mean()),
            "return_std": float(random.returns.std(ddof=1)),
            "length_mean": float(random.lengths.mean()),
            "length_std": float(random.lengths.std(ddof=1)),
        },
    }
    yield from _told(facts)
    return facts


def _environment(checkout: Checkout, name: str) -> tuple[dict[str, Any], str]:
    """The facts about an environment, and a hash of what they follow from."""
    task = checkout.settings.environments[name].task
    try:
        source = digest(code_of(task))
        parts = [task.model_dump(mode="json"), source, digest({__name__}), versions()]
        mark = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        kept = _kept(checkout.setup / "environments" / f"{name}.json")
        if kept and _kept(checkout.setup / "measured.json").get(name) == mark:
            return kept | source, mark
        print(f"setup: measuring {name}")
        return describe(task, lambda line: print(f"setup: {name}: {line}")) | source, mark
    except PamdpError as error:  # that of a process which is gone, too
        raise SettingsError(f"environments.{name}.task: {error}") from error


def driven(described: Mapping[str, Any]) -> Iterator[str]:
    """What each action of a user's environment drives, in words; many that do the same in one."""
    told = [action for action in described.get("actions", ()) if "drives" in action]
    same = itemgetter(*(("number",) if len(told) <= ACTIONS else ("drives", "low", "high")))
    groups = [[*group] for _, group in groupby(told, same)]
    for first, *others in groups[:ACTIONS]:
        boxes = " and ".join(f"box {name}" for name in first["drives"])
        bounds = f"{first['low']} to {first['high']}"
        drives = f"drives {boxes}, {bounds}" if first["low"] else "has no parameters"
        if others:
            last = others[-1]["number"]
            yield f"each of the actions {first['number']} to {last} {drives}"
        else:
            yield f"action {first['number']} ({first['name']}) {drives}"
    if len(groups) > ACTIONS:
        yield f"... and so on, {len(told):,} actions in all"


def _told(described: Mapping[str, Any]) -> Iterator[str]:
    """What was taken for granted of a user's environment, for its author to look at."""
    yield from driven(described)
    remarks = described.get("observation", {}).get("remarks", ())
    yield from remarks[:REMARKS]
    if more := len(remarks) - REMARKS if len(remarks) > REMARKS else 0:
        yield f"and {more} more, which its description in metrics/setup/environments has"


def _kept(path: Path) -> dict[str, Any]:
    """Facts of an earlier run; empty if there are none, or none that can be read."""
    with suppress(PamdpError):
        return read_json(path, dict)
    return {}


def _chosen(members: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: members[name] for name in names}


def _words(member: Any) -> dict[str, str]:
    """What a plug-in is, for readers."""
    cls = type(member)
    return {
        "kind": member.kind,
        "title": cls.title,
        "rule": cls.rule,
        "reference": cls.reference,
    }


def _in_words(changed: Sequence[str]) -> str:
    """Which facts are new, as the end of a sentence."""
    if not changed:
        return "; since it last looked, nothing that cells depend on has changed"
    return f"; since it last looked, these have changed: {_named(changed)}"


def _named(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = [f"{len(names) - NAMED} more"] if names[NAMED:] else []
    return ", ".join([*names[:NAMED], *more])


def _write(folder: Path, facts: Mapping[str, Any]) -> list[str]:
    """Writes facts by their names, and removes those of what the study no longer has.

    Returns:
      The names of the facts that were not there, or others.
    """
    changed = []
    wanted = {folder / f"{name}.json": content for name, content in facts.items()}
    for path in folder.rglob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, content in wanted.items():
        if _kept(path) != content:
            write_json(path, content)
            changed.append(path.relative_to(folder).with_suffix("").as_posix())
    return changed


def _forget_old_cells(checkout: Checkout) -> None:
    """Removes the results of cells that the study no longer has; DVC's cache keeps them.

    DVC leaves them where they are, and later stages depend on these folders as a whole.
    """
    names = {str(cell.name) for cell in checkout.settings.cells}
    for folder in checkout.metrics.glob("t*/*"):
        kept = folder.parent.name not in ("tune", "train") or folder.name in names
        if not kept and folder.is_dir():
            shutil.rmtree(folder)


def _pinned(lock: Path) -> Iterator[Requirement]:
    for line in lock.read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement
