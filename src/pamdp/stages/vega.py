"""The scripts that draw DVC's page of plots (`.dvc/plots/page.html`) without a network."""

from __future__ import annotations

from importlib.metadata import version

from pamdp.checkout import Checkout
from pamdp.files import replacing

VEGA_LITE = "5.21"  # the newest of the version that DVC's own templates are written in


def write_scripts(checkout: Checkout) -> None:
    """Writes `.work/vega.js` as the installed package has it, unless it is there."""
    path = checkout.work / "vega.js"
    head = f"// Vega-Lite {VEGA_LITE}, from vl-convert-python {version('vl-convert-python')}\n"
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            if file.readline() == head:
                return
    import vl_convert  # takes a second

    with replacing(path) as scratch:
        scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", VEGA_LITE)
        scratch.write_text(head + scripts, encoding="utf-8")
