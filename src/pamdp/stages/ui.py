"""Opens MLflow's own pages on what this checkout holds."""

from __future__ import annotations

import os
import socket
import sys
from argparse import Namespace

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.tracking import open_pages


def run(options: Namespace) -> None:
    """Prints the address of the cells, and becomes MLflow's server unless there is one already."""
    checkout = Checkout.here()
    uri, route = open_pages(checkout.settings.study.name, checkout.root)
    if uri.startswith(("http:", "https:")):
        print(f"The cells, best first: {uri.rstrip('/')}/{route}", flush=True)
        return
    _require_free(options.port)
    print(f"The cells, best first: http://127.0.0.1:{options.port}/{route}", flush=True)
    print("MLflow starts; it answers once it says that it runs", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(options.port), "--backend-store-uri", uri]
    os.execv(sys.executable, command)


def _require_free(port: int) -> None:
    """Raises PamdpError unless a server may listen on a port of this machine."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except (OSError, OverflowError) as error:  # the latter above 65535
        raise PamdpError(
            f"--port: expected one that is free, received {port} ({error}); end what uses it, or "
            "name another: `pamdp ui --port 5001`, `make ui PORT=5001`"
        ) from None
