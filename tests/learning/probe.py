"""A small environment with rewards of every kind, whose values are known by arithmetic."""

from typing import ClassVar, Literal, NamedTuple

import numpy as np

from pamdp.base import seeding
from pamdp.base.component import Finite, Positive
from pamdp.base.environment import Environment, Outcome
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.learning.cell import Cell, learner_of
from pamdp.learning.compiled import CompiledLoop
from pamdp.learning.loop import LoopState
from pamdp.learning.policy import Decision, Weights
from tests.helpers import cell

GAMMA, STEPS, LIMIT = 0.5, 6000, 3


class State(NamedTuple):
    side: tf.Tensor  # [B] -1 or 1
    time: tf.Tensor  # [B] actions so far


class Probe(Environment):
    """An episode of `duration` actions on one of two sides, with rewards of four kinds.

    Attributes:
      duration: actions until the task ends; beyond the time limit it never does.
      longer: further actions on the right side.
      always: reward of every action.
      at_end: reward of the last action.
      action: reward of the action that belongs to the side.
      parameter: cost of the squared distance between the parameter, scaled to [-1, 1], and half
        the side.
    """

    kind: Literal["probe"] = "probe"
    duration: Positive = 1.0
    longer: Finite = 0.0
    always: Finite = 0.0
    at_end: Finite = 0.0
    action: Finite = 0.0
    parameter: Finite = 0.0

    gymnasium_id: ClassVar[str] = "pamdp-tests/Probe-v0"
    actions: ClassVar[ActionSpec] = ActionSpec(
        (Action("left", (-1.0,), (1.0,)), Action("right", (0.0,), (10.0,)))
    )
    observation_low: ClassVar[np.ndarray] = np.array([-1.0, 0.0], np.float32)
    observation_high: ClassVar[np.ndarray] = np.array([1.0, 1.0], np.float32)
    time_limit: ClassVar[int] = LIMIT

    @classmethod
    def variants(cls) -> tuple[Environment, ...]:
        return ()

    def picture(self, state: State, caption: str = "") -> np.ndarray:
        return np.zeros([1, 1, 3], np.uint8)

    def initial(self, key: tf.Tensor, batch: int) -> State:
        right = seeding.uniform(key, (batch,)) < 0.5
        return State(tf.where(right, tf.ones([batch]), -tf.ones([batch])), tf.zeros([batch]))

    def observation(self, state: State) -> tf.Tensor:
        return tf.stack([state.side, tf.minimum(state.time, 1.0)], axis=-1)

    def transition(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        right = action == 1
        extra = tf.where(state.side > 0, self.longer, tf.zeros_like(state.side))
        ended = state.time + 1 >= self.duration + extra
        belongs = right == (state.side > 0)
        scaled = tf.where(right, parameters[:, 0] / 5 - 1, parameters[:, 0])
        reward = (
            self.always
            + self.at_end * tf.cast(ended, tf.float32)
            + self.action * tf.cast(belongs, tf.float32)
            - self.parameter * (scaled - state.side / 2) ** 2
        )
        return Outcome(state._replace(time=state.time + 1), reward, ended, ended)


class FarAway(Probe):
    """A probe whose observations have no bounds and come in other units."""

    kind: Literal["far_away"] = "far_away"

    observation_low: ClassVar[np.ndarray] = np.full(2, -np.inf, np.float32)
    observation_high: ClassVar[np.ndarray] = np.full(2, np.inf, np.float32)

    def observation(self, state: State) -> tf.Tensor:
        return super().observation(state) * [40.0, 1e-3] + [1000.0, 0.0]


def probe(algorithm: str, **floats: float) -> Cell:
    subject = cell(
        algorithm,
        "inverting",
        learner__gamma=GAMMA,
        learner__batch_size=32,
        learner__replay_size=1000,
        learner__q__hidden=[32],
        learner__q__learning_rate=3e-3,
        learner__q__tau=0.05,
        learner__parameters__hidden=[32],
        learner__parameters__learning_rate=1e-3,
        learner__parameters__tau=0.05,
        learner__epsilon={"start": 1.0, "end": 0.2, "episodes": 500.0},
    )
    return subject.model_copy(update={"task": Probe(**floats)})


def learned(subject: Cell) -> LoopState:
    loop = CompiledLoop(subject)
    return loop.run(loop.initial(1), STEPS)


def decisions(subject: Cell, state: LoopState, *observations: tuple[float, float]) -> Decision:
    """Greedy decisions of the learning networks, as arrays, a row for each (side, time).

    The values are the Q-function's: of PA-DDPG the one that it has.
    """
    learner = state.learner
    weights = Weights(learner.x_network.online, learner.q_network.online, learner.observed)
    policy, rows = learner_of(subject).policy, tf.constant(observations)
    decision = policy.greedy(weights, rows)._replace(q=policy.choose(weights, rows).q)
    return Decision(*(np.asarray(field) for field in decision))
