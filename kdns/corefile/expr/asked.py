"""What expressions may ask of a query: the functions of CoreDNS, and what each says it has read.

A name, a type or a flag costs nothing, for it is part of what answers are remembered by. What is
none of that (ID, port, sizes, the address that was asked) makes the answer one for this once.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from kdns.corefile.expr.expressions import (
    BOOL,
    INT,
    PART,
    STRING,
    ExprError,
    Expression,
    Signature,
    Value,
)
from kdns.wire import names, types
from kdns.wire.message import Question
from kdns.wire.names import Key

_KEPT = 4096
"""Addresses whose class is remembered."""
_UDP = frozenset(("udp", "quic", "https3"))

ENVIRONMENT: dict[str, Signature] = {
    **dict.fromkeys(
        ("type", "name", "class", "proto", "client_ip", "port", "server_ip", "server_port"),
        Signature((), STRING),
    ),
    **dict.fromkeys(("id", "opcode", "size", "bufsize"), Signature((), INT)),
    "do": Signature((), BOOL),
    "incidr": Signature((STRING, STRING), BOOL),
    "metadata": Signature((STRING,), STRING),
}
"""The functions of `view`; `template` has more."""

QUOTES = "write texts in single quotes: a Corefile takes double ones away"
"""What to say where a text may have lost its quotes."""

APART = frozenset(("client_ip", "incidr"))
"""What an asker's class may be made of: it depends on his address alone."""


class Asker(Protocol):
    """The client of a query."""

    @property
    def address(self) -> bytes: ...
    @property
    def port(self) -> int: ...
    @property
    def transport(self) -> str: ...
    @property
    def local(self) -> bytes: ...
    @property
    def local_port(self) -> int: ...


class Asked(Protocol):
    """A query, as far as expressions look at it."""

    @property
    def question(self) -> Question: ...
    @property
    def key(self) -> Key: ...
    @property
    def type(self) -> int: ...
    @property
    def cls(self) -> int: ...
    @property
    def packet(self) -> bytes: ...
    @property
    def client(self) -> Asker: ...

    def forget(self) -> None: ...
    def reads_client(self) -> None: ...
    def reads_class(self, classifier: "Classes", /) -> None: ...
    def meta(self, label: str, /) -> str: ...


class Classes:
    """The class of an address: what each part of the expressions that reads nothing else says."""

    def __init__(self) -> None:
        self.parts: list[Expression] = []
        self._known: dict[bytes, tuple[bool | None, ...]] = {}

    def classify(self, address: bytes) -> tuple[bool | None, ...]:
        """For each part true, false, or None where it cannot be evaluated."""
        found = self._known.get(address)
        if found is None:
            text = names.format_address(address)
            ask: dict[str, Callable[..., Value]] = {"client_ip": lambda: text, "incidr": in_cidr}
            found = tuple(_evaluated(part, ask) for part in self.parts)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[address] = found
        return found


def _evaluated(part: Expression, ask: Mapping[str, Callable[..., Value]]) -> bool | None:
    try:
        return part.evaluate(ask) is True
    except ExprError:
        return None


class Functions(Mapping[str, Callable[..., Value]]):
    """The functions for one query."""

    def __init__(self, query: Asked, classes: Classes, *, is_wild: bool) -> None:
        self.query = query
        self.classes = classes
        self.is_wild = is_wild
        """Clients ask several addresses of one listener."""
        self.more: dict[str, Callable[..., Value]] = {}
        """What a plugin has beside these."""

    def __getitem__(self, name: str) -> Callable[..., Value]:
        own = self.more.get(name)
        return own if own is not None else partial(_FUNCTIONS[name], self)

    def __iter__(self) -> Iterator[str]:
        return iter((*_FUNCTIONS, *self.more))

    def __len__(self) -> int:
        return len(_FUNCTIONS) + len(self.more)

    def part(self, number: int) -> bool:
        """A part of the asker's class."""
        self.query.reads_class(self.classes)
        said = self.classes.classify(self.query.client.address)[number]
        if said is None:
            raise ExprError("what it says of the client's address cannot be evaluated")
        return said

    def bufsize(self) -> int:
        """How large a reply the client can take."""
        query = self.once()
        is_stream = query.client.transport not in _UDP
        return 65535 if is_stream else max(query.question.size, 512)

    def once(self) -> Asked:
        """The query, whose answer is for this once."""
        self.query.forget()
        return self.query

    def asker(self) -> Asker:
        """The client; the answer is for this one alone."""
        self.query.reads_client()
        return self.query.client

    def server_ip(self) -> str:
        """The address that was asked, which is known where a listener has but one."""
        if self.is_wild:
            self.query.forget()
        return names.format_address(self.query.client.local) if self.query.client.local else ""


def is_wild(hosts: list[str]) -> bool:
    """Whether one of these hosts stands for all addresses of the machine."""
    return any(not host or ip_address(host.partition("%")[0]).is_unspecified for host in hosts)


@lru_cache(maxsize=1024)
def _network(block: str) -> IPv4Network | IPv6Network | None:
    _, mark, bits = block.partition("/")
    try:
        return ip_network(block, strict=False) if mark and bits.isdigit() else None
    except ValueError:
        return None


def in_cidr(address: str, block: str) -> bool:
    """Whether an address is in an address block; raises ExprError for what is none."""
    network = _network(block)
    if network is None:
        raise ExprError(f"invalid CIDR address: {block}")
    try:
        found = ip_address(address)
    except ValueError:
        raise ExprError("first argument is not an IP address") from None
    return (getattr(found, "ipv4_mapped", None) or found) in network


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    PART: Functions.part,
    "type": lambda f: types.type_name(f.query.type),
    "name": lambda f: names.format(f.query.key),
    "class": lambda f: types.class_name(f.query.cls),
    "proto": lambda f: "udp" if f.query.client.transport in _UDP else "tcp",
    "client_ip": lambda f: names.format_address(f.asker().address),
    "port": lambda f: str(f.asker().port),
    "server_ip": Functions.server_ip,
    "server_port": lambda f: str(f.query.client.local_port),
    "id": lambda f: f.once().question.id,
    "opcode": lambda f: f.query.question.flags >> 11 & 0xF,
    "size": lambda f: len(f.once().packet),
    "bufsize": Functions.bufsize,
    "do": lambda f: f.query.question.do,
    "incidr": lambda _, address, block: in_cidr(address, block),
    "metadata": lambda f, label: f.query.meta(label),
}
