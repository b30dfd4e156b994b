"""`cat [FILE…]`: files of the pod where the lab says what stands for them, else of the machine."""

import os
import shutil
import sys
from collections.abc import Sequence

from kdns.lab.tools import pod as pods


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 1 when a file could not be read."""
    pod = pods.here()
    code = 0
    for name in [word for word in words if word == "-" or not word.startswith("-")] or ["-"]:
        try:
            if name == "-":
                shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)
                continue
            with open(pod.path(os.path.normpath(name)), "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        except BrokenPipeError:
            raise
        except OSError as error:
            sys.stdout.flush()
            print(f"cat: {name}: {error.strerror}", file=sys.stderr)
            code = 1
    return code
