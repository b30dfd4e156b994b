"""The plugins of the blocks on one address become its Terms: certificates, bounds, whom to believe.

Of several blocks on an address that say different things the last one counts (CoreDNS), but for
TLS and max_streams: there they must agree.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Final

from kdns.corefile.nets import Nets
from kdns.corefile.tree import ConfigError, Word
from kdns.plugins.base import Plugin
from kdns.plugins.proxyproto import ProxyProto, Trust
from kdns.plugins.tls import Keyring, Tls
from kdns.server.places import Place
from kdns.server.sockets import StartError

UNLIMITED: Final = sys.maxsize
CONNECTIONS: Final = 4096
"""Of a listener for plain DNS or DoT."""
WEB_CONNECTIONS: Final = 200
STREAMS: Final = {"https": 250, "https3": 256, "quic": 256, "grpc": 256}
"""At once, on one connection (CoreDNS)."""
BOUNDS: Final = {"https": "https", "https3": "https3", "quic": "quic", "grpc": "grpc_server"}
"""The directive that holds the bounds of a transport."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a transport is to keep to."""

    keyring: Keyring | None = None
    """None for no TLS."""
    alike: tuple[Keyring, ...] = ()
    """Those of other blocks on the address: the same, once their files are read."""
    trust: Trust | None = None
    """None where no PROXY headers are expected."""
    forwarded: Nets = field(default_factory=lambda: Nets(()))
    """HTTP proxies that are believed whom they ask for."""
    read_s: float = 3.0
    """What was begun must be whole by then: a message, a request, a handshake (CoreDNS: 3 s)."""
    write_s: float = 5.0
    """How long a client may take nothing of what is written (CoreDNS: 5 s)."""
    idle_s: float = 10.0
    max_queries: int = UNLIMITED
    """On one connection, in all its life."""
    max_connections: int = CONNECTIONS
    max_streams: int = 256
    pool: int = 1024
    """Queries under way of all connections; more wait (CoreDNS: the workers of `quic`)."""
    label: str = ""
    """The listener as metrics name it."""

    def check(self) -> None:
        """Raises StartError where blocks on one address turn out to have different certificates."""
        for other in self.alike:
            if self.keyring is not None and other.files != self.keyring.files:
                raise StartError(
                    f"{self.label}: {other.keys.certificate} and {self.keyring.keys.certificate}"
                    " differ (or the keys or CAs beside them): blocks on one address share one"
                )


@dataclass(frozen=True, slots=True)
class Party:
    """A server block on an address."""

    word: Word
    plugins: Sequence[Plugin]


def terms_of(place: Place, parties: Sequence[Party], errors: list[ConfigError]) -> Terms:
    """What the blocks on one address say; what is wrong with it is appended to `errors`."""
    scheme = place.scheme
    keyrings = _keyrings(scheme, parties, errors)
    terms = Terms(keyrings[0] if keyrings else None, keyrings[1:], label=place.label)
    limit = WEB_CONNECTIONS if scheme in STREAMS else CONNECTIONS
    terms = replace(terms, max_connections=limit, max_streams=STREAMS.get(scheme, 0))
    for party in parties:
        for plugin in party.plugins:
            if isinstance(plugin, ProxyProto):
                terms = replace(terms, trust=plugin.trust)
            elif plugin.name == "timeouts":
                terms = replace(terms, **_spans(plugin))
            elif plugin.name == BOUNDS.get(scheme):
                terms = replace(terms, **_bounds(plugin))
    if scheme == "https":
        _check_streams(parties, errors)
    return terms


def _spans(plugin: Plugin) -> dict[str, Any]:  # Any: fields of Terms
    found = {f"{name}_s": plugin.settings.get(name) for name in ("read", "write", "idle")}
    most = plugin.settings.get("maxtcpqueries")
    found["max_queries"] = UNLIMITED if most == -1 else most
    return {name: value for name, value in found.items() if value is not None}


def _bounds(plugin: Plugin) -> dict[str, Any]:  # Any: as above
    settings = plugin.settings
    found = {
        name: settings.get(name) or UNLIMITED
        for name in ("max_connections", "max_streams")
        if settings.has(name)
    }
    if settings.has("worker_pool_size"):
        found["pool"] = settings.get("worker_pool_size")
    if settings.has("trust_forwarded"):
        found["forwarded"] = Nets(settings.values("trust_forwarded"))
    return found


def _check_streams(parties: Sequence[Party], errors: list[ConfigError]) -> None:
    said: dict[int, Word] = {}
    for party in parties:
        for plugin in party.plugins:
            if plugin.name == "https" and plugin.settings.has("max_streams"):
                said.setdefault(plugin.settings.get("max_streams"), plugin.settings.word)
    if len(said) > 1:
        first, second = list(said)[:2]
        errors.append(
            said[second].fail(
                f"https: max_streams {second} differs from {first} in another block on the same"
                " address",
                f"say the same as in line {said[first].line}",
            )
        )


def _keyrings(
    scheme: str, parties: Sequence[Party], errors: list[ConfigError]
) -> tuple[Keyring, ...]:
    """The certificates of the blocks of an address, which must agree."""
    if scheme == "dns":
        return ()
    found = [_tls(party) for party in parties]
    first = found[0]
    for party, other in zip(parties[1:], found[1:], strict=True):
        why = _difference(first, other)
        if why:
            errors.append(
                (other.settings.word if other else party.word).fail(
                    f"TLS differs from that of another block on the same address: {why}",
                    "blocks on one address share its certificate: say the same in all of them",
                )
            )
            return ()
    if scheme in {"quic", "https3"}:
        _check_quic(scheme, parties[0], first, errors)
    return tuple(one.keyring for one in found if one is not None)


def _tls(party: Party) -> Tls | None:
    return next((one for one in reversed(party.plugins) if isinstance(one, Tls)), None)


def _difference(one: Tls | None, other: Tls | None) -> str:
    if one is None or other is None:
        return "" if one is other else "only one of the two has `tls`"
    ours, theirs = one.keys, other.keys
    if ours.client_auth != theirs.client_auth:
        return f"client_auth {ours.client_auth} and {theirs.client_auth}"
    if bool(ours.authority) != bool(theirs.authority):
        return "only one of the two names a CA for clients"
    return ""


def _check_quic(scheme: str, party: Party, tls: Tls | None, errors: list[ConfigError]) -> None:
    if tls is None:
        errors.append(party.word.fail(f"{scheme}:// needs `tls` in its block", "tls CERT KEY"))
    elif tls.keys.asks:
        errors.append(
            tls.settings.fail(
                f"tls: client_auth {tls.keys.client_auth} is not implemented for {scheme}://",
                "serve clients with certificates over tls:// or https://",
            )
        )
    if find_spec("aioquic") is None:
        errors.append(
            party.word.fail(
                f"{scheme}:// needs the package aioquic, which is not installed",
                "pip install 'kdns[quic]'",
            )
        )
