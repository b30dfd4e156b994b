"""What a plugin is: its shapes, the Query it is asked, and the Site it stands in.

A plugin returns answers and never writes. Everything an answer depends on is told to the Query
(plugins.query). What need not wait answers at once, without a coroutine: `at_once` gives an answer,
or something to wait for.
"""

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from secrets import token_hex
from typing import Any, ClassVar, Final, Protocol, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from kdns.corefile.options import Settings, Syntax
from kdns.corefile.tree import Block
from kdns.observe.counters import Counters, Histogram
from kdns.plugins.endpoint import Endpoint, Guard, HttpReply
from kdns.plugins.query import Classifier, Client, Credit, Ledger, Query, Seal, Stamps
from kdns.wire.message import Answer, Transfer
from kdns.wire.names import ROOT, Key, is_below

__all__ = [
    "Classifier", "Client", "Credit", "Endpoint", "Guard", "HttpReply", "Ledger", "Query", "Seal",
    "Stamps",
]  # fmt: skip
"""What a plugin needs of plugins.query and plugins.endpoint; the rest is made here."""

T = TypeVar("T")


class Skip(Enum):
    """The type of SKIP."""

    SKIP = "not mine, ask the next"


SKIP: Final = Skip.SKIP
DROP: Final = Answer(rcode=-1)
"""No reply at all. Compared by identity."""

Result = Answer | Skip


Next = Callable[[Query], Awaitable[Result]]
Soon = Callable[[Query], Result | Awaitable[Result]]
"""What is asked first without waiting. An Answer or SKIP is it; all else is to be awaited."""


def waiting(soon: Soon) -> Next:
    """The same, for those who wait anyway."""

    async def ask(query: Query) -> Result:
        answer = soon(query)
        if type(answer) is Answer or answer is SKIP:
            return answer
        return await cast("Awaitable[Result]", answer)

    return ask


SIGNED: Final = -1
"""Among `Plugin.reads`: whether a packet has additional records beside its OPT (`tsig`)."""
SILENCE: Final = b""
"""What a gate says to a packet that gets no reply."""


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
    type: int = 0
    do: bool = False
    is_kept: bool = False
    """The table answered it."""


class Hit(Struct, gc=False):
    """How often packets were answered alike since that was last told, by the table or not."""

    packet: bytes
    """The one packet that the table answered, its ID zero; empty for what the chain answered."""
    packet_size: int
    type: int
    do: bool
    reply_size: int
    rcode: int
    """Without its upper bits, which are in the OPT."""
    plugin: str
    count: int
    count_v6: int
    """How many of these came over IPv6."""
    is_kept: bool = True
    """The table answered them."""


class Hits(Struct, gc=False):
    """What was answered for one zone on one listener and transport, told now and then."""

    zone: Key
    where: Client
    """The listener as its clients see it; their own address and port are left out."""
    hits: list[Hit]
    latency: Histogram
    """How long the replies took, in buckets of catalogue.DURATIONS; of all zones on the listener
    together it is exact, the share of each is by its number of hits."""
    callers: list[tuple[bytes, int]]
    """Addresses of some clients, one drawn from a batch, and how many queries it stands for."""


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
    tell: Callable[[], Awaitable[None]] | None = None
    """Has observers told of all that was answered up to now. None in tests."""
    reload: Callable[[], Awaitable[bool]] | None = None
    """Reads the Corefile again if it differs; True when the new one serves. None in tests."""
    mark: str = field(default_factory=lambda: token_hex(8))
    """What this server knows its own probes by; all its workers have the same."""
    secret: str = field(default_factory=lambda: token_hex(16))
    """What nobody else knows, and all its workers do."""
    is_lead: bool = True
    """Of several workers one does what must be done once: it watches, probes and reloads."""
    workers: int = 1
    """How many there are to be."""
    link: Any = None  # Any: what kdns.cluster has it give to other workers, or take from them with
    """The way to the other workers."""
    blocks: tuple[Block, ...] = ()
    """The server blocks of the Corefile that serves, as written."""
    page: Callable[["Plugin"], "Sequence[Endpoint]"] | None = None
    """What `status` serves at its address: made above, where all is known. None in tests."""


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
    """Addresses the block is bound to, those of plain DNS first; an empty host is the wildcard."""
    shared: dict[Hashable, Any]  # Any: each kind of shared object knows its own type
    """Objects that outlive a plugin and are one per process: stores with their sources. Here are
    those that the Corefile of this Site has asked for."""
    kept: Mapping[Hashable, Any] = field(default_factory=dict)  # Any: as above
    """Those of the Corefile that serves while this one starts; empty from then on."""
    life: Life = field(default_factory=Life)
    beside: dict[Hashable, Any] = field(default_factory=dict)  # Any: as above
    """What directives of one name in one block share, where together they make one list of rules
    (`acl`, `log`, `rewrite`); new at every build."""
    is_plain: bool = True
    """Some of its addresses are asked over plain DNS."""

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
    reads: frozenset[int] = frozenset()
    """EDNS options whose values its answers depend on: packets that differ in one of them do not
    share an answer."""
    opcodes: frozenset[int] = frozenset()
    """What packets may want beside queries and notifications, for the block it stands in."""

    def __init__(self, settings: Settings, site: Site) -> None:
        self.settings = settings
        self.site = site

    def look(self) -> None:
        """Reads the files it cannot start without; raises ConfigError where one is wrong.

        `kdns check` calls it; a plugin itself does so when it starts, in a thread if they are big.
        """

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

    @property
    def account(self) -> str:
        """What it answers and from where, told in a line when the server has started; empty for
        nothing to tell."""
        return ""


