"""A Verdict becomes a filter in the kernel, which drops packets before they take room in the queue.

A classic BPF program on our own socket (SO_ATTACH_FILTER) needs no privilege: it looks at the
source address in the network header and draws a random number. `Kernel` also reads how many
packets were lost (SO_MEMINFO). Where the system has none of this, the server drops them itself.
"""

import ctypes
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network

from kdns.server.udp.shares import Verdict

_ATTACH_FILTER, _DETACH_FILTER, _MEMINFO = 26, 27, 55
_DROPS, _FIELDS = 8, 9
"""Where in what SO_MEMINFO gives the number of dropped packets stands, and how long that is."""
_NET, _RANDOM = -0x100000, -0x1000 + 56
"""SKF_NET_OFF, where the IP header begins; SKF_AD_OFF + SKF_AD_RANDOM."""
_LOAD, _LOAD_BYTE, _AND, _EQUAL, _LEAST, _RETURN = 0x20, 0x30, 0x54, 0x15, 0x35, 0x06
_KEEP, _DROP = (_RETURN, 0, 0, 0xFFFFFFFF), (_RETURN, 0, 0, 0)
_WHOLE = 1 << 32

Step = tuple[int, int, int, int]
"""One instruction: code, jumps if true and if false, operand."""
Net = IPv4Network | IPv6Network


class Kernel:
    """What the kernel knows and does for one UDP socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._is_held = False
        self.is_dumb = self.dropped() is None
        """It does not say what it drops, nor can it be told."""

    def dropped(self) -> int | None:
        """Packets that the kernel dropped at this socket so far; None where it does not say."""
        found = self._memory()
        return found[_DROPS] if found else None

    def attach(self, verdict: Verdict, exempt: Sequence[Net] = ()) -> bool:
        """Has the kernel drop by a verdict; False where it cannot."""
        if self.is_dumb:
            return False
        steps = program(verdict, exempt)
        raw = b"".join(struct.pack("=HBBI", *step[:3], step[3] & 0xFFFFFFFF) for step in steps)
        kept = ctypes.create_string_buffer(raw)
        at = struct.pack("@HP", len(steps), ctypes.addressof(kept))
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, at)
        except OSError:
            self.detach()
            return False
        self._is_held = True
        return True

    def detach(self) -> None:
        """Lets everything through again."""
        if self._is_held:
            self._is_held = False
            with suppress(OSError):  # a socket that was closed
                self._sock.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    def _memory(self) -> tuple[int, ...] | None:
        if sys.platform != "linux":
            return None
        try:
            found = self._sock.getsockopt(socket.SOL_SOCKET, _MEMINFO, 4 * _FIELDS)
        except OSError:
            return None
        return struct.unpack(f"={_FIELDS}I", found) if len(found) == 4 * _FIELDS else None


def program(verdict: Verdict, exempt: Iterable[Net] = ()) -> list[Step]:
    """The filter of a verdict: IPv6 behind IPv4, for a socket may get both."""
    passes = verdict.passes or {}
    four: list[Step] = []
    six: list[Step] = []
    for net in exempt:
        part = six if net.version == 6 else four
        part += _matched(net.network_address.packed, net.prefixlen, [_KEEP])
    for key, share in passes.items():
        is_v4 = len(key) <= verdict.widths[0] // 8
        part = four if is_v4 else six
        part += _matched(key, 8 * len(key), _drawn(share))
    four += _drawn(verdict.rest)
    six += _drawn(verdict.rest)
    # The jump over IPv4 is an unconditional one: a conditional one reaches 255 steps.
    head = [(_LOAD_BYTE, 0, 0, _NET), (_AND, 0, 0, 0xF0), (_EQUAL, 1, 0, 0x40)]
    return [*head, (0x05, 0, 0, len(four)), *four, *six]


def _matched(prefix: bytes, bits: int, then: list[Step]) -> list[Step]:
    """Steps that do `then`, which ends, for sources whose address begins with these bits."""
    start = _NET + (12 if len(prefix) <= 4 else 8)
    steps: list[Step] = []
    tests: list[list[Step]] = []
    for at in range(0, bits, 32):
        used = min(bits - at, 32)
        mask = _WHOLE - (1 << 32 - used)
        word = int.from_bytes(prefix[at // 8 : at // 8 + 4].ljust(4, b"\0"), "big") & mask
        look: list[Step] = [(_LOAD, 0, 0, start + at // 8)]
        if used < 32:
            look.append((_AND, 0, 0, mask))
        tests.append([*look, (_EQUAL, 0, 0, word)])
    size = sum(map(len, tests)) + len(then)
    for test in tests:
        *look, (code, _, _, word) = test
        steps += look
        steps.append((code, 0, size - len(steps) - 1, word))
    return steps + then


def _drawn(share: float) -> list[Step]:
    """Steps that let so much through, and end."""
    if share >= 1:
        return [_KEEP]
    return [(_LOAD, 0, 0, _RANDOM), (_LEAST, 0, 1, int(share * _WHOLE)), _DROP, _KEEP]
