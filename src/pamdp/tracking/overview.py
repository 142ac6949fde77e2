"""The experiment's page: the report's headline above a table of the cells, best first.

MLflow's own front end reads these tags: a description, and states of its table under a key each, as
it writes them itself when a table is shared. An address opens one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pamdp.tracking.pages import EVALUATE, NOTE
from pamdp.tracking.view import CURRENT, KEY, View

SHARED = "mlflow.sharedViewState."
BEST, ALL = "best", "all"  # keys of states
MAX_TAG = 5000  # characters that a tag of an experiment may have
RETURN = f"metrics.`{EVALUATE}/return_mean`"
# The columns that are shown, from left to right, and how wide they are in pixels; what MLflow shows
# besides comes last.
COLUMNS = {
    "attributes.`Run Name`": 240,
    "runDateAndNestInfo": 125,
    "tags.`algorithm`": 80,
    "tags.`strategy`": 110,
    RETURN: 145,
    f"metrics.`{EVALUATE}/return_mean_low`": 165,
    f"metrics.`{EVALUATE}/return_mean_high`": 170,
    f"metrics.`{EVALUATE}/success_mean`": 155,
}


def route(experiment_id: str, key: str = BEST) -> str:
    """The address of a table, below that of the server."""
    query = f"viewStateShareKey={key}&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def show_overview(view: View) -> None:
    """Gives the experiment its description and the states of its table.

    An experiment of DVC that runs beside the workspace leaves them as they are.
    """
    if view.beside:
        return
    keys = trainings(view.root)
    for run in view.current():
        if run.data.tags.get(KEY) not in keys:  # of a cell that the study has no more
            view.client.delete_tag(run.info.run_id, CURRENT)
    environments = sorted({key.partition("/")[2].partition("-")[0] for key in keys})
    best = f"tags.`{CURRENT}` = 'true'"
    searches = {BEST: best, ALL: f"{RETURN} > -1e300"}
    if len(environments) > 1:  # whose returns do not compare
        searches |= {f"{BEST}-{e}": f"{best} and tags.`environment` = '{e}'" for e in environments}
    tags = {f"{SHARED}{key}": state(search) for key, search in searches.items()}
    if text := description(view.root, view.experiment_id, environments):
        tags[NOTE] = text
    shown = view.client.get_experiment(view.experiment_id).tags
    for key, value in tags.items():
        if shown.get(key) != value:
            view.client.set_experiment_tag(view.experiment_id, key, value)


def trainings(root: Path) -> set[str]:
    """The keys of the trainings that a checkout holds."""
    return {f"train/{path.parent.name}" for path in records_of(root)}


def records_of(root: Path) -> list[Path]:
    """The records of the trainings that a checkout holds."""
    return sorted((root / "metrics" / "train").glob("*/record.json"))


def state(search: str) -> str:
    """What MLflow's front end keeps of a table: its filter, order and columns.

    Args:
      search: the filter.
    """
    return json.dumps(
        {
            "searchFilter": search,
            "orderByKey": RETURN,
            "orderByAsc": False,
            "selectedColumns": [name for name in COLUMNS if name.startswith(("tags", "metrics"))],
            "columnOrder": [*COLUMNS],
            "columnWidths": COLUMNS,
            "runsHiddenMode": "FIRST_20_RUNS",  # in charts
        }
    )


def description(root: Path, experiment_id: str, environments: Sequence[str]) -> str:
    """The headlines and score tables of the report, in Markdown; empty before there is one.

    A headline comes first and alone, as MLflow shows the first lines of a folded description.

    Args:
      root: the project's root.
      experiment_id: for links to the tables.
      environments: of the study, in the report's order.
    """
    path = root / "metrics" / "report" / "results.md"
    if not path.is_file():
        return ""
    _, *sections = re.split(r"^## .*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    heads = [section.partition("\n### ")[0].strip() for section in sections]
    heads = [re.sub(r"^(\*\*.*?\*\*) ", r"\1\n\n", head) for head in heads]
    links = {"All runs, earlier ones too": ALL}
    if len(environments) > 1:
        links = {f"{name}, best first": f"{BEST}-{name}" for name in environments} | links
    last = " · ".join(f"[{text}]({route(experiment_id, key)})" for text, key in links.items())
    if sum(map(len, heads)) + len(last) > MAX_TAG - 100:
        heads = [head.partition("\n\n")[0] for head in heads]
    return "\n\n".join([*heads, last])[:MAX_TAG]
