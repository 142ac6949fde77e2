"""The report, rendered from files of an invented study."""

import base64
import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pamdp.base.errors import PamdpError
from pamdp.comparisons import Comparisons
from pamdp.files import read_json, write_json
from pamdp.records import Run
from pamdp.reporting import compared, findings, searches, write_report
from tests.unit.fake_study import STEPS, Fake, grid, section_of, write_inputs


def write_study(root: Path, fake: Fake) -> Path:
    """Renders an invented study; returns the report's folder."""
    write_inputs(root, fake)
    write_report(root)
    return root / "metrics" / "report"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 14 cells that vary over the seeds."""
    return write_study(tmp_path_factory.mktemp("study"), Fake(grid()))


class Elements(HTMLParser):
    """Collects the elements of a page and fails where a tag is closed that is not open."""

    VOID = ("meta", "img", "path", "use")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_all_files_are_written(rendered: Path) -> None:
    pictures = (
        "bounds",
        "comparisons",
        "curves-mpdqn",
        "curves-pdqn",
        "importance",
        "parallel",
        "returns",
        "slices",
        "tuning",
    )
    assert sorted(str(path.relative_to(rendered)) for path in rendered.rglob("*.*")) == [
        "best.json",
        "index.html",
        "metrics.json",
        *(f"platform-{name}.svg" for name in pictures),
        "plots/curves.csv",
        "plots/returns.csv",
        "results.md",
    ]


def test_equal_inputs_give_equal_bytes(rendered: Path) -> None:
    before = {path: path.read_bytes() for path in rendered.rglob("*.*")}
    write_report(rendered.parents[1])
    assert before == {path: path.read_bytes() for path in rendered.rglob("*.*")}


def test_the_page_is_self_contained(rendered: Path) -> None:
    text = (rendered / "index.html").read_text()
    # A link to where `pamdp ui` serves MLflow, and those to the models, are followed by hand.
    assert re.findall(r'<a href="(https?:[^"]*)', text) == ["http://127.0.0.1:5000/"]
    assert len(re.findall("https?:", text)) == 1
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    page = Elements(text)
    assert page.open == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.found}
    references = [
        value
        for tag, attributes in page.found
        if tag != "a"
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href") and value is not None
    ]
    assert all(value.startswith(("#", "data:")) for value in references)


def test_the_identifiers_of_the_figures_do_not_collide(rendered: Path) -> None:
    page = Elements((rendered / "index.html").read_text())
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    uses = {str(a["href"])[1:] for tag, a in page.found if tag == "use"}
    assert uses
    assert uses <= set(ids)


def test_the_page_takes_its_colours_from_the_scheme(rendered: Path) -> None:
    text = (rendered / "index.html").read_text()
    assert "prefers-color-scheme: dark" in text
    figures = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert figures.count('<svg role="img" aria-label=') == 9
    assert "var(--series-1)" in figures
    assert "var(--ink)" in figures
    assert not re.findall(r"#[0-9a-f]{6}", figures)


def test_the_summary_appears_in_the_tables(rendered: Path) -> None:
    summary = read_json(rendered.parents[1] / "metrics/evaluate/summary.json")
    markdown, page = (rendered / "results.md").read_text(), (rendered / "index.html").read_text()
    for entry in summary.values():
        values = [entry["return"][name] for name in ("mean", "mean_low", "mean_high")]
        mean, low, high = (f"{value:.3f}" for value in values)
        for text in (markdown, page):
            assert re.search(rf"{mean}\D*\[{low}, {high}\]", text)


def test_the_best_cell_and_what_it_is_better_than(tmp_path: Path) -> None:
    levels = dict.fromkeys(grid(), 0.5) | {"platform-mpdqn-inverting": 0.98}
    section = section_of(tmp_path, Fake(levels, spread=0.01, num_seeds=8))
    assert findings.headline(section) == (
        "MP-DQN with `inverting` scores highest on Platform: mean return 0.982"
    )
    # Six strategies with the same algorithm, and the other algorithm with the same strategy.
    assert findings.lead(section).endswith("By final return it is better than 7 other cells.")
    found = compared.differences(section)
    others = "`plain`, `zeroing`, `squashing`, `reversal`, `selective` and `pseudo_inverse`"
    assert f"With MP-DQN, against `inverting`: worse are {others}." in found
    assert f"With P-DQN, against `inverting`: not told apart are {others}." in found
    assert found[-1] == (
        f"MP-DQN against P-DQN: better with `inverting`; not told apart with {others}."
    )
    assert compared.caveats(section) == [compared.VERDICT_NOTE, compared.INTERVAL_NOTE]


def test_equal_cells_are_not_told_apart(tmp_path: Path) -> None:
    levels = {f"platform-pdqn-{strategy}": 0.9 for strategy in ("plain", "inverting")}
    section = section_of(tmp_path, Fake(levels, spread=0.0))
    assert "By final return it is not told apart from P-DQN with" in findings.lead(section)
    assert compared.differences(section) == [
        "With P-DQN, against `inverting`: not told apart is `plain`."
    ]


def test_each_measure_has_its_verdicts(tmp_path: Path) -> None:
    levels = {"platform-pdqn-plain": 0.5, "platform-pdqn-inverting": 0.8}
    measures = ("above_threshold", "area_under_curve")
    fake = Fake(levels, comparisons=Comparisons(measures=measures))
    section = section_of(tmp_path, fake)
    assert compared.differences(section) == [
        "With P-DQN, against `inverting`, by share of seeds above the threshold: not told apart is "
        "`plain`.",
        "With P-DQN, against `inverting`, by area under the learning curve: worse is `plain`.",
    ]
    above, area = compared.verdict_tables(section)
    assert above.caption.endswith(
        "above the threshold, a final return of at least 0.9, corrected together."
    )
    assert above.rows[0][1:] == (
        "not told apart",
        "0.000 [0.000, 0.000]",
        "0.50 [0.50, 0.50]",
        "1",
        "1",
    )
    assert (area.rows[0][1], *area.rows[0][4:]) == ("**worse**", "0.0022", "0.0022")


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    report = write_study(tmp_path, Fake(grid(algorithms=("pdqn",)), num_seeds=1))
    text = (report / "results.md").read_text()
    assert "there is no interval, and no verdict" in text
    assert "One seed only" in text
    assert "better" not in text
    assert "1 seed a cell" in text


def test_too_few_seeds_for_a_family_give_no_verdict_on_it(tmp_path: Path) -> None:
    section = section_of(tmp_path, Fake(grid(), num_seeds=5))
    assert compared.differences(section) == []
    strategies, algorithms, intervals = compared.caveats(section)
    assert strategies == (
        "No verdict is possible on 12 comparisons of strategies with 5 seeds a cell: even complete "
        "separation has p 0.0079, times 12 more than 0.05. It takes 6 seeds at least."
    )
    assert algorithms.startswith("No verdict is possible on 7 comparisons of algorithms")
    assert intervals == compared.INTERVAL_NOTE
    assert findings.lead(section).endswith("With so few seeds no verdict is possible.")
    # Six comparisons are possible: 6 x 0.0079 is 0.048.
    section = section_of(tmp_path, Fake(grid(algorithms=("pdqn",)), num_seeds=5, spread=0.001))
    (found,) = compared.differences(section)
    assert found.startswith("With P-DQN, against `inverting`: worse are `plain`")


def test_several_environments_and_missing_references(tmp_path: Path) -> None:
    levels = {
        "maze-mpdqn-reversal": 0.4,
        "maze-mpdqn-reversal_inverting": 0.6,
        "platform-pdqn-inverting": 0.9,
        "platform-pdqn-zeroing": 0.8,
    }
    kinds = {"reversal_inverting": "chain"}
    write_inputs(tmp_path, Fake(levels, num_trials=0, kinds=kinds))
    path = tmp_path / "metrics/evaluate/summary.json"
    summary = read_json(path)
    summary["maze-mpdqn-reversal"]["success"] = {"mean": None, "low": None, "high": None}
    summary["maze-mpdqn-reversal"]["clipped_share"] = None
    write_json(path, summary)
    report = tmp_path / "metrics/report"
    report.mkdir(parents=True)
    for name in ("maze", "platform"):
        (report / f"{name}-best.gif").write_bytes(f"GIF89a of {name}".encode())
    write_report(tmp_path)
    page = (report / "index.html").read_text()
    markdown = (report / "results.md").read_text()
    assert "<h1>Results on Maze and Platform</h1>" in page
    films = [
        base64.b64encode(f"GIF89a of {name}".encode()).decode() for name in ("maze", "platform")
    ]
    assert [page.count(film) for film in films] == [1, 1]
    assert page.index(films[0]) < page.index("Platform with") < page.index(films[1])
    assert markdown.count("Nothing is compared: no cell has a reference that") == 1  # in the maze
    assert "With P-DQN, against `inverting`: worse is `zeroing`." in markdown
    assert "| `reversal_inverting` |" in markdown
    assert "0 tuning trials a cell" in markdown
    assert not (report / "maze-comparisons.svg").exists()
    for name in ("tuning", "importance", "slices", "parallel"):
        assert not (report / f"maze-{name}.svg").exists()
    assert read_json(report / "metrics.json")["maze-mpdqn-reversal"]["success"] is None


def test_a_name_that_is_no_kind_is_told_apart(tmp_path: Path) -> None:
    names = [
        f"platform-{a}-{s}" for a in ("mpdqn", "mpdqn_wide") for s in ("plain", "reversal_weak")
    ]
    levels = dict(zip(names, (0.5, 0.6, 0.7, 0.8), strict=True))
    kinds = {"mpdqn_wide": "mpdqn", "reversal_weak": "reversal"}
    report = write_study(tmp_path, Fake(levels, spread=0.001, kinds=kinds))
    markdown = (report / "results.md").read_text()
    titles = re.findall("^### (.*)$", markdown, re.MULTILINE)
    assert titles == ["What differs and what does not", "MP-DQN", "MP-DQN (mpdqn_wide)"]
    assert "**MP-DQN (mpdqn_wide) with `reversal_weak` scores highest on Platform" in markdown
    page = (report / "index.html").read_text()
    assert page.count('<th scope="col">MP-DQN (mpdqn_wide)</th>') == 1
    rule = "<code>-factor g</code> where the TD error is negative, else <code>g</code>."
    assert f'<th scope="row"><code>reversal_weak</code></th><td>{rule}</td>' in page
    assert (report / "platform-curves-mpdqn_wide.svg").is_file()


def test_plots_and_metrics_for_dvc(rendered: Path) -> None:
    summary = read_json(rendered.parents[1] / "metrics/evaluate/summary.json")
    cell = "platform-mpdqn-inverting"
    entry = summary[cell]["return"]
    success = summary[cell]["success"]["mean"]
    metrics = read_json(rendered / "metrics.json")
    assert len(metrics) == 14
    assert metrics[cell] == {
        "return_mean": entry["mean"],
        "return_iqm": entry["iqm"],
        "success": success,
    }
    best = max(metrics, key=lambda name: metrics[name]["return_mean"])
    found = summary[best]["return"]
    assert read_json(rendered / "best.json") == {
        "best": {
            "platform": {
                "cell": best,
                "return": found["mean"],
                "return_low": found["mean_low"],
                "return_high": found["mean_high"],
            }
        }
    }
    with (rendered / "plots/returns.csv").open(newline="") as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    expected = {name: str(entry[f"mean_{name}"]) for name in ("low", "high")}
    assert rows[cell] == expected | {
        "cell": cell,
        "environment": "platform",
        "algorithm": "mpdqn",
        "strategy": "inverting",
        "mean": str(entry["mean"]),
    }
    with (rendered / "plots/curves.csv").open(newline="") as file:
        curve = [row for row in csv.DictReader(file) if row["cell"] == cell]
    assert [int(row["step"]) for row in curve] == list(STEPS)
    record = Run.read(rendered.parents[1] / "metrics/train" / cell / "record.json")
    last = np.mean([run.metrics["eval/return"][-1][1] for run in record.children])
    assert float(curve[-1]["mean"]) == pytest.approx(last)
    assert float(curve[-1]["low"]) < last < float(curve[-1]["high"])


def test_the_settings_are_told(rendered: Path) -> None:
    text = (rendered / "results.md").read_text()
    assert (
        "6 seeds a cell, 40,000 training steps a seed, 8 tuning trials a cell, "
        "40 greedy episodes a seed, initial parameters: none." in text
    )
    page = (rendered / "index.html").read_text()
    assert "learner.gamma" in page
    assert "study.cell" not in page
    assert "2.21.0" in page
    assert "make study" in page


def test_a_missing_output_names_its_stage(tmp_path: Path) -> None:
    write_inputs(tmp_path, Fake({"platform-pdqn-plain": 0.5}))
    (tmp_path / "metrics/tune/platform-pdqn-plain/best.json").unlink()
    with pytest.raises(PamdpError, match=r"best.json: expected what `tune@platform-pdqn-plain` wr"):
        write_report(tmp_path)


def test_what_cannot_be_reproduced_is_named(tmp_path: Path) -> None:
    write_inputs(tmp_path, Fake(grid()))
    path = tmp_path / "metrics/setup/environments/platform.json"
    write_json(path, read_json(path) | {"reproducible": False})
    write_report(tmp_path)
    sentence = "Not reproducible: Platform, which cannot be seeded; another run differs."
    page, results = (
        (tmp_path / "metrics/report" / name).read_text() for name in ("index.html", "results.md")
    )
    assert page.count(sentence) == 2
    assert f"**{sentence}**" in results
    assert "give equal results" not in page


def test_of_what_can_be_reproduced_nothing_is_said(rendered: Path) -> None:
    assert "eproducible" not in (rendered / "results.md").read_text()
    assert (
        "Equal settings and versions give equal results." in (rendered / "index.html").read_text()
    )


def test_axes_of_searches_have_numbers_and_words_as_params_has_them() -> None:
    numbers = (0.00031, 0.95, 0.0, 1.0, 64.0, 101.19, 159.0, 1590.0)
    digits = ["0.00031", "0.95", "0", "1", "64", "101", "159", "1590"]
    assert [*map(searches._digits, numbers)] == digits
    assert [*map(searches._word, (None, "huber", [64]))] == ["null", "huber", "[64]"]
