"""A set of addresses becomes a socket filter that drops what comes from them, as a firewall would.

Classic BPF on a listening socket: the kernel runs it on each first packet, before it answers, so
that whoever is kept away waits and is told nothing. It needs no rights. Octets are read from where
the network header begins, IPv4 or IPv6.
"""

import ctypes
import socket
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from struct import pack

_ATTACH, _DETACH = 26, 27
"""SO_ATTACH_FILTER, SO_DETACH_FILTER: asm-generic/socket.h."""
_NETWORK = 0xFFF00000
"""SKF_NET_OFF: the beginning of the network header."""
_LOAD_BYTE, _LOAD_WORD, _AND, _JUMP, _EQUAL, _RETURN = 0x30, 0x20, 0x54, 0x05, 0x15, 0x06
_ALL = 0xFFFFFFFF
MOST = 4096
"""Instructions in one filter: BPF_MAXINSNS."""


def attach(listener: socket.socket, dropped: frozenset[str]) -> None:
    """Puts the filter for these addresses on a socket instead of the one it has."""
    if not dropped:
        with suppress(OSError):  # ENOENT: it has none
            listener.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
        return
    load(listener, _ATTACH, program(dropped, _ALL, 0))


def load(listener: socket.socket, option: int, code: bytes) -> None:
    """Gives a socket a program; raises OSError."""
    held = ctypes.create_string_buffer(code, len(code))
    listener.setsockopt(
        socket.SOL_SOCKET, option, pack("HP", len(code) // _SIZE, ctypes.addressof(held))
    )


@lru_cache(maxsize=64)  # most listeners are closed to the same addresses
def program(dropped: frozenset[str], others: int, these: int) -> bytes:
    """What ends with `these` for what these addresses send, with `others` for everything else."""
    pass_, drop = _step(_RETURN, others), _step(_RETURN, these)
    addresses = sorted(dropped)
    four = [_number(one) for one in addresses if ":" not in one]
    six = [_number(one) for one in addresses if ":" in one]
    # Jumps on a comparison reach 255 steps only: what does not match falls through to the next.
    code = [
        _step(_LOAD_BYTE, _NETWORK),
        _step(_AND, 0xF0),
        _step(_EQUAL, 0x40, 0, 1),
        _step(_JUMP, 3),
        _step(_EQUAL, 0x60, 0, 1),
        _step(_JUMP, 3 + 2 * len(four)),
        pass_,
        _step(_LOAD_WORD, _NETWORK + 12),  # RFC 791 §3.1: the source
    ]
    for one in four:
        code += [_step(_EQUAL, one, 0, 1), drop]
    code.append(pass_)
    for one in six:
        for at in range(4):
            code.append(_step(_LOAD_WORD, _NETWORK + 8 + 4 * at))  # RFC 8200 §3: the source
            code.append(_step(_EQUAL, one >> 32 * (3 - at) & _ALL, 0, 7 - 2 * at))
        code.append(drop)
    code.append(pass_)
    if len(code) > MOST:
        raise OSError(f"{len(dropped)} addresses are too many for one socket filter")
    return b"".join(code)


@lru_cache(maxsize=1 << 16)
def _number(address: str) -> int:
    return int(ip_address(address))


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return pack("HBBI", code, true, false, value)


_SIZE = len(_step(_RETURN, 0))
