"""EDNS options as octets: edits them by code, and makes the client subnet option."""

from collections.abc import Iterable
from struct import pack

from kdns.wire.scan import options as scan_options

NSID, SUBNET = 3, 8


def has(options: bytes, codes: frozenset[int]) -> bool:
    """True when one of the codes is among the options."""
    return any(code in codes for code, _ in scan_options(options))


def only(options: bytes, codes: frozenset[int]) -> bytes:
    """The options of these codes."""
    return _join((code, value) for code, value in scan_options(options) if code in codes)


def edit(options: bytes, action: str, code: int, value: bytes) -> bytes | None:
    """The options after `set`, `append`, `replace` or `unset`; None when nothing was there to do.

    `set` replaces the value or appends it; `replace` does nothing without an old value.
    """
    found = list(scan_options(options))
    places = [at for at, (one, _) in enumerate(found) if one == code]
    if action == "unset":
        return _join(row for row in found if row[0] != code) if places else None
    if action == "append" or (action == "set" and not places):
        return options + _join([(code, value)])
    if not places:
        return None
    found[places[0]] = (code, value)
    return _join(found)


def _join(rows: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(pack("!HH", code, len(value)) + value for code, value in rows)


def subnet(address: bytes, bits: int) -> bytes:
    """The value of a client subnet option (RFC 7871 §6): the address cut to `bits`."""
    size = (bits + 7) // 8
    cut = bytearray(address[:size])
    if bits % 8:
        cut[-1] &= 0xFF << (8 - bits % 8) & 0xFF
    return pack("!HBB", 1 if len(address) == 4 else 2, bits, 0) + bytes(cut)


def client_scope(options: bytes) -> int:
    """For how many bits of the client's address a reply is meant (RFC 7871 §6); 0 is for all."""
    found = (value for code, value in scan_options(options) if code == SUBNET)
    return max((value[3] for value in found if len(value) > 3), default=0)