class Gate(Plugin):
    """Looks at every packet of its listener before anything else does, the answer table too."""

    room: int = 0
    """Octets that its seals add to a reply."""

    def admit(self, packet: bytes, client: Client, now: float) -> bytes | Seal | None:
        """None lets it go on; a reply to send instead, or SILENCE; or what seals its reply."""
        raise NotImplementedError


class Chooser(Plugin):
    """Says which queries its block takes; those go to the next block that holds their name."""

    def takes(self, query: Query) -> bool:
        """True when the query is for this block; notes on it what that depended on."""
        raise NotImplementedError


class Backend(Plugin):
    """Answers what is its own."""

    is_live: ClassVar[bool] = False
    """Its answers are all made of the present state (`Answer.live`)."""
    is_of_in: ClassVar[bool] = True
    """What it has is of class IN: it is not asked for other classes."""
    refuses_rest: ClassVar[bool] = False
    """Where it is the last one to be asked, what it passes on is refused, as by a server that has
    some zones and no others; else that is a failure (CoreDNS)."""

    async def answer(self, query: Query) -> Result:
        """An Answer, or SKIP to pass the query on."""
        raise NotImplementedError

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """The same without a coroutine, for a plugin that seldom waits: it defines this one."""
        return self.answer(query)


class Filter(Plugin):
    """Stands around the rest of the chain. SKIP from `next` means the chain ran out: pass it on."""

    lets_live_pass: ClassVar[bool] = False
    """It neither changes nor keeps nor counts live answers."""

    async def around(self, query: Query, next_: Next) -> Result:
        """Asks `next_`, with this query or another, and returns its answer or another."""
        raise NotImplementedError

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The same without a coroutine, for a plugin that seldom waits: it defines this one."""
        return self.around(query, waiting(next_))


class Editor(Filter):
    """A filter that only changes what the rest of the chain answers, transfers excepted."""

    def edit(self, query: Query, answer: Answer) -> Answer:
        """The answer as it is to be; never called with SKIP."""
        raise NotImplementedError

    async def edited(self, query: Query, waited: Awaitable[Result]) -> Result:
        """The same for an answer that is still to come."""
        answer = await waited
        if answer is SKIP or type(answer) is Transfer:
            return answer
        return self.edit(query, answer)


class Observer(Plugin):
    """Is told, batch by batch and after the fact, what was answered to whom."""

    wants_all: ClassVar[bool] = True
    """False when it only cares for failures: then answers that went well need not be told."""
    wants_each: ClassVar[bool] = True
    """False when replies from the table need not be told one by one: they come as sums."""
    wants_callers: ClassVar[bool] = False
    """True when, of those, it lists names and clients: only then it is told of every answer that
    the chain made as `Seen`, and `Hits.callers` has any. Else all comes as sums."""
    labels: frozenset[str] = frozenset()
    """Metadata that it reads of what it is told."""
    wants_strays: ClassVar[bool] = False
    """True when the first one in the Corefile is also to be told what no block took: refused by
    the server itself, with an empty Key for its zone."""

    def observe(self, batch: Sequence[Seen]) -> None:
        """Counts or logs; must not raise and must not block.

        A batch is of one zone on one listener and transport.
        """
        raise NotImplementedError

    def observe_hits(self, hits: Hits) -> None:
        """Counts what is told as sums; for those who do not want each, and as `observe`."""
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
    age = max(int(query.now - stored), 0)  # a query that waited began before
    query.until(stored + age + 1)
    left = max(ttl - age, 0)
    sections = (answer.answer, answer.authority, answer.additional)
    aged = [tuple(replace(rrset, ttl=left) for rrset in rrsets) for rrsets in sections]
    return answer.but(answer=aged[0], authority=aged[1], additional=aged[2], aging=None)
