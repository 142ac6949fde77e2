"""What a whole study takes of this machine, and what of its settings can hardly be meant.

It is said before anything runs, and is part of no result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from pamdp.base.errors import SettingsError
from pamdp.base.processor import KNOWN, processor
from pamdp.comparisons import FIELDS
from pamdp.engines import engine_of, workers
from pamdp.estimate import Estimate, random_length
from pamdp.learning.learner_settings import LearnerSettings
from pamdp.settings import Settings
from pamdp.significance import LEVEL, least_seeds, smallest_p
from pamdp.tuning.space import Space

STUDY = 60.0  # seconds of the stages that are one for all cells
NAMED = 4  # cells, in a remark
HALF = 0.5  # of a run, or of a schedule


def memory_limit() -> float:
    """Bytes that this process may use: those of the machine, or of its control group if fewer."""
    limits = [psutil.virtual_memory().total]
    for path in _control_groups():
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal():  # "max" is none
            limits.append(int(text))
    return min(limits)


def foretold(settings: Settings, facts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines that say what is odd about a study's environments, and what it takes in all.

    Args:
      settings: of the study.
      facts: what `setup` found out about each of its environments, by name.

    Raises:
      SettingsError: memory is too small for a cell, even with one worker.
    """
    estimates = [Estimate(settings, cell, facts[cell.name.environment]) for cell in settings.cells]
    engine = engine_of()
    limit = engine.memory() or memory_limit()
    for estimate in estimates:
        _check(estimate, limit)
    for name in settings.study.environments:
        remarks = dict.fromkeys(_remarks(settings, name, facts[name]))
        yield from (f"environments.{name}: {remark}" for remark in remarks)
    yield from _untuned(settings)
    yield from _undecidable(settings)
    yield from remark_on_processor()
    seconds = STUDY + sum(estimate.seconds for estimate in estimates) / workers()
    if engine.elsewhere:
        memory = f"up to {_size(max(each.memory(1) for each in estimates))} of memory for each"
    else:  # Fewer cells are run side by side where memory is too small.
        lanes = min(workers(), len(estimates))
        together = lanes * max(each.memory(workers() // lanes) for each in estimates)
        memory = f"about {_size(min(together, limit))} of memory at most"
    yield (
        f"the whole study takes about {_duration(seconds)} with {workers()} at work, and {memory}"
    )


def _remarks(settings: Settings, name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """What of an environment's settings is allowed, and hardly meant."""
    benchmark = settings.environments[name]
    cells = [cell for cell in settings.cells if cell.name.environment == name]
    steps = benchmark.training.steps
    for learner in {cell.learner: None for cell in cells}:
        runs = {f"the {steps:,} steps of training": steps}
        for cell in cells:
            tuning = settings.tuning.of(cell.name)
            if cell.learner == learner and tuning.trials:
                trial = tuning.training(benchmark.training).steps
                own = f" of {cell.name}" if str(cell.name) in settings.tuning.cells else ""
                runs[f"the {trial:,} steps of a trial{own}"] = trial
        yield from _odd(learner, runs, steps, steps / random_length(facts))


def _odd(
    learner: LearnerSettings, runs: Mapping[str, int], steps: int, episodes: float
) -> Iterator[str]:
    """What of a learner's settings does not go with the length of its runs."""
    start, size = learner.learning_starts, learner.replay_size
    for told, length in runs.items():
        if start > HALF * length:
            yield f"learning starts after {start:,} of {told} (learner.learning_starts)"
    if size < start:
        yield (
            f"the first transitions are forgotten before learning starts: learner.replay_size is "
            f"{size:,}, learner.learning_starts {start:,}"
        )
    epsilon = learner.epsilon
    progress = episodes / epsilon.episodes
    if epsilon.end < epsilon.start and progress < HALF:
        last = epsilon.start + progress * (epsilon.end - epsilon.start)
        yield (
            f"exploration ends at epsilon {last:.2f}: {steps:,} steps are about {episodes:,.0f} "
            f"episodes, and learner.epsilon.episodes is {epsilon.episodes:,g}"
        )


def remark_on_processor() -> list[str]:
    """Whether results are known to be the same on this machine; nothing if they are."""
    if (found := processor()) == KNOWN:
        return []
    return [
        f"this processor is {found}: results are not known to be the same as on {KNOWN}, on "
        "which all published ones were computed"
    ]


def _untuned(settings: Settings) -> Iterator[str]:
    """Which cells are to be searched, and have nothing to search over."""
    spaces = [Space(cell, settings.tuning.of(cell.name)) for cell in settings.cells]
    found = [str(s.cell.name) for s in spaces if s.tuning.trials > s.num_trials]
    if found:
        more = f" and {len(found) - NAMED} more" if found[NAMED:] else ""
        yield (
            f"tuning: nothing of tuning.space is a setting of {', '.join(found[:NAMED])}{more}; "
            "only trial 0 of each is run"
        )


def _undecidable(settings: Settings) -> Iterator[str]:
    """Which comparisons can have no verdict, whatever comes out."""
    study, comparisons = settings.study, settings.comparisons
    number = len(study.seeds)
    pairs = comparisons.pairs([cell.name for cell in settings.cells])
    families = Counter(pair.family for pair in pairs)
    for kind, size in dict.fromkeys((kind, size) for (_, kind), size in families.items()):
        if number < (least := least_seeds(size)):
            p = smallest_p(number)
            seeds = f"{number} seed{'s' * (number > 1)}"
            those = f"{size} comparison{'s' * (size > 1)}"
            yield (
                f"comparisons.{kind}: no verdict is possible: with {seeds} a cell even complete "
                f"separation has p {p:.2g}, corrected for {those} {min(1, size * p):.2g}, and a "
                f"verdict takes {LEVEL:g}; name {least} seeds or more in study.seeds"
            )
    for kind in FIELDS:
        names, references = getattr(study, kind), getattr(comparisons, kind)
        if len(names) > 1 and references and not {*names} & {*references}:
            yield (
                f"comparisons.{kind}: no {kind} are compared, as study.{kind} has none of "
                f"{', '.join(references)}"
            )


def _check(estimate: Estimate, limit: float) -> None:
    parts = estimate.parts(1)
    needed = sum(parts.values())
    if needed <= limit:
        return
    setting, largest = max(parts.items(), key=lambda part: part[1])
    hints = [f"make {setting} smaller, with which {_size(largest)} of it go"] if setting else []
    if estimate.memory(1, "processes") <= limit:
        hints.append("train one seed at a time (PAMDP_ENGINE=processes PAMDP_WORKERS=1)")
    raise SettingsError(
        f"environments.{estimate.cell.name.environment}: expected a study that {_size(limit)} of "
        f"memory can hold, received {estimate.cell.name}, which takes about {_size(needed)}; "
        f"{' or '.join(hints) or 'it needs a larger machine'}"
    )


def _control_groups() -> Iterator[Path]:
    """Files that may tell the limit of memory, of both versions of Linux' control groups."""
    own = Path("/proc/self/cgroup")
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, place = line.split(":", 2)
        if controllers in ("", "memory"):
            root = Path("/sys/fs/cgroup", controllers)
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            group = root / place.lstrip("/")
            yield from (
                each / name for each in (group, *group.parents) if root in (each, *each.parents)
            )


def _size(number: float) -> str:
    return f"{number / 1e9:,.1f} GB"


def _duration(seconds: float) -> str:
    for unit, size in (("years", 3e7), ("days", 86400), ("hours", 3600)):
        if seconds > 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' * (minutes > 1)}"
