"""How the parameters of the chosen action are explored. Discrete actions are epsilon-greedy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator

from pamdp.base import seeding
from pamdp.base.component import Component, NonNegative, Positive, Share
from pamdp.base.lazy import tf


class Epsilon(Component):
    """The share of random actions, linear over episodes, then constant."""

    start: Share = 1.0
    end: Share = 0.01
    episodes: Positive = 1000.0

    def at(self, episodes: tf.Tensor) -> tf.Tensor:
        """Epsilon after a number of finished episodes, [] int32."""
        progress = tf.minimum(tf.cast(episodes, tf.float32) / self.episodes, 1.0)
        return self.start + progress * (self.end - self.start)


class OrnsteinUhlenbeck(Component):
    """Correlated noise on the chosen action's parameters, never reset.

    `n <- n - theta n + sigma N(0, 1)` at each step, in units of the scaled parameters; a random
    discrete action keeps the parameter network's parameters.
    """

    kind: Literal["ornstein_uhlenbeck"]
    theta: Share = 0.15
    sigma: NonNegative = 1e-4

    def explore(
        self, x: tf.Tensor, noise: tf.Tensor, random: tf.Tensor, own: tf.Tensor, key: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Perturbs parameters.

        Args:
          x: [P] scaled parameters.
          noise: [P] the process' state.
          random: [] bool, whether the discrete action was drawn at random.
          own: [P] float, 1 for the chosen action's parameters.
          key: [2] int32.

        Returns:
          Parameters [P] and the process' next state [P].
        """
        del random
        noise = noise - self.theta * noise + self.sigma * seeding.normal(key, x.shape)
        return x + own * noise, noise


class UniformParameters(Component):
    """A random discrete action gets parameters drawn uniformly (Hausknecht & Stone 2016)."""

    kind: Literal["uniform"]

    def explore(
        self, x: tf.Tensor, noise: tf.Tensor, random: tf.Tensor, own: tf.Tensor, key: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws parameters in [-1, 1] where `random`; arguments as above."""
        del own
        return tf.where(random, 2 * seeding.uniform(key, x.shape) - 1, x), noise


Exploration = Annotated[OrnsteinUhlenbeck | UniformParameters, Discriminator("kind")]
