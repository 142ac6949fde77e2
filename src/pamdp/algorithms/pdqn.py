"""P-DQN (Xiong et al. 2018, arXiv 1810.06394)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.algorithm import Joint, QFunction
from pamdp.base.heads import Headed
from pamdp.base.networks import Network
from pamdp.base.spaces import ActionSpec


class PDQN(Headed):
    """The parameters of all actions enter every action value."""

    title: ClassVar[str] = "P-DQN"
    rule: ClassVar[str] = "One pass: every action value sees the parameters of all actions."
    reference: ClassVar[str] = "Xiong et al. 2018, arXiv 1810.06394"

    kind: Literal["pdqn"]

    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The Q-function with this network in this action space."""
        return self.valuing(Joint(network, spec))
