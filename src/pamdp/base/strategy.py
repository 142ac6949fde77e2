"""What a gradient strategy is: a forward bound and a map of the ascent direction.

The learner hands over `g = dJ/dx`, the direction in which the objective J of the parameter network
*rises*, and gets an ascent direction back. It negates once, at the optimiser. So no strategy has to
think about the sign of a loss.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pamdp.base.component import Component
from pamdp.base.lazy import tf

Scope = Literal["taken", "all"]


class Context(NamedTuple):
    """What a strategy may look at besides the ascent direction.

    Attributes:
      parameters: [B, P] the parameter network's output after `bound`.
      low: [P] lower bounds, in the units of `parameters`.
      high: [P] upper bounds.
      td_error: [B] `y - Q(s, x)_a` of the sampled transition; some strategies do without.
      taken: [B, P] float, 1 where a parameter belongs to the sampled action; some do without.
    """

    parameters: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    td_error: tf.Tensor | None = None
    taken: tf.Tensor | None = None

    @property
    def error(self) -> tf.Tensor:
        """[B, 1] the TD errors, one for all parameters of a sample.

        Raises:
          ValueError: there are none, or of another shape.
        """
        # [B, 1] would become [B, B, P] further on, without a word.
        if self.td_error is None or len(self.td_error.shape) != 1:
            raise ValueError(
                "expected the TD errors [B] that this strategy looks at, received "
                f"{self.td_error}; give Context(..., td_error=y - q)"
            )
        return self.td_error[:, None]


class Strategy(Component):
    """Base of all strategies; alone, each method is the identity.

    Attributes:
      kind: names the file and selects the strategy in params.yaml.
      title: its name for readers.
      rule: what becomes of the ascent direction `g`, as a formula.
      reference: where it comes from.
    """

    kind: str
    title: ClassVar[str]
    rule: ClassVar[str]
    reference: ClassVar[str]

    def bound(self, raw: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """Maps the network's raw output [B, P] to parameters [B, P] in the forward pass."""
        del low, high
        return raw

    def unbound(self, parameters: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """Inverse of `bound`: the raw output that gives these parameters."""
        del low, high
        return parameters

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        """Maps the ascent direction [B, P] to the ascent direction that is used, [B, P]."""
        del context
        return ascent

    @property
    def forward(self) -> Strategy:
        """A strategy with the same forward pass and nothing else, so that more cells share one.

        A strategy that overrides `bound` returns itself.
        """
        return Strategy(kind="forward")


def scoped(scope: Scope, factor: tf.Tensor, context: Context) -> tf.Tensor:
    """A factor per parameter, from one that belongs to the sampled action.

    Args:
      scope: `taken` leaves the parameters of other actions alone (factor 1), `all` does not.
      factor: [B, 1] or [B, P].
      context: the context of the update.

    Returns:
      [B, P].

    Raises:
      ValueError: the context does not say which parameters the sampled action owns.
    """
    if scope == "all":
        return factor
    if context.taken is None:
        raise ValueError(
            "expected the mask [B, P] of the sampled action's parameters, received none; "
            "give Context(..., taken=mask), or the strategy scope='all'"
        )
    return tf.where(context.taken > 0, factor, tf.ones_like(factor))
