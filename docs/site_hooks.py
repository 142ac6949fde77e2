"""A hook of MkDocs: README.md, CONTRIBUTING.md and LICENSE are in the site, too.

They stand above docs/, where a code forge looks for them. In the site they stand beside the
pages, so links between them lose what leads in and out of docs/.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ABOVE = ("README.md", "CONTRIBUTING.md", "LICENSE")


def on_files(files: Files, config: Any, **_: Any) -> None:
    """Adds what stands above docs/."""
    for name in ABOVE:
        text = (Path(config.docs_dir).parent / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Sets the links of a page right."""
    if page.file.src_uri in ABOVE:
        return markdown.replace("](docs/", "](")
    names = "|".join(map(re.escape, ABOVE))
    return re.sub(rf"\]\(((?:\.\./)*)\.\./({names})\b", r"](\1\2", markdown)
