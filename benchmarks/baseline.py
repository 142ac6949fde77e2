"""The loop around the baselines: replay memory in NumPy, one update for each step of Gymnasium."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from pamdp.base.environment import Environment
from pamdp.base.spaces import ActionSpec
from pamdp.learning.learner_settings import LearnerSettings


class Batch(NamedTuple):
    """A minibatch: [B, S], [B, P], [B], [B], [B], [B, S]."""

    s: np.ndarray
    x: np.ndarray
    a: np.ndarray
    r: np.ndarray
    terminated: np.ndarray
    s_next: np.ndarray


class Agent(Protocol):
    """What a baseline implements, in its own library."""

    def act(self, s: np.ndarray) -> tuple[int, np.ndarray]:
        """The greedy action for scaled observations [S], and all scaled parameters [P]."""
        ...

    def learn(self, batch: Batch) -> None:
        """One update of both networks."""
        ...


class Problem(NamedTuple):
    """What an agent is made for."""

    learner: LearnerSettings
    spec: ActionSpec
    features: int
    multi_pass: bool  # MP-DQN, and not P-DQN


class Baseline:
    """Training as in the published code: uniform exploration, inverting gradients.

    Args:
      agent: the baseline.
      problem: what it was made for.
      task: the environment, which is stepped through Gymnasium.
      seed: of environment and exploration.
    """

    def __init__(self, agent: Agent, problem: Problem, task: Environment, seed: int = 1) -> None:
        self.agent, self.problem, self.task = agent, problem, task
        self.environment = gymnasium.make(task.gymnasium_id)
        self.random = np.random.default_rng(seed)
        self.steps = self.episodes = 0
        size, spec = problem.learner.replay_size, problem.spec
        shapes = [(problem.features,), (spec.num_parameters,), (), (), (), (problem.features,)]
        self.memory = Batch(*(np.zeros([size, *shape], np.float32) for shape in shapes))
        self.s = self._scaled(self.environment.reset(seed=seed)[0])

    def run(self, num_steps: int) -> None:
        """Steps in the environment, each with an update once there is enough to learn from."""
        for _ in range(num_steps):
            self._step()

    def _step(self) -> None:
        learner, spec = self.problem.learner, self.problem.spec
        action, x = self.agent.act(self.s)
        if self.random.random() < self._epsilon():
            action = int(self.random.integers(spec.num_actions))
            x = self.random.uniform(-1, 1, spec.num_parameters).astype(np.float32)
        values = spec.low + (np.clip(x, -1, 1) + 1) * 0.5 * (spec.high - spec.low)
        own = values[spec.owned[action] > 0]
        observation, reward, terminated, truncated, _ = self.environment.step(
            spec.element(action, own)
        )
        following = self._scaled(observation)
        row = self.steps % learner.replay_size
        for column, value in zip(
            self.memory, (self.s, x, action, reward, terminated, following), strict=True
        ):
            column[row] = value
        self.steps += 1
        self.s = following
        if terminated or truncated:
            self.episodes += 1
            self.s = self._scaled(self.environment.reset()[0])
        if self.steps >= learner.learning_starts:
            filled = min(self.steps, learner.replay_size)
            rows = self.random.integers(filled, size=learner.batch_size)
            self.agent.learn(Batch(*(column[rows] for column in self.memory)))

    def _epsilon(self) -> float:
        epsilon = self.problem.learner.epsilon
        progress = min(self.episodes / epsilon.episodes, 1.0)
        return epsilon.start + progress * (epsilon.end - epsilon.start)

    def _scaled(self, observation: Any) -> np.ndarray:
        low, high = self.task.observation_low, self.task.observation_high
        return 2 * (observation - low) / (high - low) - 1
