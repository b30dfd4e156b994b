"""What a plugin is: its shapes, the Query it is asked, and the Site it stands in.

A plugin returns answers and never writes. Everything an answer depends on is told to the Query:
`touch(key)` before looking at a fact, also when the look ends in SKIP; `until(time)` for what time
makes wrong; `reads_client` or `reads_class` when the asker's address mattered; `forget` when the
answer may not be remembered. The answer table trusts exactly these words (design.md §3).
"""

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, ClassVar, Final, Protocol, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from kdns.corefile.options import Settings, Syntax
from kdns.observe.counters import Counters
from kdns.wire import types
from kdns.wire.message import Answer, Question
from kdns.wire.names import ROOT, Key, is_below

T = TypeVar("T")


class Skip(Enum):
    """The type of SKIP."""

    SKIP = "not mine, ask the next"


SKIP: Final = Skip.SKIP
DROP: Final = Answer(rcode=-1)
"""No reply at all. Compared by identity."""

Result = Answer | Skip


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
        """The class of a packed address; a pure function of it for the life of the plugin."""


class Credit(Protocol):
    """Something that wants to know how often its answer was given from the table."""

    hits: int


class Client(Struct, frozen=True, gc=False):
    """Who asked, and how: packed addresses (IPv4-mapped ones as IPv4)."""

    address: bytes
    port: int
    transport: str = "udp"
    local: bytes = b""
    """The address of ours that was asked."""
    local_port: int = 0


class Ledger:
    """What one packet's answer depended on, shared by all queries made on the way to it."""

    mark: int = 0
    """Sum of the touched stamps when they were touched. Stamps only grow, so the sum stays
    equal exactly while none of them has moved."""
    until: float = float("inf")
    keep: bool = True
    is_personal: bool = False
    """The answer is for this asker alone: nothing on the way may keep it either."""
    audience: tuple[Classifier, ...] = ()
    credits: tuple[Credit, ...] = ()
    metadata: dict[str, Callable[[], str]] | None = None

    def __init__(
        self, stamps: Stamps, route: "Callable[[Query], Awaitable[Answer | None]]"
    ) -> None:
        self.stamps = stamps.values
        self.route = route
        self.touched: list[int] = []

    def is_right(self) -> bool:
        """True while nothing that was touched has changed."""
        stamps = self.stamps
        return sum([stamps[at] for at in self.touched]) == self.mark


class Query:
    """A question on its way through a chain: name and type as rewritten so far, who asks, when."""

    zone: Key = ROOT
    """The zone of the server block that answers."""
    depth: int = 0

    def __init__(self, question: Question, client: Client, now: float, ledger: Ledger) -> None:
        self.question = question
        """As the packet asked it; `key`, `type` and `cls` are what the chain asks now."""
        self.key = question.key
        self.type = question.type
        self.cls = question.cls
        self.client = client
        self.now = now
        self.ledger = ledger

    def touch(self, key: Hashable) -> None:
        """Notes that the answer depends on a fact. Call it before looking, whatever is found."""
        ledger = self.ledger
        at = hash(key) & 0xFFFF
        ledger.touched.append(at)
        ledger.mark += ledger.stamps[at]

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

    def credit(self, credit: Credit) -> None:
        """Every hit on this answer in the table is to be counted there, too."""
        self.ledger.credits += (credit,)

    def note(self, label: str, value: Callable[[], str]) -> None:
        """Offers metadata, made only if somebody reads it; free unless `metadata` is on."""
        if self.ledger.metadata is not None:
            self.ledger.metadata[label] = value

    def meta(self, label: str) -> str:
        """A metadata value, empty when nobody offered it."""
        offered = self.ledger.metadata
        value = offered.get(label) if offered else None
        return value() if value else ""

    def asking(
        self, key: Key, type_: int | None = None, *, cls: int | None = None, deeper: bool = False
    ) -> "Query":
        """The same query for another name or type; what it depends on is noted in one ledger."""
        other = Query.__new__(Query)
        other.question = self.question
        other.key = key
        other.type = self.type if type_ is None else type_
        other.cls = self.cls if cls is None else cls
        other.client = self.client
        other.now = self.now
        other.ledger = self.ledger
        other.zone = self.zone
        other.depth = self.depth + deeper
        return other

    async def lookup(self, key: Key, type_: int) -> Answer | None:
        """Asks this server itself: zone routing and the whole chain. None when nothing came."""
        if self.depth >= 10:
            self.forget()
            return Answer(rcode=types.SERVFAIL, error="internal look-ups nested too deeply")
        return await self.ledger.route(self.asking(key, type_, deeper=True))


Next = Callable[[Query], Awaitable[Result]]


class Seen(Struct, frozen=True, gc=False):
    """One answered packet, as observers are told of it afterwards."""

    packet: bytes
    client: Client
    reply: bytes | None
    plugin: str
    zone: Key
    started: float
    ended: float
    error: str = ""
    metadata: "dict[str, str] | None" = None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What an HTTP endpoint answers."""

    status: int = 200
    body: bytes = b"OK"
    type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something a plugin serves over HTTP; the server opens the socket, one for each address.

    Blocks may name the same address and path: the first one answers, or one address of several
    paths is shared. `serve` gets the query parameters.
    """

    host: str
    """Empty for every address."""
    port: int
    path: str
    serve: Callable[[Mapping[str, str]], Awaitable[HttpReply]]


class Runner(Protocol):
    """A shared object (`Site.share`) that works in the background while some plugin uses it."""

    async def run(self) -> None:
        """Runs from the first Assembly that uses it to the last, straight through reloads."""


