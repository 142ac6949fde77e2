"""What came out and what was run, in sentences; `compared` has what differs and what does not."""

from pamdp.reporting import compared
from pamdp.reporting.data import Section, StudyResults
from pamdp.reporting.published import NOTES
from pamdp.reporting.words import describe, listed, span


def headline(section: Section) -> str:
    """One line: which cell returns most. Whether that is a difference, the lead says."""
    mean = section.best.summary["return"]["mean"]
    highest = " scores highest" if len(section.cells) > 1 else ""
    return f"{describe(section.best)}{highest} on {section.label}: mean return {mean:.3f}"


def lead(section: Section) -> str:
    """Some sentences below the headline: how sure it is, and of what it is not."""
    best = section.best
    summary = best.summary["return"]
    if best.num_seeds == 1:
        return "From one seed, so there is no interval, and no verdict."
    interval = (
        f"95 % interval {summary['mean_low']:.3f} to {summary['mean_high']:.3f} over "
        f"{span([best.num_seeds], 'seed')}."
    )
    return " ".join([interval, *compared.of_best(section)])


def unrepeatable(study: StudyResults) -> str:
    """Which environments give other figures each time, in a sentence; empty if none does."""
    labels = [section.label for section in study.sections if not _is_reproducible(section)]
    if not labels:
        return ""
    return f"Not reproducible: {listed(labels)}, which cannot be seeded; another run differs."


def settings_line(study: StudyResults) -> str:
    """How much was run, in one sentence."""
    cells = study.cells
    kinds = sorted({str(cell.summary["initial_parameters"]) for cell in cells})
    parts = [
        f"{span((cell.num_seeds for cell in cells), 'seed')} a cell",
        f"{span((cell.num_steps for cell in cells), 'training step')} a seed",
        f"{span((len(cell.trials) for cell in cells), 'tuning trial')} a cell",
        f"{span((cell.num_episodes for cell in cells), 'greedy episode')} a seed",
        f"initial parameters: {' or '.join(kinds)}",
    ]
    return ", ".join(parts) + "."


def random_line(section: Section) -> str:
    """What the random policy returns."""
    random = section.facts.get("random_policy")
    if random is None:
        mean = section.best.summary["random_policy"]["mean"]
        return f"The random policy returns {mean:.3f} on {section.label}."
    return (
        f"The random policy returns {random['return_mean']:.3f} on {section.label} (standard "
        f"deviation {random['return_std']:.3f} over {random['episodes']:,} episodes)."
    )


def published_note(section: Section) -> str:
    """What to know about the published figures of an environment, if there are any."""
    sources = [published.source for published in section.published]
    notes = [NOTES[source] for source in dict.fromkeys(sources)]
    return " ".join(["Published figures are context, not a comparison.", *notes]) if notes else ""


def _is_reproducible(section: Section) -> bool:
    return section.facts.get("reproducible", True)
