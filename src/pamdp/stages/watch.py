"""Watching the policies of a checkout: which one, and in which environment."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pamdp import checkpoint, films
from pamdp.cells import Cell
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.loops import loop_of
from pamdp.problems import EnvironmentFailure, SettingsError, nearest
from pamdp.records import read_json
from pamdp.settings import Settings
from pamdp.stages import WORK
from pamdp.stages.cells import trained, tuned
from pamdp.watching import Played, Player, frames, load_player, player_of, shape_of


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
    """A policy, what it is in words, the name of its environment, and the seed it came from."""

    player: Player
    label: str
    environment: str
    seed: int


def watch(settings: Settings, root: Path, wanted: Wanted, tell: Callable[[str], object]) -> None:
    """Plays a policy in a window or into a film, and tells how each episode went.

    Raises:
      SettingsError: there is no such policy, environment or screen, or they do not fit together.
    """
    if wanted.episodes < 1:
        raise SettingsError(f"episodes: expected at least 1, received {wanted.episodes}")
    show = films.output(wanted.file, f"pamdp: {wanted.source}")
    found = _found(settings, root, wanted)
    task = _task(settings, wanted.environment or found.environment)
    tell(found.label)
    numbers = count(1)

    def ended(played: Played) -> None:
        success = "" if played.success is None else f", {'' if played.success else 'no '}success"
        length = f"{played.length} actions"
        tell(f"episode {next(numbers)}: return {played.returns:.4f}, {length}{success}")

    seed = found.seed if wanted.seed is None else wanted.seed
    show(frames(task, found.player, seed, wanted.episodes, ended))
    if wanted.file:
        tell(f"{wanted.file} ({wanted.file.stat().st_size / 1000:,.0f} kB)")


def _task(settings: Settings, name: str) -> Environment | Gymnasium:
    if name in settings.environments:
        return settings.environments[name].task
    task = Gymnasium(kind="gymnasium", id=name)
    try:
        shape_of(task)
    except EnvironmentFailure as error:
        known = list(settings.environments)
        raise SettingsError(
            f"environment: expected one of {', '.join(known)} or an id of Gymnasium such as "
            f"pamdp/Platform-v0, received {name!r}{nearest(name, known)} ({error})"
        ) from None
    return task


def _found(settings: Settings, root: Path, wanted: Wanted) -> Found:
    path = root / wanted.source
    if (path / "saved_model.pb").is_file():
        # The folder is named after its cell.
        environment = path.resolve().name.split("-")[0]
        return Found(load_player(path), f"the model {wanted.source}", environment, 0)
    if path.suffix == ".npz":
        return _checkpoint(settings, root, path)
    cell = tuned(settings.cell(wanted.source), root)
    if (root / "metrics" / "train" / cell.name / "weights.npz").is_file():
        return _trained(cell, root, wanted.seed)
    pattern = f"*/seed-{'*' if wanted.seed is None else wanted.seed}.npz"
    saved = (root / WORK / "train" / cell.name).glob(pattern)
    newest = max(saved, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise SettingsError(
            f"{cell.name}: expected a cell that is trained or has a checkpoint of the run under "
            "way, received one without either; train it with `make study`"
        )
    return _checkpoint(settings, root, newest)


def _trained(cell: Cell, root: Path, seed: int | None) -> Found:
    """The best seed, or the one that is wanted."""
    weights = trained(cell, root)
    if seed is None:
        summary = root / "metrics" / "evaluate" / "summary.json"
        evaluated = read_json(summary).get(cell.name) if summary.is_file() else None
        ranked = evaluated["per_seed"] if evaluated else ()
        seed = max(ranked, key=itemgetter("mean"))["seed"] if ranked else min(weights)
    if seed not in weights:
        raise SettingsError(
            f"seed: expected one of {', '.join(map(str, weights))}, with which {cell.name} was "
            f"trained, received {seed}"
        )
    player = player_of(cell, weights[seed])
    return Found(player, f"{cell.name}, seed {seed}, trained", cell.environment, seed)


def _checkpoint(settings: Settings, root: Path, path: Path) -> Found:
    """The policy so far of a run that is under way."""
    name, seed = path.resolve().parents[1].name, path.stem.removeprefix("seed-")
    if not seed.isdecimal():
        raise SettingsError(
            f"source: expected a checkpoint {WORK}/train/CELL/MARK/seed-N.npz, received {path}"
        )
    cell = tuned(settings.cell(name), root)
    loop = loop_of(cell)
    saved = checkpoint.restore(path, loop.initial(0))
    if saved is None:
        raise SettingsError(
            f"{path}: expected a checkpoint of {name} as it stands in the settings, received none "
            "that is whole and fits; has the run ended, or params.yaml changed since it began?"
        )
    label = f"{name}, seed {seed}, after {int(saved[0].learner.step):,} steps"
    player = player_of(cell, loop.weights(saved[0]))
    return Found(player, label, cell.environment, int(seed))
