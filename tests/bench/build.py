"""The C sources of this folder become programs in `.kdns/bench`, built again when a source is newer."""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / ".kdns" / "bench"
HOW = "the bench needs a C compiler as cc (Debian: apt install gcc libc6-dev)"


class NoCompiler(Exception):
    """There is no C compiler that works: says what to install."""


def program(name: str) -> Path:
    """The program that `name`.c makes; raises NoCompiler where it cannot be built."""
    source, target = HERE / f"{name}.c", BUILT / name
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return target
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler(HOW)
    BUILT.mkdir(parents=True, exist_ok=True)
    # Under a name of its own first: another process may run the old one, or build it too.
    fresh = BUILT / f"{name}.{os.getpid()}"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-pthread", "-o", fresh, source]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise NoCompiler(f"{HOW}; {source.name} does not compile: {done.stderr[:500]}")
    fresh.rename(target)
    return target
