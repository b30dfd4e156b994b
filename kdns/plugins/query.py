"""What a Query is, and what its answer is said to depend on: the words of the answer table.

`touch(key)` before looking at a fact, also when the look ends in SKIP; `until(time)` for what time
makes wrong; `reads_client` or `reads_class` when the asker's address mattered; `forget` when the
answer may not be remembered. The answer table trusts exactly these words (design.md §3).
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import types
from kdns.wire.message import Answer, Question
from kdns.wire.names import ROOT, Key


class Stamps:
    """65,536 numbers that say whether a fact may have changed: a Change adds one to its keys'."""

    __slots__ = ("generation", "values")

    def __init__(self) -> None:
        self.values = [0] * 65536
        self.generation = 0
        """Grows with every Change: while it stands still, every entry checked once stays right."""

    def bump(self, keys: Iterable[Hashable]) -> None:
        """Forgets everything that touched one of these keys."""
        self.generation += 1
        for key in keys:
            self.values[hash(key) & 0xFFFF] += 1


class Classifier(Protocol):
    """Puts client addresses into classes between which answers may differ."""

    def classify(self, address: bytes) -> Hashable:
        """The class of a packed address, at this moment.

        Where it is read from what may change, the query is to touch that fact before.
        """


class Credit(Protocol):
    """Something that wants to know how often its answer was given from the table."""

    hits: int


class Client(Struct, frozen=True, gc=False):
    """Who asked, and how: packed addresses (IPv4-mapped ones as IPv4)."""

    address: bytes
    port: int
    transport: str = "udp"
    """udp, tcp, tls, https, https3, quic or grpc."""
    local: bytes = b""
    """The address of ours that was asked."""
    local_port: int = 0
    tlvs: bytes = b""
    """What a proxy said of him beside his address (`proxyproto`)."""

    @property
    def protocol(self) -> str:
        """What carries his packets, whatever is between: udp or tcp."""
        return "udp" if self.transport in ("udp", "quic", "https3") else "tcp"


Seal = Callable[[bytes], bytes]
"""Makes the octets of a reply those that leave."""


class Finish(Struct):
    """What is still to be done to a reply, where that is more than usual."""

    size: int = 65535
    """What the asker's EDNS size counts as at most."""
    seal: Seal | None = None
    room: int = 0
    """Octets that the seal adds."""


class Ledger(Struct):
    """What one packet's answer depended on, shared by all queries made on the way to it."""

    stamps: Stamps
    route: "Callable[[Query], Awaitable[Answer | None]]"
    touched: list[int] = []
    """Where the stamps of the touched facts stand."""
    facts: list[Hashable] | None = None
    """Facts whose stamps are not noted yet: nothing can change before the first await, so until
    then a touch only appends here. None from then on."""
    packet: bytes = b""
    """As it was received."""
    signer: Key | None = None
    """Name of the key that the packet is signed with, if that was verified."""
    finish: Finish | None = None
    mark: int = 0
    """Sum of the touched stamps when they were touched. Stamps only grow, so the sum stays
    equal exactly while none of them has moved."""
    until: float = float("inf")
    keep: bool = True
    is_personal: bool = False
    """The answer is for this asker alone: nothing on the way may keep it either."""
    audience: tuple[Classifier, ...] = ()
    credits: tuple[Credit, ...] = ()
    metadata: dict[str, Callable[[], str | None]] | None = None
    families: tuple[tuple[str, Callable[[str], str | None]], ...] = ()
    """Beginnings of labels, and what gives the values of all that begin so."""
    told: dict[str, str] | None = None
    """The values that observers are told."""
    witness: Callable[[str, str], None] | None = None
    """Who follows this one packet through the chain (`server.tracing`); None nearly always."""

    def settle(self) -> None:
        """Notes the stamps of all facts touched so far. Owed before anything is waited for."""
        facts, self.facts = self.facts, None
        if facts:
            stamps, touched = self.stamps.values, self.touched
            for fact in facts:  # perf: bench forward; one or two
                at = hash(fact) & 0xFFFF
                touched.append(at)
                self.mark += stamps[at]

    def is_right(self) -> bool:
        """True while nothing that was touched has changed."""
        stamps = self.stamps.values
        return sum([stamps[at] for at in self.touched]) == self.mark


