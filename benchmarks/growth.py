"""What a study costs around the work of its cells, which is done before; `measures` has others."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measures import ROOT, Measure

STRATEGIES, ALGORITHMS = 8, ("pdqn", "mpdqn")
CELLS_OF_ENVIRONMENT = STRATEGIES * len(ALGORITHMS)
COPIED = (".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitignore", "requirements.lock")


def cells(number: int) -> Measure:
    """Milliseconds of processor time a cell, of `pamdp study` whose cells' results are there.

    So it is what DVC, the commands of the stages and the processes of the cells take. The stages
    after the cells are left out.

    Args:
      number: of cells, a multiple of 16.
    """
    root = _study(number)
    command = [sys.executable, "-c", "from pamdp.cli import main; main(['study'])"]

    def measure() -> float:
        for name in ("metrics/tune", "metrics/train", ".dvc/cache", ".dvc/tmp"):
            shutil.rmtree(root / name, ignore_errors=True)
        (root / "dvc.lock").unlink(missing_ok=True)
        before = _processor_seconds()
        subprocess.run(command, cwd=root, env=_environment(root), check=True, capture_output=True)
        return 1e3 * (_processor_seconds() - before) / number

    return measure


def _processor_seconds() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(root: Path) -> dict[str, str]:
    own = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"PATH": own, "DVC_SITE_CACHE_DIR": str(root / ".work" / "dvc")}
    return os.environ | places | {"PAMDP_TRACKING": "off", "DVC_NO_ANALYTICS": "true"}


def _study(number: int) -> Path:
    """A study of so many cells whose results are there, although DVC does not know of them."""
    from ruamel.yaml import YAML

    root, yaml = Path(tempfile.mkdtemp(prefix="pamdp-bench-")), YAML(typ="safe")
    atexit.register(shutil.rmtree, root)
    for name in COPIED:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "pipeline", root / "pipeline")
    of_cells, _, _ = (ROOT / "dvc.yaml").read_text().partition("\n  evaluate:")
    (root / "dvc.yaml").write_text(of_cells)
    with (root / "params.yaml").open("w") as file:
        yaml.dump(_settings(yaml.load(ROOT / "params.yaml"), number), file)
    git = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "benchmark"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    _compute(root)
    return root


def _settings(values: dict[str, Any], number: int) -> dict[str, Any]:
    names = [f"platform_{index}" for index in range(number // CELLS_OF_ENVIRONMENT)]
    strategies = [*values["gradients"]][:STRATEGIES]
    values["environments"] |= {name: {"extends": "platform"} for name in names}
    values["study"] |= {"environments": names, "strategies": strategies}
    values["study"] |= {"algorithms": [*ALGORITHMS], "seeds": [1]}
    values["tuning"]["trials"] = 0
    return values


def _compute(root: Path) -> None:
    """Writes files where the results of all cells would be."""
    from pamdp.checkout import Checkout
    from pamdp.files import write_json
    from pamdp.settings import load
    from pamdp.stages import ahead
    from pamdp.stages.search import NOTHING_FOUND
    from pamdp.stages.setup import set_up

    checkout = Checkout(load(root / "params.yaml"), root)
    set_up(checkout)
    for cell in checkout.settings.cells:
        found = ahead.search(checkout, str(cell.name))
        write_json(found / "best.json", NOTHING_FOUND)
        trained = ahead.training(checkout, str(cell.name), found)
        for folder in (found, trained):
            write_json(folder / "record.json", str(folder))