@dataclass(slots=True)
class Life:
    """What plugins may know of the server they run in, and ask of it; one per process."""

    plugins: "tuple[Plugin, ...]" = ()
    """All plugins of all blocks that serve now."""
    is_stopping: bool = False
    """True from the moment the stop was asked for, while the server still answers."""
    corefile: str = ""
    """The path of the Corefile, empty when it came from elsewhere."""
    version: str = ""
    """SHA-512 of the Corefile that serves, with all it imports."""
    heard_at: Callable[[], float] = lambda: float("-inf")
    """When a DNS packet last came in, by `Site.clock`."""
    reload: Callable[[], Awaitable[bool]] | None = None
    """Reads the Corefile again if it differs; True when the new one serves. None in tests."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a plugin stands: its server block, and what the process lends it."""

    zones: tuple[Key, ...]
    """The zones of the block; a CIDR key gives only its first (CoreDNS)."""
    label: str
    """The listener as metrics name it, `dns://:53`."""
    stamps: Stamps
    counters: Counters
    chance: Random
    clock: Callable[[], float]
    """The monotonic clock that `query.now` is read from."""
    wall: Callable[[], float]
    """Unix time."""
    root: str
    """Directory that relative paths start from (`root`)."""
    listen: tuple[tuple[str, int], ...]
    """Addresses the block is bound to; an empty host is the wildcard."""
    shared: dict[Hashable, Any]  # Any: each kind of shared object knows its own type
    """Objects that outlive a plugin and are one per process: stores with their sources. Here are
    those that the Corefile of this Site has asked for."""
    kept: Mapping[Hashable, Any] = field(default_factory=dict)  # Any: as above
    """Those of the Corefile that serves while this one starts; empty from then on."""
    life: Life = field(default_factory=Life)
    beside: dict[Hashable, Any] = field(default_factory=dict)  # Any: as above
    """What directives of one name in one block share, where together they make one list of rules
    (`acl`, `log`, `rewrite`); new at every build."""

    def share(self, key: Hashable, make: Callable[[], T]) -> T:
        """The process's one object of this key, made at first need and kept through reloads.

        One that is a Runner is run by the server from before its plugins' `start` on, for as long
        as some plugin of the Corefile that serves has asked for it.
        """
        if key not in self.shared:
            self.shared[key] = self.kept[key] if key in self.kept else make()
        return cast("T", self.shared[key])


class Plugin:
    """Made from checked settings, without I/O: a constructor only checks, `start` reads files."""

    name: ClassVar[str]
    syntax: ClassVar[Syntax] = Syntax()

    def __init__(self, settings: Settings, site: Site) -> None:
        self.settings = settings
        self.site = site

    async def start(self) -> None:
        """Runs once before the sockets open; may read files and wait a bounded time."""

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Background work, run by the server from start to stop."""
        return ()

    def endpoints(self) -> Sequence[Endpoint]:
        """What it serves over HTTP; asked once, after `start`."""
        return ()

    async def wind_down(self) -> None:
        """Runs when the stop was asked for, while everything is still served (lameduck)."""

    async def stop(self) -> None:
        """Runs once after the sockets closed, or when a reload has replaced it."""

    @property
    def is_ready(self) -> bool:
        """False while the plugin has no usable data (asked by `ready`)."""
        return True


class Backend(Plugin):
    """Answers what is its own."""

    async def answer(self, query: Query) -> Result:
        """An Answer, or SKIP to pass the query on."""
        raise NotImplementedError


class Filter(Plugin):
    """Stands around the rest of the chain. SKIP from `next` means the chain ran out: pass it on."""

    async def around(self, query: Query, next_: Next) -> Result:
        """Asks `next_`, with this query or another, and returns its answer or another."""
        raise NotImplementedError


class Observer(Plugin):
    """Is told, batch by batch and after the fact, what was answered to whom."""

    wants_all: ClassVar[bool] = True
    """False when it only cares for failures: then answers that went well need not be told."""
    wants_strays: ClassVar[bool] = False
    """True when the first one in the Corefile is also to be told what no block took: refused by
    the server itself, with an empty Key for its zone."""

    def observe(self, batch: Sequence[Seen]) -> None:
        """Counts or logs; must not raise and must not block.

        A batch is of one zone on one listener and transport.
        """
        raise NotImplementedError


class Monitor(Plugin):
    """Has no part in answering: tasks, probe endpoints, or a fact about the block."""


def own_zones(settings: Settings, site: Site, zones: Iterable[tuple[Key, ...]]) -> tuple[Key, ...]:
    """The zones given as arguments (each converted by `options.zones`), else the block's."""
    return tuple(zone for group in zones for zone in group) or site.zones


def zone_of(key: Key, zones: Iterable[Key]) -> Key | None:
    """The longest of `zones` that holds `key`."""
    best: Key | None = None
    for zone in zones:
        if is_below(key, zone) and (best is None or len(zone) > len(best)):
            best = zone
    return best


def fallthrough(settings: Settings) -> tuple[Key, ...]:
    """The zones in which a miss goes to the next plugin: none without the option, all when bare."""
    if not settings.has("fallthrough"):
        return ()
    given = tuple(zone for group in settings.values("fallthrough") for zone in group)
    return given or (ROOT,)


def as_of_now(query: Query, answer: Answer) -> Answer:
    """The answer with a cached TTL counted down, so that its records may join others."""
    if answer.aging is None:
        return answer
    stored, ttl = answer.aging
    age = int(query.now - stored)
    query.until(stored + age + 1)
    left = max(ttl - age, 0)
    sections = (answer.answer, answer.authority, answer.additional)
    aged = [tuple(replace(rrset, ttl=left) for rrset in rrsets) for rrsets in sections]
    return answer.but(answer=aged[0], authority=aged[1], additional=aged[2], aging=None)
