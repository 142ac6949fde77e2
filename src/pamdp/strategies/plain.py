"""No treatment: the gradient as it is (P-DQN; Xiong et al. 2018, arXiv 1810.06394)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.strategy import Strategy


class Plain(Strategy):
    """The gradient as it is, which nothing keeps within the bounds."""

    title: ClassVar[str] = "No treatment"
    rule: ClassVar[str] = "`g`."
    reference: ClassVar[str] = "Xiong et al. 2018, arXiv 1810.06394"

    kind: Literal["plain"] = "plain"
