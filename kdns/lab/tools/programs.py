"""Starts the tools: a folder of small scripts to be put into PATH, and what each of them calls.

Tools are imported one by one, for the time from the command to its first packet is what users feel.
"""

import os
import shlex
import sys
from importlib import import_module
from pathlib import Path

NAMES = ("cat", "curl", "dig", "getent", "host", "hostname", "nc", "nslookup", "wget")
_BEGIN = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from kdns.lab.tools.programs import main; sys.exit(main(*sys.argv[2:]))"
)


def folder(into: Path) -> Path:
    """Writes the scripts into a new folder `tools` there, and gives that."""
    made = into / "tools"
    made.mkdir()
    source = Path(__file__).parents[3]
    for name in NAMES:
        # a shell's exec and not "#!python": paths may be long, or have spaces
        words = [sys.executable, "-I", "-c", _BEGIN, str(source), name]
        script = made / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        script.chmod(0o755)
    return made


def main(name: str, *words: str) -> int:
    """Runs one of them; gives its exit code."""
    tool = import_module(f"kdns.lab.tools.{name}")
    try:
        code = int(tool.main(list(words)))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # who reads has gone; what is buffered must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return code
