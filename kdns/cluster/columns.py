"""The endpoints of a slice become columns at one stroke: what a list of 150,000 of them takes.

This is a short cut of parse.py, which defines what is right and says what is wrong: anything but
the common case (an address each, plain names) gives None here, and parse.py takes it one by one.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from sys import intern

from kdns.cluster import raw

Columns = tuple[bytes, frozenset[int], list[str], list[str], list[str]]
"""Packed addresses, the unready ones, hostnames, pods, zones."""

OCTETS = {str(octet): octet for octet in range(256)}
"""Every octet of an IPv4 address as it is written, and no other way to write it."""

_ALL_READY: frozenset[int] = frozenset()
_PODS = re.compile(r"(?:(?:[a-z0-9_](?:[-a-z0-9_.:]{0,251}[a-z0-9_])?)?,)*")
_HOSTS = re.compile(r"(?:(?:[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?)?,)*")


def columns(given: Sequence[raw.Endpoint], width: int) -> Columns | None:
    """The columns of all endpoints; None where a closer look is needed."""
    texts = [one.addresses[0] for one in given if one.addresses and len(one.addresses) == 1]
    packed = _packed(texts, width) if len(texts) == len(given) else None
    if packed is None:
        return None
    said = [one.conditions for one in given]
    is_ready = [each.ready if each is not None else None for each in said]
    unready = (
        frozenset(at for at, ready in enumerate(is_ready) if ready is False)
        if False in is_ready
        else _ALL_READY
    )
    hostnames = [one.hostname or "" for one in given]
    pods = [
        one.target_ref.name or "" if one.target_ref and one.target_ref.kind == "Pod" else ""
        for one in given
    ]
    if not (_fits(_HOSTS, hostnames) and _fits(_PODS, pods)):
        return None
    zones = [one.zone or "" for one in given]
    if any(zones):
        kept = {zone: intern(zone[:253]) for zone in set(zones)}
        zones = [kept[zone] for zone in zones]
    return packed, unready, hostnames, pods, zones


def _packed(texts: list[str], width: int) -> bytes | None:
    try:
        if width == 16:
            if any("%" in text for text in texts):  # one with a scope is none
                return None
            found = [ip_address(text).packed for text in texts]
            return b"".join(found) if all(len(one) == 16 for one in found) else None
        if not texts or {text.count(".") for text in texts} != {3}:
            return None if texts else b""
        return bytes(map(OCTETS.__getitem__, ".".join(texts).split(".")))
    except (KeyError, ValueError):
        return None


def _fits(pattern: re.Pattern[str], names: list[str]) -> bool:
    """True when each name is well formed, and none holds the comma that joins them."""
    if not any(names):
        return True
    joined = ",".join(names) + ","
    return joined.count(",") == len(names) and pattern.fullmatch(joined) is not None
