"""Watching policies play: the frames of their episodes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gymnasium
import numpy as np

from pamdp.base.calls import on_cpu
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec
from pamdp.base.task import Task, centred, raw
from pamdp.bridge.adapter import FunctionalEnv
from pamdp.films import Frame, pictures, write_gif
from pamdp.learning.cell import Cell, policy_of
from pamdp.learning.policy import Weights
from pamdp.serving import Model

FRAME_SECONDS = 0.06
END_SECONDS = 1.5  # for which the end of an episode is held
EVERY_TICKS = 6

# From a raw observation [S] to an action and its own parameters [m_k], both in environment units.
Act = Callable[[np.ndarray], tuple[int, np.ndarray]]
Drawn = TypeVar("Drawn")


class UndrawableError(PamdpError):
    """An environment gives no pictures."""


class Shape(NamedTuple):
    """What a policy and an environment must have in common: the numbers S, K and P."""

    features: int
    actions: int
    parameters: int

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self._asdict().items())


class Player(NamedTuple):
    """A policy that can be watched."""

    act: Act
    shape: Shape


class Played(NamedTuple):
    """An episode that has ended; `success` is None where the environment does not tell it."""

    returns: float
    length: int
    success: bool | None


def film(cell: Cell, weights: Weights, seed: int, path: Path) -> float | None:
    """Plays one greedy episode and writes it as an animated GIF.

    Args:
      cell: what was trained.
      weights: of the policy.
      seed: of the episode.
      path: the file.

    Returns:
      The return of the episode; None if the environment gives no pictures. Then a note says so
      and there is no file.
    """
    played: list[Played] = []
    try:
        write_gif(frames(cell.task, player_of(cell, weights), seed, 1, played.append), path)
    except UndrawableError as error:
        path.unlink(missing_ok=True)
        sys.stderr.write(f"{cell.name} is not filmed: {error}\n")
        return None
    return played[0].returns


def player_of(cell: Cell, weights: Weights) -> Player:
    """The greedy policy of a cell with these weights."""
    policy, spec = policy_of(cell), cell.task.actions

    @on_cpu()
    def act(observation: np.ndarray) -> tuple[int, np.ndarray]:
        known = centred(cell.task, observation)
        decision = policy.greedy(weights, tf.constant(known[None], tf.float32))
        action = int(decision.action[0])
        own = spec.executed(decision.parameters, decision.action)[0].numpy()
        return action, own[: spec.sizes[action]]

    return Player(act, shape_of(cell.task))


def load_player(folder: Path) -> Player:
    """The policy that was exported as a SavedModel.

    Raises:
      PamdpError: the model has not the signature of an exported policy.
    """
    model = Model(folder)

    def act(observation: np.ndarray) -> tuple[int, np.ndarray]:
        answers = model(observation[None])
        size = answers["num_parameters"][0]
        return int(answers["action"][0]), answers["parameters"][0, :size]

    return Player(act, Shape(model.features, model.num_actions, model.num_parameters))


def shape_of(task: Task) -> Shape:
    """The shape that a policy for this environment has."""
    spec = task.actions
    return Shape(len(task.observation_low), spec.num_actions, spec.num_parameters)


def frames(
    task: Task,
    player: Player,
    seed: int,
    num_episodes: int,
    ended: Callable[[Played], object],
) -> Iterator[Frame]:
    """Plays episodes and draws them.

    Args:
      task: the environment.
      player: the policy.
      seed: of the environment, which is seeded once.
      num_episodes: at least one.
      ended: is told of each episode when it has ended.

    Yields:
      Pictures of each episode from its start to its end, which is held for a while.

    Raises:
      PamdpError: the policy is not one for this environment.
      UndrawableError: the environment gives no pictures.
    """
    if player.shape != shape_of(task):
        raise PamdpError(
            f"{task.gymnasium_id}: expected {player.shape}, for which the policy was trained, "
            f"received {shape_of(task)}; choose another environment or another policy"
        )
    if "rgb_array" not in task.render_modes:
        raise UndrawableError(
            f"{task.gymnasium_id}: expected an environment with the render mode rgb_array, for "
            f"pictures, received one with {list(task.render_modes)}"
        )
    with closing(_foreign(task, lambda: task.make("rgb_array"))) as environment:
        draw = _drawing(task, environment)
        for number in range(num_episodes):
            observation, _ = environment.reset(seed=None if number else seed)
            shown, played = draw(), Played(0.0, 0, None)
            yield from shown
            over = False
            while not over:
                action = _element(task.actions, *player.act(raw(task, observation)))
                observation, reward, terminated, truncated, info = environment.step(action)
                returns = played.returns + float(reward)
                played = Played(returns, played.length + 1, info.get("success"))
                over = terminated or truncated
                yield from (shown := draw())
            ended(played)
            yield shown[-1]._replace(seconds=END_SECONDS)


def _foreign(task: Task, draw: Callable[[], Drawn]) -> Drawn:
    try:
        return draw()
    except Exception as error:  # another's code: any error of it means the same here
        raise UndrawableError(
            f"{task.gymnasium_id}: expected an environment that draws with the render mode "
            f"rgb_array, received {type(error).__name__}: {error}"
        ) from error


def _drawing(task: Task, environment: gymnasium.Env) -> Callable[[], list[Frame]]:
    """What draws the last action, or the start."""
    own = environment.unwrapped
    if isinstance(own, FunctionalEnv):
        return lambda: [Frame(picture, FRAME_SECONDS) for picture in own.frames(EVERY_TICKS)]
    rate = environment.metadata.get("render_fps")
    sizes: set[tuple[int, ...]] = set()

    def draw() -> list[Frame]:
        drawn: Any = _foreign(task, environment.render)
        try:
            shown = pictures(drawn)
        except ValueError as error:
            raise UndrawableError(f"{task.gymnasium_id}: render(): {error}") from None
        sizes.update(picture.shape[:2] for picture in shown)
        if len(sizes) > 1:  # a film has one size
            raise UndrawableError(
                f"{task.gymnasium_id}: render(): expected pictures of one size, received "
                f"{' and '.join(f'{height} x {width}' for height, width in sorted(sizes))}"
            )
        return [Frame(picture, 1 / rate if rate else FRAME_SECONDS) for picture in shown]

    return draw


def _element(spec: ActionSpec, action: int, parameters: np.ndarray) -> Any:
    """An element of the environment's action space.

    An exported model does not tell the sizes and bounds of each action: they show as it acts.
    """
    known = spec.actions[action]
    low, high = np.asarray(known.low, np.float32), np.asarray(known.high, np.float32)
    if len(parameters) == len(low):
        inside = np.clip(parameters, low, high)
        if (np.abs(parameters - inside) <= 1e-4 * (high - low)).all():  # that much is rounding
            return spec.element(action, inside)
    raise PamdpError(
        f"environment: expected an action space that the policy was trained for, received one in "
        f"which action {action} takes {len(low)} parameters from {low} to {high}; it was given "
        f"{parameters}"
    )