class Query(Struct):
    """A question on its way through a chain: name and type as rewritten so far, who asks, when."""

    question: Question
    """As the packet asked it; `key`, `type` and `cls` are what the chain asks now."""
    client: Client
    now: float
    ledger: Ledger
    key: Key
    type: int
    cls: int
    zone: Key = ROOT
    """The zone of the server block that answers."""
    depth: int = 0
    is_apart: bool = False
    """Upstreams are told who asks: what was kept for others is not his, nor his theirs."""

    @property
    def packet(self) -> bytes:
        """The packet as it was received; empty for what the server asks by itself."""
        return self.ledger.packet

    @property
    def signer(self) -> Key | None:
        """Name of the key that the packet is signed with, if that was verified (`tsig`)."""
        return self.ledger.signer

    @property
    def opcode(self) -> int:
        """What the packet wants: a query mostly."""
        return self.question.flags >> 11 & 0xF

    @staticmethod
    def of(question: Question, client: Client, now: float, ledger: Ledger) -> "Query":
        """The query of a packet, as asked."""
        return Query(question, client, now, ledger, question.key, question.type, question.cls)

    def touch(self, fact: Hashable) -> None:
        """Notes that the answer depends on a fact. Call it before looking, whatever is found."""
        ledger = self.ledger
        if ledger.facts is not None:
            ledger.facts.append(fact)
            return
        at = hash(fact) & 0xFFFF
        ledger.touched.append(at)
        ledger.mark += ledger.stamps.values[at]

    def toucher(self) -> Callable[[Hashable], None]:
        """The cheapest thing that does what `touch` does until something is waited for."""
        facts = self.ledger.facts
        return self.touch if facts is None else facts.append

    def until(self, time: float) -> None:
        """The answer is wrong from this time on."""
        self.ledger.until = min(self.ledger.until, time)

    def forget(self) -> None:
        """The answer is for this once: it depends on what cannot be named, or something failed."""
        self.ledger.keep = False

    def reads_client(self) -> None:
        """The answer is for this asker alone."""
        self.ledger.keep = False
        self.ledger.is_personal = True

    def reads_class(self, classifier: Classifier) -> None:
        """The answer is for the askers of one class."""
        if classifier not in self.ledger.audience:
            self.ledger.audience += (classifier,)

    def cap(self, size: int) -> None:
        """Has the asker's EDNS size count as this at most."""
        if self.question.size > size:
            self.question = replace(self.question, size=size)
        self._finish().size = size

    def seal(self, seal: Seal, *, room: int) -> None:
        """Passes the reply through `seal`, last of all; its `room` octets are kept free for it.

        Of several messages each one is passed, in their order. The reply is for this once.
        """
        self.forget()
        finish = self._finish()
        finish.seal, finish.room = seal, room

    def _finish(self) -> Finish:
        if self.ledger.finish is None:
            self.ledger.finish = Finish()
        return self.ledger.finish

    def credit(self, credit: Credit) -> None:
        """Every hit on this answer in the table is to be counted there, too."""
        self.ledger.credits += (credit,)

    def note(self, label: str, value: Callable[[], str | None]) -> None:
        """Offers metadata, made only if somebody reads it; free unless `metadata` is on.

        It is `value` that says whether it is about the asker: an answer that nobody has read it for
        is the same for all. None is as if the label had not been offered.
        """
        ledger = self.ledger
        if ledger.metadata is not None:
            ledger.metadata[label] = value
        if ledger.witness is not None:
            ledger.witness(label, value() or "")

    def note_each(self, begin: str, value: Callable[[str], str | None]) -> None:
        """Offers all labels that begin so; `value` is given the rest of the label."""
        if self.ledger.metadata is not None:
            self.ledger.families += ((begin, value),)

    def tell(self, labels: Iterable[str]) -> None:
        """Reads the labels that observers are told of."""
        found = {label: self._value(label) for label in labels}
        self.ledger.told = {label: value for label, value in found.items() if value is not None}

    def meta(self, label: str) -> str:
        """A metadata value, empty when nobody offered it."""
        return self._value(label) or ""

    def _value(self, label: str) -> str | None:
        offered = self.ledger.metadata
        if offered is None:
            return None
        value = offered.get(label)
        if value is not None:
            return value()
        for begin, each in self.ledger.families:
            if label.startswith(begin):
                return each(label[len(begin) :])
        return None

    def asking(
        self, key: Key, type_: int | None = None, *, cls: int | None = None, deeper: bool = False
    ) -> "Query":
        """The same query for another name or type; what it depends on is noted in one ledger."""
        return Query(
            self.question,
            self.client,
            self.now,
            self.ledger,
            key,
            self.type if type_ is None else type_,
            self.cls if cls is None else cls,
            self.zone,
            self.depth + deeper,
            self.is_apart,
        )

    async def lookup(self, key: Key, type_: int) -> Answer | None:
        """Asks this server itself: zone routing and the whole chain. None when nothing came."""
        if self.depth >= 10:
            self.forget()
            why = "internal look-ups nested too deeply"
            return Answer(rcode=types.SERVFAIL, error=why, ede=((types.EDE_OTHER, why),))
        return await self.ledger.route(self.asking(key, type_, deeper=True))
