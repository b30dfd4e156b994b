"""The JSON that the status page and `kdns top` read: `/status`, `/services`, `/changes`.

`Totals` are sums that several workers' are added up from, field by field; the rest is the lead's.
"""

from msgspec import Struct

Row = tuple[str, float]


class Totals(Struct):
    """Since the start, but for the lists, which follow the last minutes."""

    queries: int = 0
    hits: int = 0
    """Of these, answered by the answer table."""
    kept: int = 0
    """Of these, answered by `cache`."""
    failures: int = 0
    rcodes: dict[str, int] = {}
    plugins: dict[str, int] = {}
    """By the plugin that answered."""
    transports: dict[str, int] = {}
    latency: list[int] = []
    """By bucket of `bounds`, the last one for all above."""
    names: list[Row] = []
    missing: list[Row] = []
    clients: list[Row] = []


class Upstream(Struct):
    """A server that is forwarded to."""

    address: str
    zone: str
    is_healthy: bool
    failures: int = 0
    latency_ms: float = 0.0
    queries: int = 0


class Cluster(Struct):
    """A source of objects."""

    source: str
    """The API server's address, or the manifests."""
    has_synced: bool
    age_s: float
    """Since it was last heard of."""
    failure: str = ""
    is_restored: bool = False
    zones: list[str] = []
    services: int = 0
    endpoints: int = 0
    unready: int = 0


class BlockShape(Struct):
    """A server block as understood."""

    keys: list[str]
    plugins: list[str]
    """In the order they are asked in, each with its words."""


class Status(Struct):
    """`/status`."""

    version: str
    started: float
    """Unix time, as is `now`."""
    now: float
    totals: Totals
    workers: int = 1
    bounds: list[float] = []
    """Upper bounds of `Totals.latency`, in seconds."""
    pods: dict[str, str] = {}
    """`namespace/pod` of addresses in `Totals.clients`, where known."""
    upstreams: list[Upstream] = []
    clusters: list[Cluster] = []
    blocks: list[BlockShape] = []
    memory: int = 0
    """Octets resident."""
    newest: int = 0
    """Number of the newest change."""


class EndpointShape(Struct):
    """An endpoint."""

    address: str
    is_ready: bool
    name: str = ""
    """Its pod, or hostname."""


class ServiceShape(Struct):
    """A service with its endpoints."""

    namespace: str
    name: str
    kind: str
    """ClusterIP, headless, ExternalName."""
    addresses: list[str] = []
    ports: list[str] = []
    """`http 80/tcp`."""
    target: str = ""
    """Of an ExternalName."""
    ready: int = 0
    unready: int = 0
    endpoints: list[EndpointShape] = []
    """The first hundred."""


class Services(Struct):
    """`/services?search=TEXT&after=NAMESPACE/NAME&limit=N`: a page of the sorted list."""

    services: list[ServiceShape]
    total: int
    """How many match."""
    more: str = ""
    """What to give as `after` for the next page; empty on the last one."""


class ChangeShape(Struct):
    """Something happened to an endpoint or service."""

    number: int
    at: float
    """Unix time it was applied: from then on it is answered."""
    service: str
    """namespace/name."""
    what: str
    """added, ready, not ready, removed; for services: service added, service removed, changed. One
    that comes unready is `added`, then `not ready`; a first state is `listed: N services`, with an
    empty `service`."""
    address: str = ""
    name: str = ""
    """Its pod or hostname."""
    delay_s: float | None = None
    """From its cause (trigger-time annotation) to the changed answer, where that is known."""
    ours_s: float = 0.0
    """Of that, from when its event had come in."""


class Pulse(Struct):
    """One message of `/events`: what is new since number `after`."""

    status: Status
    changes: list[ChangeShape]
    missed: int = 0
    """Changes that were more than a message holds."""
