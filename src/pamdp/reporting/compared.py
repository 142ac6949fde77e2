"""The verdicts of a study: sentences, tables, and what a reader has to know of them."""

from collections.abc import Iterator, Mapping, Sequence

from pamdp.comparisons import FIELDS, Measure
from pamdp.learning.cell import CellName
from pamdp.reporting.data import Section
from pamdp.reporting.tables import Table, with_interval
from pamdp.reporting.words import describe, listed
from pamdp.significance import LEVEL, least_seeds, smallest_p
from pamdp.verdicts import Comparison, Verdict

BY: Mapping[Measure, str] = {
    "final_return": "final return",
    "area_under_curve": "area under the learning curve",
    "above_threshold": "share of seeds above the threshold",
}
OPPOSITE: Mapping[Verdict, Verdict] = {
    "better": "worse",
    "worse": "better",
    "not told apart": "not told apart",
}
VERDICT_NOTE = (
    "Better and worse are verdicts of an exact Mann-Whitney test over seeds, corrected by Holm for "
    "all comparisons of its table, which params.yaml names. Where nothing differs, at most 5 % of "
    "such tables have a verdict. It says that scores of the one tend to be higher, not by how "
    "much: see difference and probability. Not told apart is no proof of equality."
)
INTERVAL_NOTE = (
    "Intervals are 95 % bootstraps over seeds and no part of a verdict. With few seeds they are "
    "too narrow: those of a mean held it in 83 % of simulations with 5 seeds, 88 % with 8, 90 % "
    "with 10 and 93 % with 20 where scores are normal, and in 65, 82, 87 and 90 % where 1 in 5 "
    "seeds fails."
)
NAMED = 3  # cells, in the lead


def undecidable(section: Section, family: Sequence[Comparison]) -> bool:
    """Whether the seeds are too few for any verdict on a family."""
    return section.fewest_seeds < least_seeds(len(family))


def of_best(section: Section) -> Iterator[str]:
    """What the lead says of the comparisons of the best cell, by the first measure."""
    if not section.comparisons:
        return
    decidable = [family for family in section.families if not undecidable(section, family)]
    if not decidable:
        yield "With so few seeds no verdict is possible."
    best, measure, found = str(section.best.name), section.measures[0], dict[Verdict, list[str]]()
    for each in (each for family in decidable for each in family if each.measure == measure):
        if each.cell == best:
            found.setdefault(each.verdict, []).append(each.reference)
        elif each.reference == best:
            found.setdefault(OPPOSITE[each.verdict], []).append(each.cell)
    parts = []
    for verdict in OPPOSITE:
        if names := found.get(verdict):
            few = listed([describe(section.cell(name)) for name in names])
            who = few if len(names) <= NAMED else f"{len(names)} other cells"
            parts.append(f"{verdict} {'from' if verdict == 'not told apart' else 'than'} {who}")
    if parts:
        yield f"By {BY[measure]} it is {'; '.join(parts)}."


def differences(section: Section) -> list[str]:
    """A sentence for each algorithm and reference strategy, then for each pair of algorithms.

    None of families without enough seeds, see `caveats`.
    """
    sentences = []
    for family in section.families:
        if undecidable(section, family):
            continue
        by = f", by {BY[family[0].measure]}" if len(section.measures) > 1 else ""
        for (algorithm, reference), group in _grouped(_in_order(section, family)).items():
            names = dict[Verdict, list[str]]()
            for each in group:
                strategy = CellName.parse(each.cell).strategy
                names.setdefault(each.verdict, []).append(f"`{strategy}`")
            if family[0].kind == "strategies":
                who = f"With {section.title(algorithm)}, against `{reference}`{by}"
                text = _clauses(names)
            else:
                who = f"{section.title(algorithm)} against {section.title(reference)}{by}"
                text = _clauses(names, "with")
            sentences.append(f"{who}: {text}.")
    return sentences


def caveats(section: Section) -> list[str]:
    """What a reader has to know before trusting the differences."""
    number = section.fewest_seeds
    if number == 1:
        return [
            "One seed only: every interval collapses onto its estimate, so nothing can be said "
            "about what differs."
        ]
    if not section.comparisons:
        return ["Nothing is compared: no cell has a reference that `comparisons` names."]
    sizes = {f[0].kind: len(f) for f in section.families if undecidable(section, f)}
    notes = [
        f"No verdict is possible on {_counted(size, kind)} with {number} seeds a cell: even "
        f"complete separation has p {smallest_p(number):.2g}, times {size} more than {LEVEL:g}. "
        f"It takes {least_seeds(size)} seeds at least."
        for kind, size in sizes.items()
    ]
    decidable = not all(undecidable(section, family) for family in section.families)
    return [*([VERDICT_NOTE] if decidable else []), *notes, INTERVAL_NOTE]


def verdict_tables(section: Section) -> list[Table]:
    """A table for each family."""
    return [_table(section, family) for family in section.families]


def _table(section: Section, family: Sequence[Comparison]) -> Table:
    kind, measure = family[0].kind, family[0].measure
    rows = [
        (
            _pair(section, each),
            each.verdict if each.verdict == "not told apart" else f"**{each.verdict}**",
            with_interval(each.difference),
            with_interval(each.probability, 2),
            f"{each.p:.2g}",
            f"{each.corrected:.2g}",
        )
        for each in _in_order(section, family)
    ]
    threshold = section.best.summary["steps_to_return"]["threshold"]
    above = f", a final return of at least {threshold:g}" if measure == "above_threshold" else ""
    return Table(
        f"{_counted(len(family), kind)} on {section.label} by {BY[measure]}{above}, "
        "corrected together.",
        (
            "Comparison",
            "Verdict",
            "Difference of means [95 %]",
            "Probability of improvement [95 %]",
            "p",
            "Corrected p",
        ),
        tuple(rows),
    )


def _pair(section: Section, each: Comparison) -> str:
    cell, reference = CellName.parse(each.cell), CellName.parse(each.reference)
    algorithm = section.title(cell.algorithm)
    if each.kind == "strategies":
        return f"{algorithm}: `{cell.strategy}` against `{reference.strategy}`"
    return f"`{cell.strategy}`: {algorithm} against {section.title(reference.algorithm)}"


def reference_of(each: Comparison) -> str:
    """What a comparison compares with: the name of a strategy or an algorithm."""
    return getattr(CellName.parse(each.reference), FIELDS[each.kind])


def _grouped(family: Sequence[Comparison]) -> dict[tuple[str, str], list[Comparison]]:
    """The comparisons by the algorithm and what it is compared with."""
    groups = dict[tuple[str, str], list[Comparison]]()
    for each in family:
        key = CellName.parse(each.cell).algorithm, reference_of(each)
        groups.setdefault(key, []).append(each)
    return groups


def _in_order(section: Section, family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons in the order of the report's cells."""
    order = [str(cell.name) for cell in section.ordered]
    return sorted(family, key=lambda each: order.index(each.cell))


def _clauses(names: Mapping[Verdict, Sequence[str]], link: str = "") -> str:
    found = [(verdict, names[verdict]) for verdict in OPPOSITE if verdict in names]
    return "; ".join(
        f"{verdict} {link or ('is' if len(group) == 1 else 'are')} {listed(group)}"
        for verdict, group in found
    )


def _counted(number: int, kind: str) -> str:
    return f"{number} comparison{'s' * (number > 1)} of {kind}"
