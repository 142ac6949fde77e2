"""The final evaluation: greedy episodes of trained policies, and what is measured of them."""

from __future__ import annotations

from contextlib import closing

from pamdp.base.component import Component, Count
from pamdp.base.lazy import tf
from pamdp.learning.cell import Cell
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Weights
from pamdp.learning.rollout import Episodes, Measures, Step
from pamdp.learning.state import NEAR


class Evaluation(Component):
    """The final evaluation.

    Attributes:
      episodes: greedy episodes of each seed.
    """

    episodes: Count


def clipped_share(step: Step) -> tf.Tensor:
    """[N] share of all parameters outside their bounds, before clipping."""
    return _share(tf.abs(step.scaled) > 1.0)


def near_bound_share(step: Step) -> tf.Tensor:
    """[N] share of all parameters within 1 % of a bound, or outside."""
    return _share(tf.abs(step.scaled) > NEAR)


# A measure of each step is reported as its mean over all steps, under its name: one line here, and
# one in `reporting.tables` for a column.
MEASURES: Measures = {measure.__name__: measure for measure in (clipped_share, near_bound_share)}


def evaluate(cell: Cell, weights: Weights, seed: int, num_episodes: int) -> Episodes:
    """Greedy episodes of a trained seed."""
    # Evaluations during training are numbered by their step; this one is number 0.
    with closing(loop_of(cell)) as loop:
        return loop.evaluate(weights, seed, 0, num_episodes, MEASURES)


def _share(condition: tf.Tensor) -> tf.Tensor:
    """[N] share of the last axis that meets the condition."""
    return tf.reduce_mean(tf.cast(condition, tf.float32), axis=-1)
