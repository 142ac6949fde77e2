"""How large networks are, and what they multiply. Estimates go by it, no result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Sizes(NamedTuple):
    """How large the outer layers of networks are.

    Attributes:
      inputs: rows of the first layer's weights, of all networks.
      outputs: rows of the last layer's.
      of_action: those inputs and outputs that each action is computed with anew.
      table: weights besides.
    """

    inputs: int
    outputs: int
    of_action: tuple[int, int] = (0, 0)
    table: int = 0


class Products(NamedTuple):
    """Products of numbers in networks, for one row of a batch.

    Attributes:
      sizes: of their outer layers.
      units: of their hidden layers.
      passes: how often hidden layers are computed for all actions: once, or for each.
      networks: how many there are.
      num_actions: K.
    """

    sizes: Sizes
    units: Sequence[int]
    passes: int
    networks: int
    num_actions: int

    @property
    def _outer(self) -> int:
        return self.sizes.inputs * self.units[0] + self.sizes.outputs * self.units[-1]

    @property
    def _middle(self) -> int:
        return sum(a * b for a, b in pairwise(self.units))

    @property
    def weights(self) -> int:
        """How many weights there are, without biases."""
        return self._outer + self.networks * self._middle + self.sizes.table

    @property
    def taken(self) -> int:
        """Of one value of each network."""
        return self._outer + self.networks * self._middle

    def of(self, number: int) -> int:
        """Of the outputs of some actions."""
        inputs, outputs = self.sizes.of_action
        of_each = self._middle + inputs * self.units[0] + outputs * self.units[-1]
        passes = max(1, self.passes * number // self.num_actions)
        return self._outer * number // self.num_actions + passes * of_each

    def hidden(self, number: int) -> int:
        """How many hidden units' values there are then."""
        return max(1, self.passes * number // self.num_actions) * sum(self.units)
