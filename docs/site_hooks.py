"""A hook of MkDocs: README.md, CONTRIBUTING.md, LICENSE and studies' figures are in the site, too.

They stand above docs/, where a code forge looks for them, or a study puts them. In the site they
stand beside the pages, so links between them lose what leads in and out of docs/.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ABOVE = ("README.md", "CONTRIBUTING.md", "LICENSE")
STUDIES = tuple(
    f"{place}{what}" for place in ("", "studies/*/") for what in ("params.yaml", "results/*.svg")
)


def on_files(files: Files, config: Any, **_: Any) -> None:
    """Adds what stands above docs/."""
    root = Path(config.docs_dir).parent
    for name in names_above(root):
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))


def names_above(root: Path) -> list[str]:
    """The paths of what stands above docs/ and is in the site."""
    found = sorted(path for pattern in STUDIES for path in root.glob(pattern))
    return [*ABOVE, *(path.relative_to(root).as_posix() for path in found)]


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Sets the links of a page right."""
    if page.file.src_uri in ABOVE:
        return markdown.replace("](docs/", "](")
    names = "|".join(map(re.escape, names_above(Path(config.docs_dir).parent)))
    return re.sub(rf"\]\(((?:\.\./)*)\.\./({names})\b", r"](\1\2", markdown)
