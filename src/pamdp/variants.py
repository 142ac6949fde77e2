"""Algorithms as params.yaml has them: what they are, and what of the learner they change.

Options such as those of TD3, or some actions as candidates, belong to an algorithm wherever it is
run. Said there, they are compared with it in one table: `mpdqn_td3` beside `mpdqn`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError, create_model

from pamdp.algorithms import ALGORITHMS
from pamdp.base.algorithm import Algorithm
from pamdp.base.component import union_of
from pamdp.explain import explained
from pamdp.inheritance import merged, says
from pamdp.learning.cell import Problem

FIELD = "learner"
_TOLD = "what differs from the learner of the environments, whatever the environment"


def _variant(algorithm: type[Algorithm]) -> type[Algorithm]:
    field: Any = (dict[str, Any], Field(default_factory=dict, description=_TOLD))
    return create_model(
        algorithm.__name__,
        __base__=algorithm,
        __doc__=algorithm.__doc__,
        __module__=algorithm.__module__,  # whose code it runs
        **{FIELD: field},
    )


AnyVariant = union_of({kind: _variant(algorithm) for kind, algorithm in ALGORITHMS.items()})


def plain(variant: Any) -> Algorithm:
    """The algorithm itself, which a cell has."""
    return ALGORITHMS[variant.kind].model_validate(variant.model_dump(exclude={FIELD}))


def problem_of(variant: Any, problem: Problem, name: str) -> Problem:
    """An environment, learned as an algorithm has it.

    What the algorithm says takes precedence, key by key and level by level, as in blocks that
    extend others.

    Args:
      variant: the algorithm.
      problem: the environment.
      name: of the environment, for errors.

    Raises:
      ValueError: what it says is wrong, or does not go with the rest; a line for each mistake,
        which begins with the path below the algorithm.
    """
    if not variant.learner:
        return problem
    values = {field: getattr(problem, field) for field in Problem.model_fields}
    values[FIELD] = merged(problem.learner.model_dump(), variant.learner)

    def origin(path: str) -> str | None:
        own = says({FIELD: variant.learner}, path.split("."))
        return None if own else f"environments.{name}.{path}"

    try:
        return Problem.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(explained(error, values, origin))) from None
