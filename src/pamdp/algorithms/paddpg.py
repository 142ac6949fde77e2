"""PA-DDPG (Hausknecht & Stone 2016, arXiv 1511.04143)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from pamdp.base import seeding
from pamdp.base.algorithm import Algorithm, Joint, QFunction
from pamdp.base.choices import Choices
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import Action, ActionSpec


class PADDPG(Algorithm):
    """DDPG whose actor puts out a score for each action beside the parameters of all.

    The critic is one value `Q(s, scores, x)`, and the action is the one with the highest score. To
    the learner all of it is a single action with K + P parameters: it learns as DDPG (Lillicrap et
    al. 2016), and a gradient strategy is given the scores, with bounds [-1, 1], as well as the
    parameters.
    """

    title: ClassVar[str] = "PA-DDPG"
    rule: ClassVar[str] = (
        "One value of all: it sees a score for each action and the parameters of all. The actor "
        "puts out both, and the highest score is the action."
    )
    reference: ClassVar[str] = "Hausknecht & Stone 2016, arXiv 1511.04143"

    kind: Literal["paddpg"]

    def choices(self, spec: ActionSpec) -> Choices:
        """By the actor's scores."""
        return Scored(spec)

    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The critic, of one value."""
        return Joint(network, self.choices(spec).spec)


@dataclass(frozen=True)
class Scored(Choices):
    """There is nothing to choose from: the actor's output is the decision."""

    @cached_property
    def spec(self) -> ActionSpec:
        """One action, with the K scores and the P parameters."""
        number = self.actions.num_actions
        low, high = self.actions.low.tolist(), self.actions.high.tolist()
        return ActionSpec((Action("all", (*[-1.0] * number, *low), (*[1.0] * number, *high)),))

    def executed(self, choice: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The action with the highest score."""
        del choice
        scores, parameters = self._apart(x)
        return tf.argmax(scores, axis=-1, output_type=tf.int32), parameters

    def values(self, q: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K] scores."""
        del q
        return self._apart(x)[0]

    def starting_at(self, parameters: tf.Tensor) -> tf.Tensor:
        """[B, K + P], with scores in the middle."""
        return tf.pad(parameters, [[0, 0], [self.actions.num_actions, 0]])

    def randomised(self, x: tf.Tensor, random: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """[K + P] with uniformly random scores, of which each may be the highest."""
        number = self.actions.num_actions
        scores = 2 * seeding.uniform(key, [number]) - 1
        return tf.concat([tf.where(random, scores, x[:number]), x[number:]], axis=0)

    def _apart(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[..., K] scores and [..., P] parameters."""
        return x[..., : self.actions.num_actions], x[..., self.actions.num_actions :]
