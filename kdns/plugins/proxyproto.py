"""proxyproto: which peers may say, in a PROXY header, for whom they ask.

The transports read the headers (kdns/wire/proxied.py); plugins see the client that was named.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from kdns.corefile.nets import Nets
from kdns.corefile.options import Settings, Shape, Syntax, duration, integer
from kdns.plugins.base import Monitor, Query, Site

POLICIES: Final = ("use", "ignore", "reject", "skip")
MAX_SESSIONS: Final = 10_240


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """Whose headers count, and what is made of the others'."""

    nets: Nets
    """Empty for all peers."""
    otherwise: str
    """The policy for peers outside."""
    session_s: float
    """How long a header counts for further datagrams of its sender; 0 for that one alone."""
    max_sessions: int

    def policy(self, address: bytes) -> str:
        """What to do with headers of a peer: one of POLICIES."""
        return "use" if address in self.nets else self.otherwise


def block(word: str) -> IPv4Network | IPv6Network:
    """An address block; CoreDNS takes no bare address here."""
    if "/" in word:
        try:
            return ip_network(word, strict=False)
        except ValueError:
            pass
    raise ValueError("an address block such as 10.0.0.0/8")


def policy(word: str) -> str:
    """A policy, in any case."""
    if word.lower() not in POLICIES:
        raise ValueError("use, ignore, reject or skip")
    return word.lower()


class ProxyProto(Monitor):
    """`proxyproto { … }`."""

    name = "proxyproto"
    syntax = Syntax(
        options={
            "allow": Shape(rest=block, repeats=True),
            "default": Shape(words=(policy,)),
            "udp_session_tracking": Shape(words=(duration(),), maybe=(integer(1),)),
            "tlv_metadata": Shape(),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        nets = Nets(settings.values("allow"))
        span = settings.values("udp_session_tracking")
        self.trust = Trust(
            nets,
            settings.get("default", "ignore" if nets else "use"),
            max(span[0], 0.0) if span else 0.0,
            span[1] if len(span) > 1 else MAX_SESSIONS,
        )
        if settings.has("tlv_metadata"):
            site.beside.setdefault("metadata", []).append(label)


def label(query: Query) -> None:
    """Offers what the proxy said beside the addresses, in hex."""
    query.note("proxyproto/tlv", lambda: _read(query))


def _read(query: Query) -> str | None:
    query.reads_client()
    return query.client.tlvs.hex() or None
