"""Episodes on the host: the Gymnasium form of any environment, stepped one action at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from pamdp.agents.policy import NEAR
from pamdp.envs.adapter import FunctionalEnv
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.evaluation import Episodes
from pamdp.spaces import ActionSpec


class Sent(NamedTuple):
    """An action on its way out.

    Attributes:
      action: its index.
      parameters: [m] its parameters in environment units, padded.
      scaled: [P] all scaled parameters, before clipping.
    """

    action: int
    parameters: np.ndarray
    scaled: np.ndarray


Decide = Callable[[np.ndarray], Sent]  # from a raw observation [S]


def make(task: Environment | Gymnasium, render_mode: str | None = None) -> gymnasium.Env:
    """The Gymnasium form of an environment, with its time limit."""
    if isinstance(task, Gymnasium):
        return task.make(render_mode)
    return TimeLimit(FunctionalEnv(task, render_mode), task.max_episode_steps)


def play(
    environment: gymnasium.Env,
    spec: ActionSpec,
    decide: Decide,
    observation: np.ndarray,
    watch: Callable[[], object] = lambda: None,
) -> Episodes:
    """Plays an episode to its end.

    Args:
      environment: has just been reset.
      spec: its actions.
      decide: what to do.
      observation: [S] the first one.
      watch: is called after each action.

    Returns:
      Its return, length and success; the shares are summed over its steps.
    """
    sums, ended = np.zeros(5), False
    while not ended:
        sent = decide(observation)
        element = spec.element(sent.action, sent.parameters)
        observation, reward, terminated, truncated, info = environment.step(element)
        size, success = np.abs(sent.scaled), float(info.get("success", False))
        sums += [float(reward), 1.0, success, np.mean(size > 1.0), np.mean(size > NEAR)]
        ended = terminated or truncated
        watch()
    return Episodes(*sums)


def episodes(
    environment: gymnasium.Env, spec: ActionSpec, decide: Decide, seed: int, num_episodes: int
) -> Episodes:
    """Plays episodes one after another; arguments as for `play`, the environment is seeded once."""
    rows = []
    observation, _ = environment.reset(seed=seed)
    for _ in range(num_episodes):
        rows.append(play(environment, spec, decide, observation))
        observation, _ = environment.reset()
    returns, lengths, successes, clipped, near = np.asarray(rows, np.float32).T
    steps = lengths.sum()
    return Episodes(returns, lengths, successes, clipped.sum() / steps, near.sum() / steps)


def random_decisions(spec: ActionSpec, seed: int) -> Decide:
    """Uniformly random actions and parameters."""
    generator = np.random.default_rng(seed)

    def decide(observation: np.ndarray) -> Sent:
        del observation
        action = int(generator.integers(spec.num_actions))
        scaled = generator.uniform(-1.0, 1.0, spec.num_parameters).astype(np.float32)
        values = spec.unscale(scaled)
        return Sent(action, values[spec.owned[action] > 0], scaled)

    return decide
