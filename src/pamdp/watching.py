"""Films of policies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pamdp.envs.adapter import FunctionalEnv
from pamdp.lazy import tf
from pamdp.loops import policy_of
from pamdp.agents.policy import send
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
    environment = FunctionalEnv(cell.task, "rgb_array")
    observation, _ = environment.reset(seed=seed)
    frames, total, ended = environment.frames(), 0.0, False
    for _ in range(cell.task.max_episode_steps):
        decision = policy.greedy(*weights, policy.scale(tf.constant(observation[None])))
        index = int(decision.action[0])
        blocks = [np.asarray(action.low, np.float32) for action in spec.actions]
        sent = send(spec, decision.parameters, decision.action)[0].numpy()
        blocks[index] = sent[: spec.sizes[index]]
        observation, reward, ended, _, _ = environment.step((index, tuple(blocks)))
        total += reward
        frames += environment.frames(EVERY_TICKS)
        if ended:
            break
    write_gif(frames, path)
    return total


def write_gif(frames: list[np.ndarray], path: Path) -> None:
    """Writes [height, width, 3] uint8 pictures as an animated GIF that repeats."""
    first, *others = [Image.fromarray(frame).quantize(64) for frame in frames]
    durations = [FRAME_MILLISECONDS] * len(others) + [LAST_FRAME_MILLISECONDS]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
