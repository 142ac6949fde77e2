"""The processor that computes: on which kinds of them results are known to be the same."""

from __future__ import annotations

import platform
from pathlib import Path

# Of x86-64. XLA's programs multiply and add in one step where they can, which rounds once; what
# else there is, AVX-512 among it, changes no bit (docs/cluster.md has the measurements).
NEEDED = frozenset({"avx2", "fma"})
KNOWN = "x86-64 with AVX2 and FMA"
FLAGS = Path("/proc/cpuinfo")


def processor() -> str:
    """What of this machine's processor results may depend on, in words; `KNOWN` if it is known."""
    machine = platform.machine()
    if machine not in ("x86_64", "AMD64"):
        return machine
    missing = sorted(name.upper() for name in NEEDED - flags())
    return f"x86-64 without {' and '.join(missing)}" if missing else KNOWN


def flags() -> frozenset[str]:
    """The names of its instruction sets; none where the system does not tell."""
    for line in FLAGS.read_text().splitlines() if FLAGS.is_file() else ():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()
