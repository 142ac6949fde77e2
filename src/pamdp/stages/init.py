"""Starts a study in a folder of the user's own: what a checkout of this project has, without it."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.base.places import project
from pamdp.schema import FILE, schema_text

TEMPLATE = Path(__file__).parents[1] / "template"
# What has another name in the template, so that no tool takes it for its own.
NAMES = {
    "dvc": ".dvc",
    "dvcignore": ".dvcignore",
    "gitignore": ".gitignore",
    "stages.yaml": "dvc.yaml",
}

# A repository may have these: then they stay as they are.
README = Path("README.md")
OPTIONAL = (str(README), ".gitignore")
# What studies of a checkout share with it. All else DVC reads in git's history, too, where it finds
# of a link no more than the path.
SHARED = (Path(".dvc", "plots"), Path("pipeline"), Path(FILE))


def run(options: Namespace) -> None:
    """Starts a study in the folder of the command line."""
    folder = options.folder
    kept = start(folder)
    where = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    repository = any((parent / ".git").exists() for parent in (folder / "x").resolve().parents)
    steps = [*where, *([] if repository else ["git init"]), "pamdp study"]
    print(f"A study stands in {folder.resolve()}: params.yaml is all of it.")
    for path in kept:
        print(f"{path} was there and stays as it is.")
        if path.name == ".gitignore":
            print("Add to it:", *_texts()[Path(".gitignore")].splitlines(), sep="\n  ")
    print("Run it, in about two minutes:", *steps, sep="\n  ")


def start(folder: Path) -> list[Path]:
    """Writes the files of a study; in a checkout of this project, some are links into that.

    Returns:
      The files that were there already and may stay.

    Raises:
      PamdpError: another one is there already; then nothing is written.
    """
    if folder.exists() and not folder.is_dir():
        raise PamdpError(f"expected a folder, received the file {folder}")
    texts, links = _texts(), dict[Path, Path]()
    if (checkout := project(folder)) and TEMPLATE.resolve().is_relative_to(checkout):
        texts, links = copied(), {name: checkout / name for name in SHARED}
    there = [name for name in (*texts, *links) if (folder / name).exists()]
    if taken := [str(folder / name) for name in there if str(name) not in OPTIONAL]:
        raise PamdpError(
            f"expected a folder without files of a study, received one with {', '.join(taken)}; "
            "nothing was written. Name another folder, or move them away"
        )
    for name, text in texts.items():
        if name not in there:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    for name, target in links.items():
        place = folder.resolve() / name
        place.symlink_to(os.path.relpath(target, place.parent))
    return [folder / name for name in there]


def copied() -> dict[Path, str]:
    """What a study of a checkout has a copy of; the README.md of the checkout tells of it."""
    shared = (README, *SHARED)
    return {
        name: text
        for name, text in _texts().items()
        if not any(name.is_relative_to(each) for each in shared)
    }


@cache
def _texts() -> dict[Path, str]:
    """The content of a study's files by their paths in it."""
    texts = {name: source.read_text(encoding="utf-8") for name, source in _files()}
    return texts | {Path(FILE): schema_text()}


def _files() -> Iterator[tuple[Path, Path]]:
    """The files of a study by their paths in it, and where their content stands."""
    for folder in (TEMPLATE, TEMPLATE / "dvc", TEMPLATE / "dvc" / "plots", TEMPLATE / "pipeline"):
        for path in sorted(folder.iterdir()):
            if path.is_file():
                parts = path.relative_to(TEMPLATE).parts
                yield Path(*(NAMES.get(part, part) for part in parts)), path
