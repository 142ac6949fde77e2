"""Writes the report: figures, plots for DVC, Markdown and one self-contained HTML page."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from pamdp.files import write_csv, write_json
from pamdp.reporting import compared, figures, findings, searches, tables, words
from pamdp.reporting.data import Section, StudyResults, read_study
from pamdp.reporting.style import COLOURS, to_svg

TEMPLATES = Path(__file__).with_name("templates")
CAPTIONS = {
    "returns": "Dot and line: mean over seeds with its 95 % bootstrap interval. Ticks: single "
    "seeds.",
    "comparisons": "How often a seed of the strategy beats a seed of the reference; at 0.5 neither "
    "is better. Full dots: told apart by the corrected test.",
    "curves": "Mean over seeds of the periodic greedy evaluations with a 95 % bootstrap band; "
    "grey, the other strategies.",
    "bounds": "Shares of the policy's parameters that had to be clipped and that lay within 1 % of "
    "a bound.",
    "tuning": "Line: the best score up to a trial. Dots: the trials. A trial trains for a share of "
    "the steps, on few seeds of its own, so its score says little about the final mean.",
    "importance": "Dots: how differently a setting's values are distributed among the best quarter "
    "of a cell's trials and among all of them (PED-ANOVA). Bar: the mean over cells. Of few trials "
    "it says little.",
    "slices": "Each dot a trial that was run to its end.",
    "parallel": "Each line a trial that was run to its end, from value to value to its score; it "
    "leaves out what its cell does not have.",
}


@dataclass(frozen=True)
class Picture:
    """A figure with its file's name, the text below it and its SVG."""

    name: str
    caption: str
    svg: str

    @property
    def inline(self) -> Markup:
        """The SVG as part of an HTML page, with identifiers of its own and the page's colours."""
        # What HTML does not need: prologue, metadata, name spaces, the size in points.
        text = self.svg[self.svg.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
        text = re.sub(r' (?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", text, count=5)
        text = text.replace("xlink:href", "href")
        text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{self.name}-", text)
        for name, colour in COLOURS.items():
            text = text.replace(colour, f"var(--{name})")
        accessible = f'<svg role="img" aria-label="{escape(self.caption)}"'
        return Markup(text.replace("<svg", accessible, 1))


def write_report(root: Path) -> None:
    """Writes `metrics/report/` from the outputs of the other stages.

    Files: `index.html`, `results.md`, `best.json`, `metrics.json`, `plots/returns.csv`,
    `plots/curves.csv` and the figures as SVG. GIFs `<environment>-best.gif` that are there already
    become part of the page. Equal inputs give equal bytes.

    Args:
      root: the project's root, which holds `metrics/`.

    Raises:
      PamdpError: if an output of an earlier stage is missing.
    """
    study = read_study(root)
    report = root / "metrics" / "report"
    (report / "plots").mkdir(parents=True, exist_ok=True)
    pictures = {section.environment: draw(section) for section in study.sections}
    for picture in (picture for found in pictures.values() for picture in found):
        (report / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")
    write_csv(report / "plots/returns.csv", tables.returns_rows(study))
    write_csv(report / "plots/curves.csv", tables.curves_rows(study))
    write_json(report / "best.json", tables.best_metrics(study))
    write_json(report / "metrics.json", tables.headline_metrics(study))
    (report / "results.md").write_text(render("results.md.jinja", study, {}), encoding="utf-8")
    page = render("page.html.jinja", study, pictures)
    (report / "index.html").write_text(page, encoding="utf-8")


def draw(section: Section) -> list[Picture]:
    """The pictures of an environment."""
    drawn: dict[str, Figure | None] = {
        "returns": figures.returns(section),
        "comparisons": figures.comparisons(section),
    }
    for algorithm in section.algorithms:
        drawn[f"curves-{algorithm}"] = figures.learning_curves(section, algorithm)
    drawn |= {"bounds": figures.bounds(section), "tuning": figures.tuning(section)}
    for figure in (searches.importance, searches.slices, searches.parallel):
        drawn[figure.__name__] = figure(section)
    return [
        Picture(f"{section.environment}-{name}", CAPTIONS[name.split("-")[0]], to_svg(figure))
        for name, figure in drawn.items()
        if figure is not None
    ]


def render(template: str, study: StudyResults, pictures: dict[str, list[Picture]]) -> str:
    """A template filled with the study; it calls functions of these modules."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html.jinja",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = inline
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment.get_template(template).render(
        study=study,
        pictures=pictures,
        compared=compared,
        findings=findings,
        tables=tables,
        words=words,
    )


def inline(text: str) -> Markup:
    """HTML of a text with `code` and **bold** in Markdown's notation; [intervals] stay whole."""
    html = re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text)))
    html = re.sub(r"(\[[^\]]*\])", r'<span class="interval">\1</span>', html)
    return Markup(re.sub(r"\*\*([^*]*)\*\*", r"<strong>\1</strong>", html))
