"""Plays a trained policy in a window, or writes a film of it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pamdp import checkpoint, films
from pamdp.base.errors import EnvironmentFailure, PamdpError, nearest
from pamdp.base.task import Task
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.checkout import Checkout
from pamdp.files import read_json
from pamdp.learning.cell import Cell
from pamdp.learning.loops import loop_of
from pamdp.learning.training import resumed
from pamdp.records import Run, Summary
from pamdp.stages.results import cell_of, record, task_of, trained, tuned
from pamdp.watching import Played, Player, frames, load_player, player_of, shape_of

SHOWN = 5  # changes of settings that are listed


def run(options: Namespace) -> None:
    """Watches what the command line says."""
    wanted = Wanted(**{name: getattr(options, name) for name in Wanted._fields})
    with suppress(KeyboardInterrupt):  # enough has been seen
        watch(Checkout.here(), wanted, print)


class Wanted(NamedTuple):
    """What to watch.

    Attributes:
      source: name of a cell; or path of a checkpoint or of a SavedModel.
      environment: name in the settings, or an id of Gymnasium; None for the one trained in.
      seed: of the training run and of the episodes; None for the best there is.
      episodes: how many.
      file: the film to write; None for a window.
    """

    source: str
    environment: str | None
    seed: int | None
    episodes: int
    file: Path | None


class Found(NamedTuple):
    """A policy and where it comes from.

    Attributes:
      player: the policy.
      label: what it is in words.
      environment: the name of its environment.
      seed: that it was trained with.
      note: what else there is to say of it, or nothing.
    """

    player: Player
    label: str
    environment: str
    seed: int
    note: str = ""


def watch(checkout: Checkout, wanted: Wanted, tell: Callable[[str], object]) -> None:
    """Plays a policy in a window or into a film, and tells how each episode went.

    Raises:
      PamdpError: there is no such policy, environment or screen, or they do not fit together.
    """
    if wanted.episodes < 1:
        raise PamdpError(f"episodes: expected at least 1, received {wanted.episodes}")
    found = _found(checkout, wanted)
    task = _task(checkout, wanted.environment or found.environment, found.environment)
    show = films.output(wanted.file, f"pamdp: {wanted.source}")
    tell(found.label)
    if found.note:
        tell(found.note)
    numbers = count(1)

    def ended(played: Played) -> None:
        success = "" if played.success is None else f", {'' if played.success else 'no '}success"
        length = f"{played.length} actions"
        tell(f"episode {next(numbers)}: return {played.returns:.4f}, {length}{success}")

    seed = found.seed if wanted.seed is None else wanted.seed
    show(frames(task, found.player, seed, wanted.episodes, ended))
    if wanted.file:
        tell(f"{wanted.file} ({wanted.file.stat().st_size / 1000:,.0f} kB)")


def _task(checkout: Checkout, name: str, trained_in: str) -> Task:
    settings = checkout.settings
    if name in settings.study.environments:
        return task_of(checkout, name)
    if name in settings.environments:
        return _informed(checkout, settings.environments[name].task, trained_in)
    task = Gymnasium(kind="gymnasium", id=name)
    try:
        shape_of(task)
    except EnvironmentFailure as error:
        known = list(settings.environments)
        raise PamdpError(
            f"environment: expected one of {', '.join(known)} or an id of Gymnasium such as "
            f"pamdp/Platform-v0, received {name!r}{nearest(name, known)} ({error})"
        ) from None
    return _informed(checkout, task, trained_in)


def _informed(checkout: Checkout, task: Task, trained_in: str) -> Task:
    """A task of which `setup` has measured nothing, with what it has of the one trained in.

    So float32 tells apart what it did in training. What is missing, or does not fit, is left out.
    """
    seen = None
    if trained_in in checkout.settings.study.environments:
        with suppress(PamdpError):
            seen = getattr(task_of(checkout, trained_in), "seen", None)
    if seen is None or len(json.loads(seen)["low"]) != len(task.observation_low):
        return task
    return task.with_facts({"seen": seen})


def _found(checkout: Checkout, wanted: Wanted) -> Found:
    path = checkout.root / wanted.source
    if (path / "saved_model.pb").is_file():
        # The folder is named after its cell.
        environment = path.resolve().name.split("-")[0]
        return Found(load_player(path), f"the model {wanted.source}", environment, 0)
    if path.suffix == ".npz":
        return _checkpoint(checkout, path)
    cell = tuned(checkout, cell_of(checkout, wanted.source))
    if (checkout.train(cell.name) / "weights.npz").is_file():
        return _trained(checkout, cell, wanted.seed)
    pattern = f"*/seed-{'*' if wanted.seed is None else wanted.seed}.npz"
    saved = checkout.checkpoints(cell.name).glob(pattern)
    newest = max(saved, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise PamdpError(
            f"{cell.name}: expected a cell that is trained or has a checkpoint of the run under "
            "way, received one without either; train it with `pamdp study`"
        )
    return _checkpoint(checkout, newest)


def _trained(checkout: Checkout, cell: Cell, seed: int | None) -> Found:
    """The best seed, or the one that is wanted."""
    weights, name = trained(checkout, cell), str(cell.name)
    if seed is None:
        summary = checkout.evaluate / "summary.json"
        evaluated = read_json(summary, Summary).get(name) if summary.is_file() else None
        ranked = evaluated["per_seed"] if evaluated else ()
        seed = max(ranked, key=itemgetter("mean"))["seed"] if ranked else min(weights)
    if seed not in weights:
        raise PamdpError(
            f"seed: expected one of {', '.join(map(str, weights))}, with which {name} was "
            f"trained, received {seed}"
        )
    player = player_of(cell, weights[seed])
    note = _changed(checkout, cell, checkout.train(name))
    return Found(player, f"{name}, seed {seed}, trained", cell.name.environment, seed, note)


def _checkpoint(checkout: Checkout, path: Path) -> Found:
    """The policy so far of a run that is under way."""
    name, seed = path.resolve().parents[1].name, path.stem.removeprefix("seed-")
    if not seed.isdecimal():
        raise PamdpError(
            f"source: expected a checkpoint .work/train/CELL/MARK/seed-N.npz, received {path}"
        )
    cell = tuned(checkout, cell_of(checkout, name))
    loop = loop_of(cell)
    saved = resumed(checkpoint.restore(path), loop.initial(int(seed)))
    if saved is None:
        raise PamdpError(
            f"{path}: expected a checkpoint of {name} as it stands in the settings, received none "
            "that is whole and fits; has the run ended, or params.yaml changed since it began?"
        )
    state, _ = saved
    label = f"{name}, seed {seed}, after {int(state.learner.step):,} steps"
    player = player_of(cell, loop.weights(state))
    note = _changed(checkout, cell, path.parent)
    return Found(player, label, cell.name.environment, int(seed), note)


def _changed(checkout: Checkout, cell: Cell, folder: Path) -> str:
    """Says which settings have changed since the training whose record is in a folder."""
    path = folder / "record.json"
    if not path.is_file():
        return "trained with settings that are not known, as its record is missing"
    then = Run.read(path).parameters
    training = checkout.settings.environments[cell.name.environment].training
    now = record(cell, "train", "", training=training).parameters
    changes = [
        f"{name} {then.get(name)}, now {now.get(name)}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    ]
    if not changes:
        return ""
    more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    listed = "; ".join(changes[:SHOWN])
    return f"trained with other settings than params.yaml has now: {listed}{more}"
