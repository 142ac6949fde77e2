"""Starts a study in a folder of the user's own: what a checkout of this project has, without it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.schema import schema_text

TEMPLATE = Path(__file__).parents[1] / "template"
# What has another name in the template, so that no tool takes it for its own.
NAMES = {
    "dvc": ".dvc",
    "dvcignore": ".dvcignore",
    "gitignore": ".gitignore",
    "stages.yaml": "dvc.yaml",
}


def run(options: Namespace) -> None:
    """Starts a study in the folder of the command line."""
    folder = options.folder
    start(folder)
    where = [] if folder == Path() else [f"cd {folder}"]
    repository = any((parent / ".git").exists() for parent in (folder / "x").resolve().parents)
    steps = [*where, *([] if repository else ["git init"]), "pamdp study"]
    print(f"A study stands in {folder.resolve()}: params.yaml is all of it, README.md says more.")
    print("Run it, in about two minutes:", *steps, sep="\n  ")


def start(folder: Path) -> None:
    """Writes the files of a study.

    Raises:
      PamdpError: one of them is there already; then nothing is written.
    """
    files = {folder / name: source.read_text(encoding="utf-8") for name, source in _files()}
    files[folder / "params.schema.json"] = schema_text()
    if taken := [str(path) for path in files if path.exists()]:
        raise PamdpError(
            f"expected a folder without files of a study, received one with {', '.join(taken)}; "
            "nothing was written. Name another folder, or move them away"
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _files() -> Iterator[tuple[Path, Path]]:
    """The files of a study by their paths in it, and where their content stands."""
    for folder in (TEMPLATE, TEMPLATE / "dvc", TEMPLATE / "pipeline"):
        for path in sorted(folder.iterdir()):
            if path.is_file():
                parts = path.relative_to(TEMPLATE).parts
                yield Path(*(NAMES.get(part, part) for part in parts)), path
