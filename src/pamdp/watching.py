"""Films of policies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pamdp import host
from pamdp.agents.policy import send
from pamdp.envs.adapter import FunctionalEnv
from pamdp.lazy import tf
from pamdp.loops import policy_of
from pamdp.settings import Cell

FRAME_MILLISECONDS = 60
LAST_FRAME_MILLISECONDS = 1500
EVERY_TICKS = 6


def film(cell: Cell, weights: tuple[tuple, tuple], seed: int, path: Path) -> float:
    """Plays one greedy episode and writes it as an animated GIF.

    Args:
      cell: what was trained.
      weights: of the parameter network and of the Q-network.
      seed: of the episode.
      path: the file.

    Returns:
      The return of the episode.
    """
    policy, spec = policy_of(cell), cell.task.actions
    environment = host.make(cell.task, "rgb_array")
    frames: list[np.ndarray] = []

    def decide(observation: np.ndarray) -> host.Sent:
        decision = policy.greedy(*weights, policy.scale(tf.constant(observation[None])))
        sent = send(spec, decision.parameters, decision.action)[0].numpy()
        return host.Sent(int(decision.action[0]), sent, decision.parameters[0].numpy())

    def watch() -> None:
        raw = environment.unwrapped
        if isinstance(raw, FunctionalEnv):
            frames.extend(raw.frames(EVERY_TICKS))
        else:
            frames.append(np.asarray(environment.render()))

    observation, _ = environment.reset(seed=seed)
    watch()
    played = host.play(environment, spec, decide, observation, watch)
    write_gif(frames, path)
    return float(played.returns)


def write_gif(frames: list[np.ndarray], path: Path) -> None:
    """Writes [height, width, 3] uint8 pictures as an animated GIF that repeats."""
    first, *others = [Image.fromarray(frame).quantize(64) for frame in frames]
    durations = [FRAME_MILLISECONDS] * len(others) + [LAST_FRAME_MILLISECONDS]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
