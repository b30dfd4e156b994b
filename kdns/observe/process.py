"""What the operating system and the interpreter say of this process, read when somebody asks.

Of what is not there (other systems have no /proc) nothing is published.
"""

import gc
import os
import platform
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from kdns import COREDNS, __version__
from kdns.observe.counters import Counters, Labels

Samples = Iterable[tuple[Labels, float]]

_PROC = Path("/proc/self")


def publish(counters: Counters, *, runtime: bool) -> None:
    """Publishes build, CPU, memory and files; with `runtime` the interpreter and its collector."""
    counters.set("coredns_build_info", COREDNS, "", f"python{platform.python_version()}", to=1)
    counters.set("kdns_build_info", __version__, platform.python_version(), to=1)
    counters.ask("process_cpu_seconds_total", _cpu)
    counters.ask("process_open_fds", _open_files)
    counters.ask("process_max_fds", _most_files)
    counters.ask("process_virtual_memory_bytes", lambda: _memory(0))
    counters.ask("process_resident_memory_bytes", lambda: _memory(1))
    counters.ask("process_start_time_seconds", _started)
    if runtime:
        major, minor, patch = platform.python_version_tuple()
        labels = (platform.python_implementation(), major, minor, patch, platform.python_version())
        counters.set("python_info", *labels, to=1)
        counters.ask("python_gc_collections_total", lambda: _collector("collections"))
        counters.ask("python_gc_objects_collected_total", lambda: _collector("collected"))
        counters.ask("python_gc_objects_uncollectable_total", lambda: _collector("uncollectable"))


def resident() -> int:
    """Octets resident; 0 where that is not known."""
    return int(sum(value for _, value in _memory(1)))


def _cpu() -> Samples:
    return [((), time.process_time())]


def _open_files() -> Samples:
    try:
        return [((), len(os.listdir(_PROC / "fd")) - 1)]
    except OSError:
        return []


def _most_files() -> Samples:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return [((), float("inf") if limit == resource.RLIM_INFINITY else limit)]


def _memory(field: int) -> Samples:
    """A field of statm, counted in pages."""
    try:
        pages = int((_PROC / "statm").read_text().split()[field])
    except OSError:
        return []
    return [((), pages * resource.getpagesize())]


def _started() -> Samples:
    """Unix time of the start: ticks since boot, plus the time of boot."""
    try:
        stat = (_PROC / "stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/stat").read_text().partition("\nbtime ")[2].split()
    except OSError:
        return []
    return [((), int(boot[0]) + int(stat[19]) / os.sysconf("SC_CLK_TCK"))]


def _collector(what: str) -> Samples:
    return [((str(at),), stats[what]) for at, stats in enumerate(gc.get_stats())]
