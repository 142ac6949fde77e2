"""The processor: which of its instructions are used, and where results are known to be the same."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

# XLA's programs add up in an order that depends on how wide the instructions are that it may use.
# So they are those of AVX2 everywhere. What XLA calls for some matrix products is not limited by
# that: on processors without AVX-512 results are not known (docs/cluster.md has measurements).
INSTRUCTIONS = "--xla_cpu_max_isa=AVX2"
# The order of a program's parts: XLA's usual one favours those that could run at the same time,
# for which these are too small. The results are the same, a call takes less time.
ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
KNOWN = "x86-64 with AVX-512"
NEEDED = {"avx512f": "AVX-512", "avx2": "AVX2", "fma": "FMA"}
FLAGS = Path("/proc/cpuinfo")
# The cores that this process might use when it began, or that which it was forked from; none where
# the system does not tell. A worker is kept to one core, what it starts need not be.
CORES: frozenset[int] = frozenset(getattr(os, "sched_getaffinity", lambda _: ())(0))


def prepare_xla() -> None:
    """Adds to XLA_FLAGS what it does not name: the same instructions on all x86-64, and the order.

    XLA reads this when it compiles for the first time in a process.
    """
    given = os.environ.get("XLA_FLAGS", "")
    wanted = [INSTRUCTIONS, ORDER] if _is_x86() else [ORDER]
    missing = [flag for flag in wanted if flag.partition("=")[0] not in given]
    os.environ["XLA_FLAGS"] = " ".join([given, *missing]).strip()


def keep_programs(folder: Path) -> None:
    """Has XLA keep compiled programs below a folder, unless TF_XLA_FLAGS says where.

    Their names tell nothing of what compiled them and of what they may run on: the folder does.
    """
    depends = [version("tensorflow"), os.environ.get("XLA_FLAGS"), sorted(flags())]
    own = str(folder / f"xla-{hashlib.sha256(repr(depends).encode()).hexdigest()[:8]}")
    # In quotes, because the path may have spaces; which has both kinds has to do without.
    if quotes := {"'", '"'} - {*own}:
        quote = max(quotes)
        flag = f"--tf_xla_persistent_cache_directory={quote}{own}{quote}"
        os.environ.setdefault("TF_XLA_FLAGS", flag)


def processor() -> str:
    """What of this machine's processor results may depend on, in words; `KNOWN` if it is known."""
    if not _is_x86():
        return platform.machine()
    if INSTRUCTIONS not in os.environ.get("XLA_FLAGS", INSTRUCTIONS):
        return f"x86-64 with other instructions (XLA_FLAGS={os.environ['XLA_FLAGS']})"
    missing = [name for flag, name in NEEDED.items() if flag not in flags()]
    return f"x86-64 without {' and '.join(missing)}" if missing else KNOWN


def flags() -> frozenset[str]:
    """The names of its instruction sets; none where the system does not tell."""
    for line in FLAGS.read_text().splitlines() if FLAGS.is_file() else ():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _is_x86() -> bool:
    return platform.machine() in ("x86_64", "AMD64")
