"""How BIND's tools ask: server after server, name after name of the search path, TCP when cut off.

They do not read /etc/hosts. What one server cannot answer (SERVFAIL) they ask the next, and when
that is all that comes of it, they do not go on with the search path, as they do after NXDOMAIN.
A name with ndots dots is asked as it is written only.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct

from kdns.client.search_terms import Resolv
from kdns.lab.tools.asking import Asker
from kdns.lab.tools.pod import Pod
from kdns.wire import names, types
from kdns.wire.message import RRset, WireError
from kdns.wire.parse import Message, parse

_HEAD, _TAIL, _OPT = Struct("!HHHHHH").pack, Struct("!HH").pack, Struct("!BHHIH").pack
PORT = 53
SIZE = 1232
Server = tuple[str, int]


@dataclass(frozen=True, slots=True)
class How:
    """Whom to ask, and in what way."""

    servers: tuple[Server, ...]
    transport: str = "udp"
    within_s: float = 5.0
    tries: int = 3
    size: int = 0
    """Of EDNS; 0 for none."""
    flags: int = types.RD
    wants_signatures: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, and whose it was."""

    message: Message
    server: Server
    """Where it really is."""
    size: int
    took_s: float
    transport: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    name: str
    type: int = types.A
    cls: int = types.IN


class UnreachedError(Exception):
    """No server gave an answer."""


@dataclass(slots=True)
class Client:
    """Asks as one tool does; `worries` are the lines that it shows between answers."""

    pod: Pod
    how: How
    worries: list[str] = field(default_factory=list)

    def search(self, asked: Question, resolv: Resolv) -> Said:
        """The first reply without an error along the search path, else the last one."""
        for name in search_names(asked.name, resolv):
            said = self.ask(Question(name, asked.type, asked.cls))
            if said.message.rcode in {types.NOERROR, types.SERVFAIL}:
                break
        return said

    def ask(self, asked: Question) -> Said:
        """What a server says; raises UnreachedError, and ValueError for a name that is none."""
        failed = None
        for server in self.how.servers:
            for _ in range(self.how.tries):
                said = self._ask_one(server, asked)
                if said and said.message.rcode != types.SERVFAIL:
                    return said
                if said:
                    failed = said
                    break
        if failed is None:
            raise UnreachedError
        return failed

    def _ask_one(self, server: Server, asked: Question) -> Said | None:
        packet = self._packet(asked)
        asker = Asker(self.pod, self.how.within_s)
        place = self.pod.place(*server)
        transport = self.how.transport
        began = time.perf_counter()
        try:
            reply = asker.ask(server, packet, transport)
            if reply[2:3] and reply[2] & 2 and transport == "udp":
                self.worries.append("Truncated, retrying in TCP mode.")
                transport = "tcp"
                reply = asker.ask(server, packet, transport)
            message = parse(reply)
        except (OSError, WireError) as error:
            self.worries.append(f"communications error to {place[0]}#{place[1]}: {_why(error)}")
            return None
        took_s = time.perf_counter() - began
        return Said(message, place, len(reply), took_s, transport)

    def _packet(self, asked: Question) -> bytes:
        how = self.how
        head = _HEAD(int.from_bytes(os.urandom(2)), how.flags, 1, 0, 0, bool(how.size))
        packet = head + names.parse(asked.name) + _TAIL(asked.type, asked.cls)
        if not how.size:
            return packet
        return packet + _OPT(0, types.OPT, how.size, how.wants_signatures << 15, 0)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "end of file"
    return str(getattr(error, "strerror", "") or error).lower()


def tries_of(resolv: Resolv) -> int:
    """How often a server is asked: BIND's tools heed `attempts`, and say 3 where it is not set."""
    return resolv.attempts if resolv.attempts != Resolv().attempts else 3


def search_names(name: str, resolv: Resolv) -> Sequence[str]:
    """The absolute names to ask for one, in order."""
    if name.endswith("."):
        return (name,)
    searched = [f"{name}.{one.strip('.')}".rstrip(".") + "." for one in resolv.search]
    written = f"{name}."
    return [written] if name.count(".") >= resolv.ndots else [*searched, written]


def question(name: str, pod: Pod) -> Question:
    """What nslookup and host ask for a word: addresses of a name, the name of an address."""
    if name[-1:].isdigit() or ":" in name:
        from kdns.client.search_replies import literal  # noqa: PLC0415  (time to start)

        if address := literal(name) if name.count(".") == 3 or ":" in name else "":
            return Question(reverse(pod.moved(address)), types.PTR)
    return Question(name)


def addresses_of(pod: Pod, server: str) -> tuple[str, ...]:
    """Of a server that is named; raises LookupError."""
    from kdns.lab.tools.lookup import find  # noqa: PLC0415  (time to start)

    return find(pod, server).addresses


def reverse(address: str) -> str:
    """The name under which an address has its PTR record; raises ValueError."""
    from ipaddress import ip_address  # noqa: PLC0415  (time to start: most questions need it not)

    return names.format(names.reverse(ip_address(address).packed))


def rdata(rrset: RRset) -> list[str]:
    """The texts of records."""
    if rrset.type in {types.A, types.AAAA}:
        return [names.format_address(one) for one in rrset.rdatas]
    if rrset.type in {types.CNAME, types.PTR, types.NS}:
        return [names.format(one) for one in rrset.rdatas]
    from kdns.wire import rare  # noqa: PLC0415  (time to start)

    return [rare.format_rdata(rrset.type, one) for one in rrset.rdatas]
