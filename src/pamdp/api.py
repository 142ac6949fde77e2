"""The laboratory from Python: what `pamdp` itself offers, a few functions of plain values.

They call what the stages of a study call, so that equal settings and seeds give equal results here
and there. The examples begin with `import pamdp`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium

from pamdp import evaluation, export
from pamdp.engines import Needs, open_engine
from pamdp.extras import require_study
from pamdp.files import local
from pamdp.learning import training
from pamdp.learning.loops import loop_for
from pamdp.learning.rollout import Episodes
from pamdp.learning.training import Point
from pamdp.recipe import Recipe, recipe
from pamdp.results import Result, Tuned, whole
from pamdp.serving import Model
from pamdp.tensorboard import TensorBoard

if TYPE_CHECKING:
    from pamdp.tuning.study import Trial

__all__ = ["Result", "TensorBoard", "Tuned", "cell", "evaluate", "load", "save", "train", "tune"]

OnPoint = Callable[[int, Point], object]  # is given a seed and a point of its learning curve


def cell(
    environment: str | Mapping[str, Any] | gymnasium.Env | type[gymnasium.Env] = "platform",
    algorithm: str = "mpdqn",
    strategy: str = "inverting",
    changes: Mapping[str, Any] | None = None,
    *,
    params: Path | str | None = None,
) -> Recipe:
    """What is to be learned, and how: an environment, an algorithm and a gradient strategy.

    All settings are those of a params.yaml: the one that comes with this package, or one of yours.

    Args:
      environment: a name there (`platform`, `goal`, ...); or an environment of your own: its id in
        Gymnasium, its class (which needs `task.max_episode_steps`), what `gymnasium.make` gave, or
        what stands under `task` in params.yaml. Its other settings are those of the first
        environment of the file's study, unless a block of the file has this task. It plays 200
        random episodes here, for their range. Ours, given by their ids or as `gymnasium.make` gave
        them, are learned as the block says that has the task.
      algorithm: a name there.
      strategy: a name under `gradients` there.
      changes: other values by their paths in a cell, such as `learner.gamma`, `learner.q.hidden`,
        `strategy.factor`, `task.noise`, `training.steps`.
      params: the file.

    Raises:
      SettingsError: a name, a path or a value is wrong; the message names each.
      EnvironmentFailure: your environment does not keep to Gymnasium's interface.

    Warns:
      UserWarning: your environment is not reproducible, its bounds are not true, or Gymnasium
        advises against something; what each action drives is logged by the logger `pamdp`.

    Examples:
      >>> cell = pamdp.cell("platform", "mpdqn", "inverting", {"learner.gamma": 0.95})
      >>> cell
      Recipe(platform-mpdqn-inverting, 40,000 steps)
      >>> cell.learner.gamma
      0.95
      >>> cell.replace({"training.steps": 2000, "learner.q.hidden": [64, 64]})
      Recipe(platform-mpdqn-inverting, 2,000 steps)
    """
    return recipe((environment, algorithm, strategy), changes, params)


def train(cell: Recipe, *, seed: int = 1, on_point: OnPoint | None = None) -> Result:
    """Trains a seed.

    Compiled programs let go of the interpreter: seeds of our own environments run side by side in
    the threads of a `concurrent.futures.ThreadPoolExecutor`.

    Args:
      cell: what `pamdp.cell` gave.
      seed: of all random numbers, from 0.
      on_point: is given the seed and each point of the learning curve as soon as it is known;
        `pamdp.TensorBoard` is one. What it raises ends the training.

    Returns:
      The learning curve and the policy; the same bytes as a study's of equal settings.

    Raises:
      PamdpError: the seed is none.
      TrainingError: learning diverged.
      EnvironmentFailure: your environment failed.

    Examples:
      >>> cell = pamdp.cell("platform", changes={"training.steps": 4000})
      >>> def show(seed, point):
      ...     print(seed, point.step, sorted(point.metrics)[:2])
      >>> result = pamdp.train(cell, seed=3, on_point=show)
      3 2000 ['eval/length', 'eval/return']
      3 4000 ['eval/length', 'eval/return']
      >>> result
      Result(platform-mpdqn-inverting, seed 3, 2 points)
    """
    seed = whole("seed", seed, 0)
    ended: list[training.TrainResult] = []

    def events() -> Generator:
        ended.append((yield from training.train(cell.cell, seed, cell.training)))

    with closing(events()) as running:
        for event in running:
            if on_point is not None and isinstance(event, Point):
                on_point(seed, event)
    (done,) = ended
    return Result(cell, seed, done.points, done.weights)


def evaluate(result: Result, *, episodes: int | None = None) -> Episodes:
    """Plays greedy episodes with a trained policy.

    Args:
      result: what `pamdp.train` gave.
      episodes: how many; by default as many as a study plays, `evaluation.episodes`.

    Returns:
      `returns`, `lengths` and `successes` [episodes], the last ones NaN where the environment tells
      of none, and `means` of other measures by name; those of a study of equal settings.

    Raises:
      PamdpError: the number is none from 1 on.
      EnvironmentFailure: your environment failed.

    Examples:
      >>> result = pamdp.train(pamdp.cell("platform", changes={"training.steps": 2000}), seed=1)
      >>> played = pamdp.evaluate(result, episodes=100)
      >>> played.returns.shape
      (100,)
      >>> bool(0 < played.returns.mean() < 1)
      True
    """
    number = result.cell.settings.evaluation.episodes if episodes is None else episodes
    number = whole("episodes", number, 1)
    return evaluation.evaluate(result.cell.cell, result.weights, result.seed, number)


def save(result: Result, folder: Path | str) -> None:
    """Writes a policy as a SavedModel, and proves that it acts as it did in training.

    It needs TensorFlow alone; `export.save` has its signature. The numbers in it are those of a
    study of equal settings, its bytes are not: TensorFlow numbers what a process saves.

    Args:
      result: what `pamdp.train` gave.
      folder: is created, or a model in it replaced.

    Raises:
      PamdpError: it is an address, `gs://...`, and no folder of this machine.
      ExportError: it cannot be written, or acts otherwise.

    Examples:
      >>> result = pamdp.train(pamdp.cell("platform", changes={"training.steps": 2000}), seed=1)
      >>> pamdp.save(result, "my_policy")
    """
    subject, weights = result.cell.cell, result.weights
    export.save(subject, weights, local(folder))
    rows = export.observations(subject, weights)
    export.check(subject, weights, rows, Model(folder)(rows))


def load(folder: Path | str) -> Model:
    """The policy that `pamdp.save` or a study has written, as a function of arrays.

    Args:
      folder: such as `models/platform-mpdqn-inverting`.

    Returns:
      A function of raw observations [N, S]: `action` [N], `parameters` [N, m] of that action in the
      environment's units, of which `num_parameters` [N] count, `all_parameters` [N, P] and
      `q_values` [N, K], by name.

    Raises:
      Damaged: it cannot be loaded.
      PamdpError: there is none, or it has another signature.

    Examples:
      >>> import numpy as np
      >>> result = pamdp.train(pamdp.cell("platform", changes={"training.steps": 2000}), seed=1)
      >>> pamdp.save(result, "my_policy")
      >>> policy = pamdp.load("my_policy")
      >>> answer = policy(np.zeros([5, policy.features]))
      >>> answer["action"].shape, answer["parameters"].shape
      ((5,), (5, 1))
    """
    return Model(folder)


def tune(
    cell: Recipe,
    *,
    trials: int,
    space: Sequence[Mapping[str, Any]] | None = None,
    on_trial: Callable[[Trial], object] | None = None,
) -> Tuned:
    """Searches for better values of a cell's settings with Optuna; needs the extra `study`.

    Args:
      cell: what `pamdp.cell` gave; its settings are trial 0. Length, seeds and sampler of the
        trials are `tuning.*` of its settings, which `cell.replace` changes.
      trials: how many.
      space: what is tried, as it stands under `tuning.space` in params.yaml; by default that.
      on_trial: is given each trial when it has ended.

    Raises:
      PamdpError: the number of trials is none from 1 on.
      SettingsError: a path or a range is wrong.
      NotInstalled: the extra is missing.

    Examples:
      >>> cell = pamdp.cell("platform", changes={"training.steps": 8000})
      >>> space = [{"path": "learner.gamma", "low": 0.8, "high": 0.99}]
      >>> found = pamdp.tune(cell, trials=2, space=space)
      >>> found
      Tuned(platform-mpdqn-inverting, score ..., 2 trials)
      >>> found.trials[0].values
      {'learner.gamma': 0.9}
      >>> result = pamdp.train(found.cell, seed=1)
    """
    require_study("pamdp.tune")
    from pamdp.tuning.study import CellStudy

    name = str(cell.name)
    own = {**cell.settings.tuning.cells.get(name, {}), "trials": whole("trials", trials, 1)}
    if space is not None:  # known points may have other paths than it
        own |= {"space": [*space], "enqueue": []}
    asked = cell.changed({"tuning.cells": {name: own}}, "pamdp.tune")
    subject, tuning = asked.cell, asked.settings.tuning.of(name)
    ended: list[Trial] = []
    # In memory: a search that nothing goes on with belongs in no database.
    study = CellStudy(subject, tuning, tuning.training(asked.training), "", None)
    suited, most = loop_for(subject.task).engine, min(study.missing, tuning.lag)
    with open_engine(suited, most, Needs(frozenset(subject.task.sources))) as engine:
        for trial in study.run(engine):
            ended.append(trial)
            if on_trial is not None:
                on_trial(trial)
    used = study.used(ended)
    found = cell.replace(used.values) if used else cell
    return Tuned(found, used.score if used else None, ended)
