"""What the facts that `setup` writes are about: settings, and code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pamdp.base.component import Component, modules_of
from pamdp.base.errors import SettingsError
from pamdp.base.task import Task
from pamdp.provenance import RESULT_PACKAGES
from pamdp.settings import Benchmark, Settings
from pamdp.tuning.settings import Tuning

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


def settings_of(settings: Settings) -> dict[str, Any]:
    """The settings that stages depend on through facts, by the facts' names.

    dvc.yaml can name what stands in params.yaml, but not what a block inherits there, what is said
    for a single cell, nor a default. Thresholds and comparisons stand apart: nothing but the
    evaluation depends on them.

    Raises:
      SettingsError: a search needs a package that is not installed.
    """
    blocks = {name: settings.environments[name] for name in settings.study.environments}
    facts = {f"settings/{name}": environment_settings(block) for name, block in blocks.items()}
    facts["thresholds"] = thresholds(blocks)
    facts["comparisons"] = settings.comparisons.model_dump(mode="json")
    for cell in settings.cells:
        facts[f"tuning/{cell.name}"] = search_settings(settings.tuning.of(cell.name))
    return facts


def environment_settings(block: Benchmark) -> dict[str, Any]:
    """What the cells of an environment depend on."""
    return block.model_dump(mode="json", exclude={"return_threshold"})


def thresholds(blocks: Mapping[str, Benchmark]) -> dict[str, float]:
    """The return thresholds of environments, by name."""
    return {name: block.return_threshold for name, block in blocks.items()}


def search_settings(tuning: Tuning) -> dict[str, Any]:
    """What the search of a cell depends on, with the versions of what it needs besides Optuna.

    Raises:
      SettingsError: a package is not installed.
    """
    packages = _versions(tuning.packages if tuning.trials else ())
    return {"settings": tuning.model_dump(mode="json"), "versions": packages}


def versions() -> dict[str, dict[str, str]]:
    """Those of the packages that all results depend on."""
    return {"packages": {name: version(name) for name in RESULT_PACKAGES}}


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise SettingsError(
                f"tuning: expected the package {name}, which a sampler or pruner needs, received "
                f"none; install it with `pip install {name}`, or choose another one"
            ) from None
    return found
