"""What results depend on: the code that computes them, found by following imports in its source.

A digest of code ignores comments, docstrings, blank lines and what describes a plug-in to readers,
and is the same in all supported versions of Python. `setup` writes digests as facts that the stages
of dvc.yaml depend on.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, NamedTuple

from pamdp.base.errors import PamdpError
from pamdp.envs import LISTS

# Followed no further, with why nothing is missed; `*` stands for anything. What is forgotten here
# reruns too much, and never too little.
STOPS: Mapping[str, str] = {
    "pamdp.algorithms": "a list of plug-ins: a cell's own have facts of their own",
    "pamdp.bridge.tasks": "likewise",
    "pamdp.envs": "likewise",
    "pamdp.envs.members": "likewise",
    "pamdp.strategies": "likewise",
    "pamdp.strategies.members": "likewise",
    "pamdp.bridge.gymnasium": "belongs to the tasks of that form, whose `sources` name it",
    "pamdp.bridge.parameterised": "likewise",
    "pamdp.bridge.translation": "likewise",
    "pamdp.bridge.hanging": "words",
    "pamdp.base.errors": "words",
    "pamdp.checkout": "where files stand",
    "pamdp.stages.ahead": "keeps results under their marks",
    "pamdp.engines*": "every engine gives the same bytes",
    "pamdp.provenance": "tells what is found here, and that is in the facts",
    "pamdp.stages.facts": "likewise",
    "pamdp.progress": "shows how far the work is",
    "pamdp.stages.live": "likewise",
    "pamdp.stages.times": "counts seconds, which are part of no result",
    "pamdp.stages.engine": "chooses one of the engines",
    "pamdp.settings": "reads and checks values, which are parameters of the stages",
    "pamdp.tracking*": "a view of the records",
}
# Installed ones whose versions results depend on, whatever a cell is.
RESULT_PACKAGES = ("gymnasium", "numpy", "optuna", "tensorflow")
TEMPLATES = (".css", ".jinja", ".md")  # what stands beside our code and becomes part of results
# Class variables that tell readers what a plug-in is.
WORDS = frozenset({"title", "rule", "reference"})


class Sources(NamedTuple):
    """What some modules run.

    Attributes:
      files: of their code and of the data beside it, by a name that depends on no place.
      packages: installed ones that a user's code imports; their versions stand for their code.
    """

    files: Mapping[str, Path]
    packages: frozenset[str]


def follow(modules: Iterable[str]) -> Sources:
    """Finds what modules run: themselves, whatever they import, and so on.

    `modules` themselves are taken, be they among `STOPS` or not. An import anywhere in a module
    counts. The standard library is left out, and so is what is installed and not ours.
    """
    waiting, files = set(modules), dict[str, Path]()
    packages: set[str] = set()
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if top != "pamdp" and _is_installed(top):
            packages.add(top)
            continue
        path = _located(name)
        if path is None or name in files:
            continue
        files |= {name: path} | _data(name, path)
        found = _imports(path, name) | {*_packages_of(name)}  # importing it runs these, too
        if top == "pamdp":  # what is installed besides, setup writes down as a whole
            found = {each for each in found if each.startswith("pamdp.") and not _stops(each)}
        elif any(each.partition(".")[0] == "pamdp" for each in found):
            found |= {*LISTS}  # whichever it makes, by an id that nothing can follow
        waiting |= found
    return Sources(dict(sorted(files.items())), frozenset(packages))


def digest(modules: Iterable[str]) -> dict[str, Any]:
    """What modules run, as plain values: a hash of the code, and versions of what it imports."""
    sources, total = follow(modules), hashlib.sha256()
    for name, path in sources.files.items():
        content = code(path) if path.suffix == ".py" else path.read_bytes()
        total.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return {"source": total.hexdigest(), "distributions": _versions(sources.packages)}


def code(path: Path) -> bytes:
    """A module's source without what changes no result."""
    return _code(path, path.stat().st_mtime_ns)


