"""Which code the facts that `setup` writes are about."""

from __future__ import annotations

from pamdp.base.component import Component, modules_of
from pamdp.base.task import Task

# The stages of dvc.yaml that run code of their own, and what they run besides. No engine changes a
# result, but a SavedModel has the bytes of the process that saved it.
STAGES: dict[str, tuple[str, ...]] = {
    "tune": (),
    "train": (),
    "evaluate": (),
    "export": ("pamdp.engines.processes", "pamdp.engines.preloaded"),
    "report": (),
}


def code_of(subject: str | Task | Component) -> set[str]:
    """The modules, to be followed, of a stage of that name, an environment or a plug-in."""
    if isinstance(subject, str):
        return {f"pamdp.stages.{subject}", *STAGES[subject]}
    return subject.sources if isinstance(subject, Task) else modules_of(subject)
