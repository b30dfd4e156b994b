"""The EndpointSlices of one service, each read once, and found by the ports that it has.

A change costs what its slice has: a service of many ports has many slices, each with few of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from kdns.lab.controllers.bodies import name_of, namespace_of
from kdns.lab.errors import Obj

Port = tuple[str, str]
"""Its name in the service ("" where it has none), and its protocol."""


class Endpoint(NamedTuple):
    """Where a connection goes."""

    address: str
    port: int
    node: str = ""
    is_ready: bool = True
    """Else it terminates, and serves as long as none is ready."""

    @property
    def place(self) -> tuple[str, int]:
        """Its address and port."""
        return self.address, self.port


class _Member(NamedTuple):
    """An endpoint that may be used, on whatever port."""

    order: int
    """Of its address, as a number."""
    address: str
    node: str
    is_ready: bool


class _Read(NamedTuple):
    slice: Obj
    family: str
    members: tuple[_Member, ...]
    numbers: Mapping[Port, tuple[int, ...]]


class Slices:
    """Those of one service."""

    def __init__(self, slices: Iterable[Obj] = ()) -> None:
        self._read: dict[tuple[str, str], _Read] = {}
        self._having: dict[Port, set[tuple[str, str]]] = {}
        for one in slices:
            self.put(one)

    def __bool__(self) -> bool:
        return bool(self._read)

    def __iter__(self) -> Iterator[Obj]:
        return (self._read[key].slice for key in sorted(self._read))

    def put(self, one: Obj) -> set[Port]:
        """A slice is new or changed; gives the ports that this concerns."""
        read = _Read(one, str(one.get("addressType")), _members(one), _numbers(one))
        concerned = self.take(one)
        self._read[_key(one)] = read
        for port in read.numbers:
            self._having.setdefault(port, set()).add(_key(one))
        return concerned | read.numbers.keys()

    def take(self, one: Obj) -> set[Port]:
        """A slice is gone; gives the ports that this concerns."""
        key = _key(one)
        before = self._read.pop(key, None)
        if before is None:
            return set()
        for port in before.numbers:
            self._having[port].discard(key)
            if not self._having[port]:
                del self._having[port]
        return set(before.numbers)

    def members(self, port: Port, family: str) -> tuple[Endpoint, ...]:
        """The endpoints of a port that may be used, each once, in the order of their addresses."""
        found: dict[tuple[int, int], Endpoint] = {}
        for read in (self._read[key] for key in self._having.get(port, ())):
            for number in read.numbers[port] if read.family == family else ():
                for member in read.members:
                    made = Endpoint(member.address, number, member.node, member.is_ready)
                    at = member.order, number
                    old = found.get(at)
                    found[at] = _better(old, made) if old else made
        return tuple(found[at] for at in sorted(found))

    def why_none(self, port: Port, family: str) -> str:
        """Why a port has no endpoints, as a clause."""
        ours = [one for one in self._read.values() if one.family == family]
        count = sum(len(one.slice.get("endpoints") or ()) for one in ours)
        if not count:
            others = any(one.slice.get("endpoints") for one in self._read.values())
            return (
                f"it has none for {family}" if others else "no pod is selected, or none is written"
            )
        if not any(port in one.numbers for one in ours):
            name, protocol = port
            called = f"named {name} " if name else "without a name "
            return f"none of its {count} endpoints has a port {called}for {protocol}"
        return "its endpoint is not ready" if count == 1 else f"none of its {count} is ready"


def canonical(text: object) -> str:
    """An address in its shortest form; empty for what is none."""
    try:
        return str(ip_address(str(text)))
    except ValueError:
        return ""


def _key(one: Obj) -> tuple[str, str]:
    return namespace_of(one), name_of(one)


def _members(one: Obj) -> tuple[_Member, ...]:
    return tuple(filter(None, map(_member, one.get("endpoints") or ())))


def _member(endpoint: Obj) -> _Member | None:
    """An endpoint as it is used; the first of its addresses stands for all."""
    address = canonical(next(iter(endpoint.get("addresses") or ()), ""))
    conditions = endpoint.get("conditions") or {}
    is_ready = conditions.get("ready") is not False
    serves = conditions.get("serving", is_ready) is not False and conditions.get("terminating")
    if not address or not (is_ready or serves):
        return None
    return _Member(int(ip_address(address)), address, endpoint.get("nodeName") or "", is_ready)


def _numbers(one: Obj) -> dict[Port, tuple[int, ...]]:
    found: dict[Port, tuple[int, ...]] = {}
    for port in one.get("ports") or ():
        key = port.get("name") or "", port.get("protocol") or "TCP"
        number = (int(port["port"]),) if port.get("port") else ()
        found[key] = found.get(key, ()) + number
    return found


def _better(one: Endpoint, other: Endpoint) -> Endpoint:
    return max(one, other, key=lambda this: (this.is_ready, this.node))
