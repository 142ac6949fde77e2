"""Episodes on the host: the Gymnasium form of any environment, stepped one action at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from pamdp.agents.policy import NEAR
from pamdp.envs.adapter import FunctionalEnv
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.evaluation import Episodes, Sent
from pamdp.spaces import ActionSpec

Decide = Callable[[np.ndarray], Sent]  # from raw observations [N, S]; arrays


def make(task: Environment | Gymnasium, render_mode: str | None = None) -> gymnasium.Env:
    """The Gymnasium form of an environment, with its time limit."""
    if isinstance(task, Gymnasium):
        return task.make(render_mode)
    return TimeLimit(FunctionalEnv(task, render_mode), task.max_episode_steps)


def episodes(
    copies: Sequence[gymnasium.Env], spec: ActionSpec, decide: Decide, seeds: Sequence[int]
) -> Episodes:
    """Plays one episode for each seed, as many at a time as there are copies.

    A copy that has ended takes the next seed. An episode depends on its seed and not on the copy
    that plays it, nor on what is played beside it, if `reset` leaves nothing of the episode before.

    Args:
      copies: N instances of the environment.
      spec: its actions.
      decide: what to do; it is asked for all copies at once, those without an episode too, so that
        it always sees the same shape.
      seeds: of the episodes.

    Returns:
      Results in the order of the seeds. An episode with a success at any step is one.
    """
    waiting, playing = iter(enumerate(seeds)), dict[int, int]()  # copies and their episodes
    num_features = gymnasium.spaces.flatdim(copies[0].observation_space)
    observations = np.zeros([len(copies), num_features], np.float32)
    sums = np.zeros([len(seeds), len(Episodes._fields)])

    def begin(copy: int) -> None:
        episode = next(waiting, None)
        if episode is None:
            playing.pop(copy, None)
        else:
            playing[copy], seed = episode
            observations[copy], _ = copies[copy].reset(seed=seed)

    for copy in range(len(copies)):
        begin(copy)
    while playing:
        sent = decide(observations)
        for copy, episode in list(playing.items()):
            action = spec.element(int(sent.action[copy]), sent.parameters[copy])
            observations[copy], reward, terminated, truncated, info = copies[copy].step(action)
            success, size = float(info.get("success", False)), np.abs(sent.scaled[copy])
            sums[episode] += [float(reward), 1, success, np.mean(size > 1), np.mean(size > NEAR)]
            if terminated or truncated:
                begin(copy)
    returns, lengths, successes, clipped, near = sums.astype(np.float32).T
    steps = lengths.sum()
    return Episodes(
        returns, lengths, np.minimum(successes, 1), clipped.sum() / steps, near.sum() / steps
    )


def episode_seeds(seed: int, number: int, num_episodes: int) -> list[int]:
    """What the episodes of an evaluation are seeded with, below 2**31 as much code expects.

    Args:
      seed: of the run.
      number: tells apart the evaluations of a run.
      num_episodes: how many; the first ones are the same for any number.
    """
    words = np.random.SeedSequence([seed, number]).generate_state(num_episodes)
    return [int(word) >> 1 for word in words]


def random_decisions(spec: ActionSpec, seed: int) -> Decide:
    """Uniformly random actions and parameters."""
    generator = np.random.default_rng(seed)

    def decide(observations: np.ndarray) -> Sent:
        number = len(observations)
        action = generator.integers(spec.num_actions, size=number)
        scaled = generator.uniform(-1.0, 1.0, [number, spec.num_parameters]).astype(np.float32)
        parameters = np.zeros([number, spec.max_size], np.float32)
        for row, values in enumerate(np.asarray(spec.unscale(scaled))):
            own = values[spec.owned[action[row]] > 0]
            parameters[row, : len(own)] = own
        return Sent(action, parameters, scaled)

    return decide
