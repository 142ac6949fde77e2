"""The same study with other instructions of this CPU: which of its bytes depend on them.

    python -m tests.soak.instructions [--default]

What XLA may use is limited to less and less of what the CPU has; so is what NumPy may use, and
oneDNN is left out. It is a small study, or the whole one of params.yaml, which takes an hour. This
is no part of the test suite.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.pipeline import checkout
from tests.soak import soak

# As NumPy names them.
AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
VARIANTS = {
    "XLA up to AVX-512": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX512"},
    "XLA up to AVX2": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
    "XLA up to AVX": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX"},
    "XLA up to SSE4.2": {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
    "TensorFlow without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "NumPy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": AVX512},
}


def studied(folder: Path, variables: dict[str, str]) -> float:
    """Runs a study; its seconds."""
    started = time.monotonic()
    with folder.with_name(f"{folder.name}.log").open("wb") as log:
        done = subprocess.run(
            ["pamdp", "study"],
            cwd=folder,
            env=checkout.environment(folder, PAMDP_WORKERS="2", PAMDP_TRACKING="off") | variables,
            stdout=log,
            stderr=log,
            check=False,
        )
    if done.returncode:
        raise SystemExit(folder.with_name(f"{folder.name}.log").read_text())
    return time.monotonic() - started


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    """Which kinds of files differ, and how many of how many."""
    differing = [name for name in expected if expected[name] != found.get(name)]
    if not differing:
        return "all the same"
    kinds = sorted({"/".join(Path(name).parts[:2]) for name in differing})
    return f"{len(differing)} of {len(expected)} files differ: {', '.join(kinds)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--default", action="store_true", help="the study of params.yaml")
    options = parser.parse_args()
    for name in ("XLA_FLAGS", "NPY_DISABLE_CPU_FEATURES", "TF_ENABLE_ONEDNN_OPTS"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as scratch:
        expected: dict[str, bytes] = {}
        for name, variables in {"as it is": {}, **VARIANTS}.items():
            folder = Path(scratch, name)
            checkout.make(folder, {} if options.default else soak.CHANGES)
            seconds = studied(folder, variables)
            found = soak.files(folder)
            expected = expected or found
            print(f"{name}: {difference(expected, found)}; {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
