"""The messages of kubectl's remote commands: a first octet says which channel the rest is for.

`v4.channel.k8s.io` and v5, in which the client can also close its standard input. The outcome is a
Status on a channel of its own.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from kdns.lab.errors import Obj

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
ERROR: Final = 3
RESIZE: Final = 4
CLOSE: Final = 255
V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
PROTOCOLS = (V5, V4)
_LARGEST_SIDE = 65535


class Size(msgspec.Struct, rename="pascal"):
    """Of a terminal, as the client writes it."""

    width: int = 0
    height: int = 0


def size(octets: bytes) -> tuple[int, int] | None:
    """Rows and columns; None for what is no size, which changes nothing."""
    try:
        found = msgspec.json.decode(octets, type=Size)
    except msgspec.DecodeError:
        return None
    if not (0 < found.width <= _LARGEST_SIDE and 0 < found.height <= _LARGEST_SIDE):
        return None
    return found.height, found.width


def outcome(code: int) -> bytes:
    """The last message: how a command has ended."""
    if code == 0:
        return _said({"status": "Success"})
    return _said(
        {
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    )


def failure(message: str) -> bytes:
    """The last message when a command could not run."""
    said = f"Internal error occurred: error executing command in container: {message}"
    return _said({"status": "Failure", "message": said, "reason": "InternalError", "code": 500})


def _said(status: Mapping[str, object]) -> bytes:
    return bytes([ERROR]) + msgspec.json.encode({"metadata": {}, **status})


def exit_code(status: Obj) -> int:
    """Of a Status: 0, that of the command, or 1 when it has none."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode" and str(cause.get("message")).isdigit():
            return int(cause["message"])
    return 1
