"""Spaces of any Gymnasium environment, translated to and from this package's one form.

A parameterised action space is a nest of `Tuple` and `Dict` that holds exactly one `Discrete`, the
choice among K actions, and the boxes of their parameters; `actions` says which action drives which
box. An observation space is a `Box`, `Discrete`, `MultiDiscrete` or `MultiBinary`, or a nest of
them; `observations` makes one row of numbers of it.
"""

from pamdp.bridge.translation.actions import Actions, Drives
from pamdp.bridge.translation.observations import Observations, Seen

__all__ = ["Actions", "Drives", "Observations", "Seen"]
