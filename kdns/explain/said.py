"""What an explanation says: the way of a look-up, the reason for its end, what to type next."""

from dataclasses import dataclass, field

from kdns.client.search import Walk

NOT_ASKED = "not asked from here: it is not this server"
"""What is heard of a nameserver that a server in this process cannot stand for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One plugin that a question came to inside the server, in the order they were asked."""

    plugin: str
    depth: int
    """How many plugins stand around it."""
    name: str
    """What it was asked, which others may have rewritten."""
    type: str
    answered: str
    """`NXDOMAIN`, `NOERROR, 3 records`, `passed on`, `dropped` …"""
    notes: tuple[str, ...] = ()
    """What it says of its answer: which upstream failed and how, how old what it kept is …"""


@dataclass(frozen=True, slots=True)
class Trace:
    """What happened inside the server for one question of the walk."""

    block: str
    """The server block: `.:53`."""
    visits: tuple[Visit, ...] = ()
    plugin: str = ""
    """The one that answered."""
    error: str = ""
    ede: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that explains what happened."""

    id: str
    """`no-such-service`, `selector-matches-nothing` …: stable, for scripts."""
    says: str
    """One sentence in cluster words, without a final dot; the first line of an explanation."""
    evidence: tuple[str, ...] = ()
    """What it was concluded from, a line each."""
    next: tuple[str, ...] = ()
    """What to type next, a command each."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What came of trying an address and port (`--connect`)."""

    address: str
    port: int
    protocol: str
    outcome: str
    """`connected in 0.3 ms`, `refused`, `no answer within 2 s` …"""
    is_open: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """A name explained."""

    name: str
    type: str
    walks: tuple[Walk, ...]
    """As glibc and as musl would."""
    reasons: tuple[Reason, ...]
    """The most telling first; never empty: that all is well is a reason, too (`resolves`)."""
    traces: dict[tuple[str, int], Trace] = field(default_factory=dict)
    """By absolute name and type of a step; empty where the server is not ours."""
    connections: tuple[Connection, ...] = ()
    unknown: tuple[str, ...] = ()
    """What could not be known, a line each: `pods: 403 …`, `which plugin answered: not a kdns`."""
    asker: str = ""
    """For whom: `pod shop/web-1 (10.244.1.5), dnsPolicy ClusterFirst`."""
