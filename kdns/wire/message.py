"""The values that pass between packets and plugins: Question, RRset, Answer.

A Question is what a packet asked; an Answer is what a plugin says, as lists of RRsets with
uncompressed rdata. Neither knows an offset: `scan` makes the first, `encode` spends the second.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import types
from kdns.wire.names import Key


class WireError(Exception):
    """A packet that gets no chain: `rcode` is the reply to send, None is silence."""

    def __init__(self, cause: str, rcode: int | None = None, question_end: int = 0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.rcode = rcode
        self.question_end = question_end
        """Where the question ends, when it could be read: the reply repeats it."""


class Question(Struct, frozen=True, gc=False):
    """What one packet asks, with the header and EDNS facts an answer depends on."""

    id: int
    flags: int
    """The header's second 16 bits as received: opcode, RD, AD, CD."""
    name: bytes
    """As asked, letter case kept."""
    key: Key
    type: int
    cls: int = types.IN
    has_opt: bool = False
    size: int = 512
    """The EDNS size as sent, 512 without EDNS."""
    version: int = 0
    do: bool = False
    options: bytes = b""
    """The EDNS options as received, for plugins that declare they read them."""


class RRset(Struct, frozen=True, gc=False):
    """Records of one owner, type and TTL; rdata is uncompressed wire form."""

    owner: bytes
    type: int
    ttl: int
    rdatas: tuple[bytes, ...]
    cls: int = types.IN
    compiled: tuple[bytes, ...] = ()
    """One record cut where the owner's name goes: joined by a pointer to it, the pieces are the
    record. Only where every name in it ends in the owner (`records.soa_set`)."""


class Serial(Protocol):
    """Something whose `serial` is the live SOA serial of a zone."""

    @property
    def serial(self) -> int:
        """The serial at this moment."""


class Answer(Struct, frozen=True, gc=False):
    """What a plugin answers. Empty is an answer; "not mine" is plugins.base.SKIP."""

    rcode: int = types.NOERROR
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    flags: int = 0
    """AA, AD, RA or TC as the plugin means them; the pipeline decides RA and copies RD and CD."""
    serial: Serial | None = None
    """The live serial of every SOA in this answer; kept right by patching, not by forgetting."""
    rotate: bool = False
    """Address records may be cut at a random record (`loadbalance`)."""
    first: int = 0
    """So many of the addresses stay before the others, which do not move then; 0 for none."""
    aging: tuple[float, int] | None = None
    """(stored at, TTL then): every TTL is that one TTL less the whole seconds since (`cache`)."""
    ede: tuple[tuple[int, str], ...] = ()
    """Extended DNS errors (RFC 8914), sent when the asker used EDNS."""
    options: bytes = b""
    """Other EDNS options of the reply's OPT, encoded."""
    plugin: str = ""
    """Which plugin answered, for metrics and logs; empty when the server did."""
    error: str = ""
    """Why nothing could be answered; `rcode` stands in for an answer (CoreDNS: unwritten)."""
    live: bool = False
    """Made from the Store just now: `cache` never keeps it, so it is never stale."""
    forced: int = 0
    """Header bits the reply has whatever else says so (`header`): those to set in the upper 16
    bits, those to clear in the lower ones."""

    def but(self, **changes: object) -> "Answer":
        """A copy with some fields changed."""
        return replace(self, **changes)


class Transfer(Answer, frozen=True, gc=False, kw_only=True):
    """An answer of many messages, for streams of DNS messages only (RFC 5936)."""

    messages: Callable[[], Iterator[Answer]]
    """The messages one by one, each of a size that goes into one."""

    def __await__(self) -> Generator[None, None, Answer]:
        """Itself, at once: what is not exactly an Answer is waited for (plugins.base)."""
        yield from ()
        return self
