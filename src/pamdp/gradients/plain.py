"""No treatment: the gradient as it is (P-DQN; Xiong et al. 2018, arXiv 1810.06394)."""

from __future__ import annotations

from typing import Literal

from pamdp.gradients.base import Strategy


class Plain(Strategy):
    """`g`."""

    kind: Literal["plain"]
