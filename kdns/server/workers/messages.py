"""What the supervisor and its workers say to each other."""

from msgspec import Struct, msgpack

Address = tuple[str, int]
Labels = tuple[str, ...]


class Setup(Struct, array_like=True):
    """What the supervisor is started with, and each worker after it."""

    text: str
    """The Corefile."""
    path: str
    port: int
    """The default one."""
    count: int
    """How many workers."""
    is_fixed: bool = False
    """The command line says how many, whatever the Corefile does."""
    corefile: str | None = None
    """As the command line has it; None where it says nothing."""
    is_quiet: bool = False
    pidfile: str = ""
    log_format: str = "text"
    banner: str = ""
    mark: str = ""
    """See `Life.mark`."""
    secret: str = ""
    """See `Life.secret`."""


# From the supervisor


class Begin(Struct, tag=True, array_like=True):
    """The first message: who the worker is."""

    number: int
    """0 is the lead: it watches, and it reads a changed Corefile."""
    setup: Setup
    inherits: bool = False
    """Another worker will give it what the last lead knew."""


class Feed(Struct, tag=True, array_like=True):
    """One end of a socket pair comes with it: the way to a worker, to give or to take."""

    gives: bool


class Open(Struct, tag=True, array_like=True):
    """The worker may open its sockets, as soon as all it needs is there."""

    ports: dict[str, int]
    """The real ones where the Corefile says 0, by host."""
    may_be_unready: bool = False
    """Nobody serves anything better meanwhile."""
    others: bool = False
    """Other workers serve on the same ports."""


class Call(Struct, tag=True, array_like=True):
    """Somebody asks for a path over HTTP."""

    id: int
    address: Address
    path: str
    query: dict[str, str]


class Ask(Struct, tag=True, array_like=True):
    """What has been counted so far?"""

    id: int


class Order(Struct, tag=True, array_like=True):
    """A signal says that the Corefile is to be read again."""


class Prepare(Struct, tag=True, array_like=True):
    """This Corefile is to be served, once all can."""

    text: str
    path: str
    version: str


class Decide(Struct, tag=True, array_like=True):
    """All change over to what they prepared, or none; to the lead it says why not."""

    errors: tuple[str, ...] = ()


class Opened(Struct, tag=True, array_like=True):
    """An HTTP address is open, at this port; or why it cannot be."""

    id: int
    port: int = 0
    error: str = ""


class Stop(Struct, tag=True, array_like=True):
    """The graceful stop begins."""


# From a worker


class Built(Struct, tag=True, array_like=True):
    """The lead found nothing wrong with the Corefile: the others can start."""


class Standing(Struct, tag=True, array_like=True):
    """Where a worker is: what it serves, and whether it has all it needs."""

    is_serving: bool
    is_ready: bool
    ports: dict[str, int] = {}
    served: tuple[str, ...] = ()
    greeting: tuple[str, ...] = ()


class Guard(Struct, array_like=True):
    """See `plugins.endpoint.Guard`."""

    policy: str
    token: str
    open: tuple[str, ...]


class Path(Struct, array_like=True, frozen=True):
    """What is served at a path, as `plugins.endpoint.Endpoint` says it."""

    path: str
    is_lead: bool = False
    adds: bool = False
    follows_s: float = 0.0


class Offer(Struct, tag=True, array_like=True):
    """An HTTP address that the plugins of the lead want, and its paths; id 0: other paths there."""

    id: int
    address: Address
    directive: str
    paths: tuple[Path, ...]
    web: str = ""
    guard: Guard | None = None


class Withdraw(Struct, tag=True, array_like=True):
    """Nothing is served at an HTTP address any more."""

    address: Address


class Reply(Struct, tag=True, array_like=True):
    """The answer to a Call."""

    id: int
    status: int
    body: bytes
    content_type: str
    mark: str = ""


class Numbers(Struct, tag=True, array_like=True):
    """The answer to an Ask, or news without one (id 0)."""

    id: int
    values: list[tuple[Labels, float]]
    histograms: list[tuple[Labels, tuple[float, ...], tuple[int, ...], float]]
    """Name and labels, bounds, counts, sum."""


class Propose(Struct, tag=True, array_like=True):
    """The lead could serve this Corefile: can the others?"""

    text: str
    path: str
    version: str
    count: int = 1
    """How many workers it asks for."""


class Verdict(Struct, tag=True, array_like=True):
    """What a worker that was to prepare a Corefile found wrong."""

    version: str
    errors: tuple[str, ...] = ()


ToWorker = Begin | Feed | Open | Call | Ask | Order | Prepare | Decide | Opened | Stop
ToSupervisor = Built | Standing | Offer | Withdraw | Reply | Numbers | Propose | Verdict

pack = msgpack.Encoder().encode
read_setup = msgpack.Decoder(Setup).decode
to_worker = msgpack.Decoder(ToWorker).decode
to_supervisor = msgpack.Decoder(ToSupervisor).decode
