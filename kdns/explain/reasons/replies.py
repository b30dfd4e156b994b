"""A step of a walk and its reply, as reasons read them: rcode, addresses, aliases, EDE."""

from dataclasses import dataclass
from ipaddress import ip_address
from struct import unpack_from
from typing import Final

from kdns.client.search import Asked
from kdns.wire import names, types
from kdns.wire.message import RRset, WireError
from kdns.wire.parse import parse
from kdns.wire.scan import options

_EDE: Final = 15
"""The EDNS option (RFC 8914)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One question and what its reply says."""

    name: str
    type: int
    nameserver: tuple[str, int]
    rcode: str = ""
    """Empty where there is no reply."""
    error: str = ""
    values: tuple[str, ...] = ()
    """Of the records of the asked type: addresses, targets, as their last word."""
    aliases: tuple[str, ...] = ()
    """Where CNAMEs lead, in order."""
    ede: tuple[tuple[int, str], ...] = ()

    @property
    def question(self) -> str:
        """The question as dig writes it."""
        return f"{self.name} {types.type_name(self.type)}"

    @property
    def codes(self) -> frozenset[int]:
        """The EDE codes."""
        return frozenset(code for code, _ in self.ede)

    @property
    def said(self) -> str:
        """What came, in few words."""
        if not self.rcode:
            return self.error or "no reply"
        if self.rcode != "NOERROR":
            return self.rcode
        if self.values:
            shown = ", ".join(self.values[:3])
            return shown + (f" and {len(self.values) - 3} more" if len(self.values) > 3 else "")
        return f"CNAME {self.aliases[-1]} alone" if self.aliases else "no data"


def read(asked: Asked) -> Step:
    """A step with its reply read."""
    head = (asked.name, asked.type, asked.nameserver)
    if asked.heard.reply is None:
        return Step(*head, error=asked.heard.error or "no reply")
    try:
        message = parse(asked.heard.reply)
    except WireError:
        return Step(*head, error="the reply cannot be read")
    return Step(
        *head,
        rcode=types.rcode_name(message.rcode),
        error=asked.heard.error,
        values=tuple(
            _value(rrset.type, rdata)
            for rrset in message.answer
            if rrset.type == asked.type
            for rdata in rrset.rdatas
        ),
        aliases=tuple(_aliases(message.answer)),
        ede=tuple(
            (unpack_from("!H", value)[0], value[2:].decode("utf-8", "replace"))
            for code, value in options(message.options)
            if code == _EDE and len(value) >= 2
        ),
    )


def _aliases(answer: tuple[RRset, ...]) -> list[str]:
    return [
        names.format(rdata) for one in answer if one.type == types.CNAME for rdata in one.rdatas
    ]


def _value(type_: int, rdata: bytes) -> str:
    try:
        if type_ in (types.A, types.AAAA):
            return str(ip_address(rdata))
        if type_ in (types.CNAME, types.PTR, types.NS):
            return names.format(rdata)
        if type_ == types.SRV:
            port = unpack_from("!H", rdata, 4)[0]
            return f"{names.format(rdata[6:])} port {port}"
    except (ValueError, IndexError):
        return "unreadable"
    return f"{len(rdata)} octets"
