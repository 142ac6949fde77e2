"""P-DQN (Xiong et al. 2018, arXiv 1810.06394)."""

from __future__ import annotations

from pamdp.algorithms.base import QFunction
from pamdp.lazy import tf


class PDQN(QFunction):
    """One pass: every action value sees the parameters of all actions.

    So `dQ_k/dx_j` is not zero for the parameters of another action j: what MP-DQN mends.
    """

    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K] of one pass over [s, x]."""
        return self.network.apply(weights, tf.concat([s, x], axis=-1))
