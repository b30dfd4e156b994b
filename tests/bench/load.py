"""Packets and what is expected of them become a load on a server, and that a count of its answers.

The load itself is `load.c`; this writes its file and reads what it prints.
"""

import json
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import build

NXDOMAIN = 3
CUT = 0x10
"""TC is set in the answer."""
RECORDS = 0x20
"""The answer section holds records."""

Packet = tuple[bytes, int]
"""A query, and the rcode of its answer plus what of the above is so."""


@dataclass(frozen=True)
class Load:
    """What came back: how many queries were answered, which way and how fast."""

    sent: int
    answered: int
    lost: int
    strange: int
    wrong: int
    first_wrong: str
    rcodes: dict[str, int]
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float

    @property
    def trouble(self) -> str:
        """What was not as it should be, empty when nothing was."""
        found = [
            f"{count} {word} of {self.sent}"
            for word, count in (
                ("lost", self.lost),
                ("strange", self.strange),
                ("wrong", self.wrong),
            )
            if count
        ]
        return ", ".join(found) + (f" ({self.first_wrong[:400]})" if self.wrong else "")


def write(path: Path, packets: Iterable[Packet]) -> Path:
    """Writes a file that `load` replays."""
    path.write_bytes(
        b"".join(struct.pack("!HB", len(wire), expected) + wire for wire, expected in packets)
    )
    return path


def load(mode: str, port: int, path: Path, *options: str | int, address: str = "127.0.0.1") -> Load:
    """Replays a file against a server; the modes and options are those of `load.c`."""
    command = [build.program("load"), mode, address, str(port), path, *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return Load(**json.loads(done.stdout))
