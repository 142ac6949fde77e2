"""The learner's hyper-parameters."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pamdp.base.component import Component, Count, Positive, Share
from pamdp.base.errors import SettingsError
from pamdp.base.networks import Network
from pamdp.learning.exploration import Epsilon, Exploration
from pamdp.learning.objectives import OBJECTIVES, ObjectiveName, TDLoss


class NStep(Component):
    """Targets that look several steps ahead along what was done.

    `y = beta G_n + (1 - beta) y_1`: G_n is the return of up to n steps of the episode, with the
    value of what follows where it goes on, y_1 the target of one step. Hausknecht & Stone 2016
    ("On-Policy vs. Off-Policy Updates for Deep Reinforcement Learning") mix in the return to the
    end of the episode, so do the published P-DQN scripts: n at least the length of an episode.

    Attributes:
      steps: n, how many steps of the episode are looked at.
      beta: the share of the n-step return; 1 is plain n-step learning.
    """

    steps: Annotated[Count, Field(ge=2)]
    beta: Share


class TargetNoise(Component):
    """Noise on the target network's parameters (TD3; Fujimoto et al. 2018, arXiv 1802.09477).

    Attributes:
      std: of the normal noise, in units of the scaled parameters, whose range is [-1, 1].
      clip: its largest size.
    """

    std: Positive
    clip: Positive


class LearnerSettings(Component):
    """Hyper-parameters of the learner.

    Attributes:
      gamma: discount.
      n_step: targets that look several steps ahead; null for one step.
      td_loss: loss of the TD error.
      objective: what the parameter network ascends.
      candidates: how many actions of each transition its target is the best of, the greedy action
        that was last found there and others drawn at random; all of them where there are no more.
        The parameter network then moves the sampled action's parameters alone. Null for all
        actions in both, as published. What an update costs hardly grows with the number of actions
        then.
      twin_q: whether a second Q-function is learned, and the smaller value of both is the target's
        (TD3; Fujimoto et al. 2018, arXiv 1802.09477). The first one acts, and the objective is of
        it. Against values that are too high.
      target_noise: noise on the parameters of the target (TD3); null for none.
      parameters_every: of so many updates of the Q-network, one of the parameter network and of
        all target networks (TD3).
      batch_size: transitions per update; one update per environment step.
      replay_size: transitions kept.
      learning_starts: transitions before the first update.
      gradient_clip: global norm of each network's gradient at most, null for no limit.
      reward_scale: factor on rewards in learning; scores are never scaled.
      q: the Q-network.
      parameters: the parameter network.
      epsilon: exploration of the discrete action.
      exploration: exploration of its parameters.
      evaluated: the networks that are evaluated and exported: those that learn and act (as
        published), or the target networks, which average them and fluctuate far less.
    """

    gamma: Share
    n_step: NStep | None
    td_loss: TDLoss
    objective: ObjectiveName
    candidates: Annotated[Count, Field(ge=2)] | None = None
    twin_q: bool = False
    target_noise: TargetNoise | None = None
    parameters_every: Count = 1
    batch_size: Count
    replay_size: Count
    learning_starts: Count
    gradient_clip: Positive | None
    reward_scale: Positive
    q: Network
    parameters: Network
    epsilon: Epsilon
    exploration: Exploration
    evaluated: Literal["online", "target"]

    @model_validator(mode="after")
    def _of_the_sampled_action(self) -> Self:
        if self.candidates is not None and not OBJECTIVES[self.objective].sampled:
            able = " or ".join(name for name, each in OBJECTIVES.items() if each.sampled)
            raise SettingsError(
                f"objective: expected {able}, since candidates is {self.candidates}, so "
                "that the values of other actions than the sampled one are not computed; received "
                f"{self.objective}. Change it, or set candidates to null"
            )
        return self
