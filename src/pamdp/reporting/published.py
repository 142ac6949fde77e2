"""Figures that others published for the same environments: context, not a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Measure = Literal["return", "success"]


@dataclass(frozen=True)
class Published:
    """What one source reports on an environment.

    Attributes:
      source: who and when.
      measure: mean return, or share of successful episodes.
      figures: by algorithm.
    """

    source: str
    measure: Measure
    figures: Mapping[str, str]


BESTER = "Bester et al. 2019"
CHDP = "CHDP 2026, PDQN-TD3"

NOTES = {
    BESTER: "Bester, James and Konidaris 2019 (arXiv 1905.04388) trained with inverting gradients "
    "and hand-set initial parameters; the figures are recalled from its table and unconfirmed.",
    CHDP: "The CHDP paper (2026) reports P-DQN combined with TD3, which is not quite P-DQN.",
}

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "pamdp/Platform-v0": (
        Published(BESTER, "return", {"pdqn": "0.964 ± 0.068", "mpdqn": "0.987 ± 0.039"}),
    ),
    "pamdp/Goal-v0": (
        Published(
            BESTER,
            "success",
            {"pdqn": "0.701 ± 0.078", "spdqn": "0.752 ± 0.131", "mpdqn": "0.789 ± 0.070"},
        ),
        Published(CHDP, "success", {"pdqn": "0.714"}),
    ),
    "pamdp/HardGoal-v0": (Published(CHDP, "success", {"pdqn": "0.000"}),),
    "pamdp/CatchPoint-v0": (Published(CHDP, "success", {"pdqn": "0.898"}),),
    "pamdp/HardMove4-v0": (Published(CHDP, "success", {"pdqn": "0.797"}),),
    "pamdp/HardMove6-v0": (Published(CHDP, "success", {"pdqn": "0.311"}),),
    "pamdp/HardMove8-v0": (Published(CHDP, "success", {"pdqn": "0.066"}),),
    "pamdp/HardMove10-v0": (Published(CHDP, "success", {"pdqn": "0.033"}),),
}
