"""What a cell will take of memory and time.

The constants were fitted by hand to cells of 3 to 1,024 actions on one core of an AMD EPYC, that of
a weight to those with `candidates` on an Intel Xeon; how far off they are elsewhere stands in
`docs/decisions.md`. Results do not depend on them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pamdp.base.algorithm import ParameterNetwork, QFunction
from pamdp.base.blocks import actions_at_once
from pamdp.base.sizes import Products
from pamdp.base.spaces import Action, ActionSpec
from pamdp.learning.cell import Cell
from pamdp.learning.loops import loop_for
from pamdp.learning.policy import MOST_HIDDEN
from pamdp.settings import Settings
from pamdp.tuning.space import Space

# Bytes.
FLOAT = 4
PROCESS = 1.0e9  # with TensorFlow and the programs of a cell
COPIES = 2  # of a seed's state besides the one kept: what a call of the loop gives, a checkpoint
COPIES_OF_HIDDEN = 6  # of the hidden units' values, in an update

OF_PROCESSES = ("processes", "ray")  # engines whose workers each hold the task that they are at

# Seconds.
FLOP = 1 / 60e9  # in matrix products
VALUE, UNCACHED = 0.3e-9, 2e-9  # of a hidden unit; more of each beyond what caches hold
CACHED = 500_000
WEIGHT, CACHED_WEIGHTS = 4e-9, 20_000  # of a weight in an update; the first ones are cheap
STEP = 30e-6  # of an environment and of what else a step does
HOST_STEP = 0.7e-3  # more, where the environment is stepped from Python
CELL = 20.0  # importing, tracing, compiling


@dataclass(frozen=True)
class Estimate:
    """What a cell takes.

    Attributes:
      settings: of the study.
      cell: of it.
      facts: what `setup` found out about the environment.
    """

    settings: Settings
    cell: Cell
    facts: Mapping[str, Any]

    @cached_property
    def features(self) -> int:
        """S."""
        return math.prod(self.facts["observation"]["shape"])

    @cached_property
    def q_function(self) -> QFunction:
        """The Q-function, which knows how many networks and passes there are."""
        actions = self.facts["actions"]
        spec = ActionSpec(
            tuple(
                Action(a["name"], tuple(a["low"]), tuple(a["high"]), tuple(a.get("features", ())))
                for a in actions
            )
        )
        return self.cell.algorithm.q_function(self.cell.learner.q, spec)

    @cached_property
    def parameter_network(self) -> ParameterNetwork:
        """The parameter network, likewise."""
        spec = self.q_function.spec
        return self.cell.algorithm.parameter_network(self.cell.learner.parameters, spec)

    @cached_property
    def _space(self) -> Space:
        return Space(self.cell, self.settings.tuning.of(self.cell.name))

    @property
    def seconds(self) -> float:
        """Of one core, for tuning, training and evaluation."""
        full = self.settings.environments[self.cell.name.environment].training
        tuning = self._space.tuning
        runs = [
            (full, len(self.settings.study.seeds)),
            (tuning.training(full), self._space.num_trials * len(tuning.seeds)),
        ]
        episodes = self.settings.evaluation.episodes * len(self.settings.study.seeds)
        for training, number in runs:
            points = math.ceil(training.steps / training.report_every)
            episodes += number * points * training.evaluation_episodes
        steps = sum(training.steps * number for training, number in runs)
        return CELL + steps * (self._update + self._step) + episodes * self._length * self._act

    @property
    def tuning_share(self) -> float:
        """The share of tuning in the steps of tuning and training."""
        full = self.settings.environments[self.cell.name.environment].training
        tuning = self._space.tuning
        tuned = tuning.training(full).steps * self._space.num_trials * len(tuning.seeds)
        return tuned / (tuned + full.steps * len(self.settings.study.seeds))

    def memory(self, num_workers: int, engine: str | None = None) -> float:
        """Bytes at most, with so many tasks at work at a time on an engine, or on the one used."""
        return sum(self.parts(num_workers, engine).values())

    def parts(self, num_workers: int, engine: str | None = None) -> dict[str, float]:
        """The same by the setting that it grows with; "" is what does not."""
        engine = engine or self._engine
        working, states = 0, 0
        for tasks, together in self._tasks:
            busy = min(num_workers, tasks)
            # Threads take turns at the tasks, so that all of them are under way.
            held = (busy if engine in OF_PROCESSES else tasks) * together
            if not self._hosted:  # which keeps one, in which each step writes
                held += busy * COPIES
            working, states = max(working, busy), max(states, held)
        processes = 1
        if engine in OF_PROCESSES:  # of which one forks workers from one more
            processes = working + (engine == "processes")
        learner = self.cell.learner
        row = 2 * self.features + self._kept + 4
        hidden = self._held * COPIES_OF_HIDDEN
        training = self.settings.environments[self.cell.name.environment].training
        episodes = max(training.evaluation_episodes, self.settings.evaluation.episodes)
        return {
            "": PROCESS * processes,
            "learner.replay_size": states * FLOAT * row * learner.replay_size,
            # Online and target weights, and two moments of each gradient.
            "the networks' hidden": states * FLOAT * 4 * self._weights,
            "learner.batch_size": working * FLOAT * hidden,
            "learner.n_step.steps": working * FLOAT * 16 * learner.batch_size * self._steps_ahead,
            "the number of episodes in evaluations": working * FLOAT * self._playing(episodes),
        }

    @property
    def _tasks(self) -> list[tuple[int, int]]:
        """Of training and of tuning: how many tasks, and how many seeds each trains level."""
        tuning = self._space.tuning
        together = 1 if tuning.pruner.by_seed else len(tuning.seeds)
        return [
            (len(self.settings.study.seeds), 1),
            (min(tuning.lag, self._space.num_trials), together),
        ]

    @property
    def _engine(self) -> str:
        return os.environ.get("PAMDP_ENGINE") or loop_for(self.cell.task).engine

    @property
    def _hosted(self) -> bool:
        return loop_for(self.cell.task).engine == "processes"

    @property
    def _kept(self) -> int:
        """Numbers that the replay memory keeps of an action."""
        candidates, spec = self.cell.learner.candidates, self.q_function.spec
        if candidates is None:
            return spec.num_parameters
        return spec.max_size + (candidates < spec.num_actions)

    def _playing(self, episodes: int) -> int:
        """Numbers that the episodes of an evaluation take."""
        if self._hosted:  # all steps are kept
            kept = self.q_function.spec.num_parameters * self.facts["max_episode_steps"]
            return episodes * kept
        layers = len(self.cell.learner.q.hidden) + len(self.cell.learner.parameters.hidden)
        hidden = min(episodes * self._acting, layers * MOST_HIDDEN)
        return 2 * hidden + 4 * episodes * self.features

    @property
    def _acting(self) -> int:
        """Values of hidden units in a greedy step."""
        number = self.q_function.spec.num_actions
        return self._x.hidden(number) + self._q.hidden(number)

    @property
    def _steps_ahead(self) -> int:
        n_step = self.cell.learner.n_step
        return 0 if n_step is None else n_step.steps

    @property
    def _looked_at(self) -> tuple[int, int]:
        """How many actions of a row the targets look at in an update, and the objective."""
        candidates, number = self.cell.learner.candidates, self.q_function.spec.num_actions
        return (number, number) if candidates is None else (min(candidates, number), 1)

    @property
    def _hidden(self) -> int:
        """Values of hidden units for one row of a batch, in an update."""
        q, x = self._q, self._x
        number = self._looked_at[0]
        taken = self.q_function.networks if self.cell.learner.candidates is None else 1
        return x.hidden(number) + q.hidden(number) + taken * sum(q.units)

    @property
    def _held(self) -> int:
        """Those of a batch that are kept at a time."""
        learner, function = self.cell.learner, self.q_function
        hidden = learner.batch_size * self._hidden
        if learner.candidates is not None or not function.in_blocks:
            return hidden
        number = function.spec.num_actions
        of_each = learner.batch_size * self._q.hidden(1)
        return hidden - of_each * (number - actions_at_once(number, of_each))

    @cached_property
    def _q(self) -> Products:
        function = self.q_function
        sizes, units = function.sizes(self.features), self.cell.learner.q.hidden
        return Products(sizes, units, function.passes, function.networks, function.spec.num_actions)

    @cached_property
    def _x(self) -> Products:
        network, units = self.parameter_network, self.cell.learner.parameters.hidden
        sizes, number = network.sizes(self.features), network.spec.num_actions
        return Products(sizes, units, network.passes, 1, number)

    @property
    def _weights(self) -> int:
        return self._num_q * self._q.weights + self._x.weights

    @property
    def _num_q(self) -> int:
        return 2 if self.cell.learner.twin_q else 1

    @property
    def _update(self) -> float:
        """Seconds of an update."""
        q, x = self._q, self._x
        targets, objective = self._looked_at
        taken = q.taken if self.cell.learner.candidates is None else q.of(1)
        # Forward in the targets and in both gradients; backward once for inputs, twice for weights.
        products = x.of(targets) + 3 * x.of(objective)
        products += self._num_q * (q.of(targets) + 3 * taken) + 2 * q.of(objective)
        batch = self.cell.learner.batch_size
        flops = 2 * batch * products
        seconds = flops * FLOP + batch * self._hidden * VALUE
        seconds += max(0, self._held - CACHED) * UNCACHED
        return seconds + max(0, self._weights - CACHED_WEIGHTS) * WEIGHT

    @property
    def _step(self) -> float:
        return STEP + self._act + self._hosted * HOST_STEP

    @property
    def _act(self) -> float:
        """Seconds of a greedy step."""
        number = self.q_function.spec.num_actions
        products = self._x.of(number) + self._q.of(number)
        called = STEP + self._hosted * HOST_STEP / 4
        return called + 2 * products * FLOP + self._acting * VALUE

    @property
    def _length(self) -> float:
        """Of an episode; a policy that learns may make it last as long as it can."""
        return math.sqrt(self.facts["max_episode_steps"] * random_length(self.facts))


def random_length(facts: Mapping[str, Any]) -> float:
    """Of an episode of random actions, in steps."""
    return max(1.0, facts["random_policy"]["length_mean"])
