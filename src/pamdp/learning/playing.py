"""Episodes on the host, in any environment of Gymnasium; each is its seed's own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np

from pamdp.base.calls import on_cpu
from pamdp.base.errors import EnvironmentFailure
from pamdp.base.spaces import ActionSpec
from pamdp.base.task import Task
from pamdp.bridge.parameterised import WAY_OUT, Recording
from pamdp.learning.loop import Decide
from pamdp.learning.rollout import NOTHING, Command, Episodes, Measures, Step


def play(
    copies: Sequence[gymnasium.Env],
    spec: ActionSpec,
    decide: Decide,
    seeds: Sequence[int],
    measures: Measures = NOTHING,
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
      measures: what to measure of each step besides.

    Returns:
      Results in the order of the seeds. An episode with a success at any step is one; where no step
      of any episode told of one or none, there are no successes, but NaN.
    """
    waiting, playing = iter(enumerate(seeds)), dict[int, int]()  # copies and their episodes
    num_features = gymnasium.spaces.flatdim(copies[0].observation_space)
    observations = np.zeros([len(copies), num_features], np.float32)
    steps: list[list[Step]] = [[] for _ in seeds]

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
        command = decide(observations)
        for copy, episode in list(playing.items()):
            action = spec.element(int(command.action[copy]), command.parameters[copy])
            observations[copy], reward, terminated, truncated, info = copies[copy].step(action)
            success = float(info.get("success", np.nan))  # told or not
            steps[episode].append(Step(command.scaled[copy].copy(), float(reward), success))
            if terminated or truncated:
                begin(copy)
    return _summed([Step(*map(np.stack, zip(*taken, strict=True))) for taken in steps], measures)


@on_cpu()
def _summed(episodes: Sequence[Step], measures: Measures) -> Episodes:
    """The results of episodes, given all steps of each."""
    num_steps = sum(len(steps.reward) for steps in episodes)
    sums = {n: sum(np.sum(measure(s)) for s in episodes) for n, measure in measures.items()}
    told = [steps.success[~np.isnan(steps.success)] for steps in episodes]
    successes = [max(values, default=np.nan) for values in told]
    return Episodes(
        returns=np.array([sum(steps.reward.tolist()) for steps in episodes], np.float32),
        lengths=np.array([len(steps.reward) for steps in episodes], np.float32),
        successes=_told(np.array(successes, np.float32)),
        means={name: np.float32(total / num_steps) for name, total in sums.items()},
    )


def _told(successes: np.ndarray) -> np.ndarray:
    """[N] successes; those without a word are none, if others have one.

    An environment may tell of success only when there is one.
    """
    return successes if np.isnan(successes).all() else np.nan_to_num(successes)


def random_episodes(task: Any, number: int) -> tuple[Episodes, Task]:
    """Episodes of uniformly random actions and parameters in a user's environment.

    Every tenth is played again in another instance, the last one first: so whatever does not follow
    from its seed alone shows, such as what an episode leaves to the next one.

    Returns:
      The episodes, and the task with the range of what was observed.

    Raises:
      EnvironmentFailure: an episode was another one then.
    """
    seeds = episode_seeds(0, 0, number)

    def episode(environment: gymnasium.Env, index: int) -> Episodes:
        decide = random_decisions(task.actions, index)
        return play([environment], task.actions, decide, [seeds[index]])

    with closing(task.make()) as environment:
        environment.env = recording = Recording(environment.env, environment.observations)
        played = [episode(environment, index) for index in range(number)]
        again = range(0, number, 10) if environment.reproducible else []
    with closing(task.make()) as environment:
        for index in reversed(again):
            _compare(task, seeds[index], played[index], episode(environment, index))
    returns, lengths, successes = map(
        np.concatenate, zip(*(each[:3] for each in played), strict=True)
    )
    # In float64: squares of what a user's environment pays may exceed float32.
    episodes = Episodes(returns.astype(np.float64), lengths, _told(successes), {})
    seen = {name: row.tolist() for name, row in recording.seen._asdict().items()}
    return episodes, task.with_facts({"seen": seen})


def _compare(task: Any, seed: int, first: Episodes, again: Episodes) -> None:
    one, two = ((float(each.returns[0]), int(each.lengths[0])) for each in (first, again))
    if one != two:
        raise EnvironmentFailure(
            f"environment {task.gymnasium_id!r}: expected an episode to follow from "
            f"reset(seed=...) and the actions, received with seed {seed} and the same actions "
            f"first the return {one[0]:.9g} after {one[1]} steps, then {two[0]:.9g} after "
            f"{two[1]}; draw all random numbers from self.np_random, and let reset leave nothing "
            f"of the episode before; {WAY_OUT}"
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

    @on_cpu()
    def decide(observations: np.ndarray) -> Command:
        number = len(observations)
        action = generator.integers(spec.num_actions, size=number)
        scaled = generator.uniform(-1.0, 1.0, [number, spec.num_parameters]).astype(np.float32)
        parameters = np.zeros([number, spec.max_size], np.float32)
        for row, values in enumerate(np.asarray(spec.unscale(scaled))):
            parameters[row] = values[spec.places[action[row]]] * spec.real[action[row]]
        return Command(action, parameters, scaled)

    return decide