@cache
def _code(path: Path, changed: int) -> bytes:
    del changed  # part of the key
    text, tree = _parsed(path)
    lines = text.split("\n")

    def place(row: int, column: int) -> tuple[int, int]:
        return row, len(lines[row - 1].encode()[:column].decode())  # ast counts bytes

    words = [(place(*start), place(*end)) for start, end in _words(tree)]
    inside = {row for first, last in _texts(tree) for row in range(first + 1, last + 1)}
    # From the last one on, so that places do not move.
    for (first, begin), (last, end) in sorted([*words, *_comments(text)], reverse=True):
        before, after = lines[first - 1][:begin], lines[last - 1][end:]
        lines[first - 1] = before + after if after.strip() else before.rstrip()
        lines[first:last] = [""] * (last - first)
        inside -= {*range(first, last + 1)}
    kept = [line for row, line in enumerate(lines, 1) if line.strip() or row in inside]
    return "".join(f"{line}\n" for line in kept).encode()


def _words(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Places of docstrings, of other texts that stand alone, and of `WORDS` of classes."""
    found: list[ast.stmt] = []
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                found.append(node)
            case ast.ClassDef():
                found += filter(_is_word, node.body)
    for each in found:
        end = each.end_lineno or each.lineno, each.end_col_offset or 0
        yield (each.lineno, each.col_offset), end


def _is_word(node: ast.stmt) -> bool:
    match node:
        case ast.AnnAssign(ast.Name(id=name), annotation, ast.Constant(value=str())):
            return name in WORDS and ast.unparse(annotation) == "ClassVar[str]"
    return False


def _texts(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last rows of texts, whose blank lines count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant):
            yield node.lineno, node.end_lineno or node.lineno


def _comments(text: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start, token.end


def _parsed(path: Path) -> tuple[str, ast.Module]:
    """The text of a module, ending with its last word, and its syntax tree.

    Raises:
      PamdpError: it is none.
    """
    try:
        with tokenize.open(path) as file:
            text = file.read().rstrip()
        return text, ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise PamdpError(f"{path}: expected a module of Python, received {error}") from None


def _imports(path: Path, name: str) -> set[str]:
    """The modules that a module imports, as it names them, and what may be modules below these."""
    return set(_imported(path, name, path.stat().st_mtime_ns)) if path.suffix == ".py" else set()


@cache
def _imported(path: Path, name: str, changed: int) -> frozenset[str]:
    del changed  # part of the key
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(_parsed(path)[1]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(above) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _packages_of(name: str) -> Iterator[str]:
    """The packages that a module is in; our outermost one does no more than register."""
    parts = name.partition("/")[0].split(".")
    for number in range(len(parts) - 1, 1 if parts[0] == "pamdp" else 0, -1):
        yield ".".join(parts[:number])


def _stops(name: str) -> bool:
    return any(fnmatchcase(name, stop) for stop in STOPS)


@cache
def _located(name: str) -> Path | None:
    """The file of a module; None if there is none, or it is of the standard library.

    Nothing is imported: below its first name a module is looked for in the folders of its package.
    """
    top, *rest = name.split(".")
    if top in sys.stdlib_module_names:
        return None
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if found is None or not rest:
        return Path(found.origin) if found and found.origin and found.has_location else None
    paths = (Path(place, *rest) for place in found.submodule_search_locations or ())
    files = (file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


@cache
def _is_installed(package: str) -> bool:
    """Whether a package is installed, and not worked on."""
    path = _located(package)
    return path is not None and bool({"site-packages", "dist-packages"} & set(path.parts))


def _data(name: str, path: Path) -> dict[str, Path]:
    """A package's templates, and those that stand beside a module under its name."""
    if not name.startswith("pamdp."):
        return {}
    if path.name == "__init__.py":
        package, files = name, (path.parent / "templates").rglob("*")
    else:
        package, files = name.rpartition(".")[0], path.parent.glob(f"{path.stem}.*")
    return {
        f"{package}/{file.relative_to(path.parent).as_posix()}": file
        for file in files
        if file.suffix in TEMPLATES
    }


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the distributions that installed packages belong to."""
    if not packages:
        return {}
    owners = packages_distributions()
    names = {name for package in packages for name in owners.get(package, ())}
    return {name: version(name) for name in sorted(names)}
