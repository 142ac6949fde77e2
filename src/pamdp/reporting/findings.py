"""What differs and what does not, in words, from the intervals."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pamdp.algorithms import ALGORITHMS
from pamdp.reporting.data import CellResults, Section, StudyResults
from pamdp.reporting.published import NOTES
from pamdp.statistics import REFERENCE_ALGORITHM, REFERENCE_STRATEGIES

Verdict = Literal["better", "worse", "open"]

# With 3 seeds a side even a complete separation happens by chance once in ten times, 2 / C(6, 3);
# with 4 once in 35.
MIN_SEEDS = 4

VERDICT_NOTE = (
    "Better and worse mean that the 95 % bootstrap interval of the probability of improvement lies "
    "wholly on one side of 0.5. The probability tells how often a seed of the one beats a seed of "
    "the other, ties counted half, not by how much: read it beside the returns."
)


def reference(section: Section, cell: CellResults, key: str) -> CellResults | None:
    """The cell that a key such as `over_plain` or `over_pdqn` of a comparison speaks of."""
    name = key.removeprefix("over_")
    if name == REFERENCE_ALGORITHM:
        return section.cells.get((name, cell.name.strategy))
    return section.cells.get((cell.name.algorithm, name))


def reference_name(key: str) -> str:
    """What a key such as `over_plain` or `over_pdqn` compares with, for readers."""
    name = key.removeprefix("over_")
    return ALGORITHMS[name].title if name == REFERENCE_ALGORITHM else f"`{name}`"


def verdict(section: Section, cell: CellResults, key: str) -> Verdict | None:
    """Whether a cell is better or worse than its reference, or cannot be told apart from it.

    None where there is no comparison. With fewer than `MIN_SEEDS` seeds on either side the answer
    is always `open`.
    """
    comparison, other = cell.comparisons.get(key), reference(section, cell, key)
    if comparison is None or other is None:
        return None
    if min(cell.num_seeds, other.num_seeds) < MIN_SEEDS:
        return "open"
    if comparison["low"] > 0.5:
        return "better"
    return "worse" if comparison["high"] < 0.5 else "open"


def headline(section: Section) -> str:
    """One line: which cell returns most, and whether its lead is clear."""
    best = section.best
    score = f"{best.summary['return']['mean']:.3f}"
    where = f"on {section.label}: mean return {score}"
    if len(section.cells) == 1:
        return f"{describe(best)} {where}"
    if _fewest_seeds(section) < MIN_SEEDS:
        return f"{describe(best)} scores highest {where}, with too few seeds for a verdict"
    if not overlapping(section) and _beats_references(section):
        return f"{describe(best)} is the clear winner {where}"
    return f"{describe(best)} scores highest, without a clear lead, {where}"


def lead(section: Section) -> str:
    """Two or three sentences below the headline: how sure it is, and of what it is not."""
    best = section.best
    summary = best.summary["return"]
    if best.num_seeds == 1:
        return "From one seed, so there is no interval."
    sentences = [
        f"95 % interval {summary['mean_low']:.3f} to {summary['mean_high']:.3f} over "
        f"{_span([best.num_seeds], 'seed')}."
    ]
    if _fewest_seeds(section) >= MIN_SEEDS:
        verbs = {
            "better": "better than",
            "worse": "worse than",
            "open": "not clearly different from",
        }
        for word, verb in verbs.items():
            keys = [key for key in best.comparisons if verdict(section, best, key) == word]
            if keys:
                sentences.append(f"It is {verb} {listed([_reference_name(key) for key in keys])}.")
    others = overlapping(section)
    if others:
        names = [describe(cell) for cell in others]
        who = listed(names) if len(names) <= 3 else f"{len(names)} other cells"
        whose = "that" if len(names) == 1 else "those"
        sentences.append(f"Its interval overlaps with {whose} of {who}.")
    return " ".join(sentences)


def overlapping(section: Section) -> list[CellResults]:
    """The cells whose interval of the mean return reaches into the best cell's."""
    best = section.best
    low = best.summary["return"]["mean_low"]
    return [
        cell
        for cell in section.ordered
        if cell is not best and cell.summary["return"]["mean_high"] >= low
    ]


