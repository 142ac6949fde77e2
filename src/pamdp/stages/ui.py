"""Opens MLflow's own pages on what this checkout holds."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from pamdp.checkout import Checkout
from pamdp.tracking import open_pages


def run(options: Namespace) -> None:
    """Prints the address of the cells, and becomes MLflow's server unless there is one already."""
    checkout = Checkout.here()
    uri, route = open_pages(checkout.settings.study.name, checkout.root)
    served = uri.startswith(("http:", "https:"))
    server = uri.rstrip("/") if served else f"http://127.0.0.1:{options.port}"
    print(f"The cells, best first: {server}/{route}", flush=True)
    if not served:
        command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--workers", "1"]
        command += ["--port", str(options.port), "--backend-store-uri", uri]
        os.execv(sys.executable, command)