def differences(section: Section) -> list[str]:
    """A sentence for each algorithm and reference strategy, then one for each against P-DQN.

    None with too few seeds, see `caveats`.
    """
    if _fewest_seeds(section) < MIN_SEEDS:
        return []
    sentences = []
    for algorithm in section.algorithms:
        for name in REFERENCE_STRATEGIES:
            who = f"With {section.title(algorithm)}, against `{name}`"
            if (algorithm, name) not in section.cells:
                sentences.append(f"{who}: not compared, that cell is not in the study.")
            else:
                sentences.append(_sentence(section, algorithm, f"over_{name}", who))
    for algorithm in section.algorithms:
        if algorithm != REFERENCE_ALGORITHM and REFERENCE_ALGORITHM in section.algorithms:
            key = f"over_{REFERENCE_ALGORITHM}"
            who = f"{section.title(algorithm)} against {reference_name(key)}"
            sentences.append(_sentence(section, algorithm, key, who, "with"))
    return sentences


def caveats(section: Section) -> list[str]:
    """What a reader has to know before trusting the differences."""
    fewest = _fewest_seeds(section)
    if fewest == 1:
        return [
            "One seed only: every interval collapses onto its estimate, so nothing can be said "
            "about what differs."
        ]
    if fewest < MIN_SEEDS:
        return [
            f"With fewer than {MIN_SEEDS} seeds a cell no verdict is given: even a complete "
            "separation would happen by chance too often."
        ]
    comparisons = sum(
        verdict(section, cell, key) is not None
        for cell in section.ordered
        for key in cell.comparisons
    )
    return [
        VERDICT_NOTE,
        f"Of {comparisons} comparisons none is corrected for the others: where nothing "
        "differs, 5 to 10 % of such intervals miss 0.5 all the same with so few seeds.",
    ]


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
        f"{_span((cell.num_seeds for cell in cells), 'seed')} a cell",
        f"{_span((cell.num_steps for cell in cells), 'training step')} a seed",
        f"{_span((len(cell.trials) for cell in cells), 'tuning trial')} a cell",
        f"{_span((cell.num_episodes for cell in cells), 'greedy episode')} a seed",
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


def describe(cell: CellResults) -> str:
    """A cell in words."""
    return f"{cell.title} with `{cell.name.strategy}`"


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence, with `and` before the last."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _is_reproducible(section: Section) -> bool:
    return section.facts.get("reproducible", True)


def _fewest_seeds(section: Section) -> int:
    return min(cell.num_seeds for cell in section.ordered)


def _beats_references(section: Section) -> bool:
    verdicts = {verdict(section, section.best, key) for key in section.best.comparisons}
    return verdicts <= {"better", None}


def _sentence(section: Section, algorithm: str, key: str, who: str, link: str = "") -> str:
    groups: dict[Verdict, list[str]] = {"better": [], "worse": [], "open": []}
    for cell in section.of(algorithm):
        word = verdict(section, cell, key)
        if word is not None:
            groups[word].append(f"`{cell.name.strategy}`")
    names = {"better": "better", "worse": "worse", "open": "not clearly different"}
    parts = [
        f"{names[word]} {link or ('is' if len(found) == 1 else 'are')} {listed(found)}"
        for word, found in groups.items()
        if found
    ]
    return f"{who}: {'; '.join(parts) or 'nothing to compare'}."


def _reference_name(key: str) -> str:
    if key == f"over_{REFERENCE_ALGORITHM}":
        return f"{reference_name(key)} with the same strategy"
    return f"the same algorithm with {reference_name(key)}"


def _span(values: Iterable[int | None], noun: str) -> str:
    known = sorted({value for value in values if value is not None})
    if not known:
        return f"unknown {noun}s"
    number = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    return f"{number} {noun}" if known == [1] else f"{number} {noun}s"
