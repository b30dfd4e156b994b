"""How connections to an upstream are opened, by the scheme of its target: TLS, HTTPS, gRPC, QUIC.

A dialer is made for one upstream and keeps what its next connection may resume.
"""

import ssl
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from kdns.client.line import Lent, Line, UpstreamError, address_text
from kdns.client.secured import Dialer
from kdns.client.security import Credentials, Secure
from kdns.client.stream import Stream
from kdns.client.targets import PORTS, Target
from kdns.client.web.doh import Doh
from kdns.client.web.grpc import Grpc
from kdns.client.web.web import Dialect, Web
from kdns.wire import types

if TYPE_CHECKING:
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.tls import SessionTicket

TRANSFERS = frozenset(type_.to_bytes(2, "big") for type_ in (types.AXFR, types.IXFR))
_LEAST_IDLE_S = 30.0


class Tls(Stream):
    """A TCP connection with TLS on it (RFC 7858)."""

    transport = "tcp-tls"


@dataclass(slots=True)
class Resumed:
    """Makes the TLS part of connections, each from what the one before was given."""

    context: ssl.SSLContext
    server_name: str
    last: Secure | None = None

    def next(self) -> Secure:
        """For another connection."""
        self.last = Secure(self.context, self.server_name, self.last.session if self.last else None)
        return self.last


@dataclass(slots=True)
class TlsDialer:
    """`tls://`."""

    security: Resumed
    transport: str = Tls.transport
    declined: frozenset[bytes] = frozenset()

    def dial(self, host: str, port: int, source: str, lent: Lent) -> Line:
        """A connection that is being established."""
        return Tls(host, port, source, lent, self.security.next())


@dataclass(slots=True)
class WebDialer:
    """`https://`, and gRPC with TLS or without."""

    dialect: Dialect
    security: Resumed | None
    transport: str = ""
    declined: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        self.transport = self.dialect.transport

    def dial(self, host: str, port: int, source: str, lent: Lent) -> Line:
        """A connection that is being established."""
        secure = self.security.next() if self.security else None
        return Web((host, port), source, lent, self.dialect, secure)


@dataclass(slots=True)
class QuicDialer:
    """`quic://`."""

    credentials: Credentials
    server_name: str
    idle_s: float
    transport: str = "quic"
    declined: frozenset[bytes] = TRANSFERS
    ticket: "SessionTicket | None" = None
    plain: "QuicConfiguration | None" = None

    def dial(self, host: str, port: int, source: str, lent: Lent) -> Line:
        """A connection that is being established."""
        from kdns.client.web.quic import Quic  # noqa: PLC0415  # an extra that is seldom there

        return Quic((host, port), source, lent, self._configuration(), self._keep)

    def load(self) -> None:
        """Reads the files of the credentials; raises OSError."""
        from aioquic.quic.configuration import QuicConfiguration  # noqa: PLC0415  # as above

        mine, system = self.credentials, ssl.get_default_verify_paths()
        plain = QuicConfiguration(
            alpn_protocols=["doq"],
            server_name=self.server_name,
            idle_timeout=self.idle_s,
            cafile=mine.ca or system.cafile,
            capath=None if mine.ca else system.capath,
        )
        if mine.cert:
            plain.load_cert_chain(mine.cert, mine.key)
        self.plain = plain

    def _configuration(self) -> "QuicConfiguration":
        if self.plain is None:
            raise UpstreamError("quic: no credentials yet")
        return replace(self.plain, session_ticket=self.ticket)

    def _keep(self, ticket: "SessionTicket") -> None:
        self.ticket = ticket


def has_quic() -> bool:
    """True where the extra `kdns[quic]` is installed."""
    return find_spec("aioquic") is not None


def dialer(
    target: Target, credentials: Credentials, *, doh_method: str = "POST", idle_s: float = 0.0
) -> Dialer:
    """The dialer of a target that is not plain DNS. Reads files: raises OSError."""
    name = target.server_name or credentials.server_name or target.named or target.host
    if target.scheme == "quic":
        quic = QuicDialer(credentials, name, max(idle_s, _LEAST_IDLE_S))
        quic.load()
        return quic
    if target.scheme == "tls":
        return TlsDialer(Resumed(credentials.context(), name))
    alpn = ("h2", "http/1.1")
    authority = credentials.server_name or _authority(target)
    return WebDialer(Doh(authority, doh_method), Resumed(credentials.context(alpn), name))


def grpc_dialer(target: Target, credentials: Credentials | None) -> Dialer:
    """The dialer of a gRPC server, without TLS where there are no credentials."""
    authority = address_text((target.host, target.port))
    if credentials is None:
        return WebDialer(Grpc(authority, is_secure=False), None)
    name = credentials.server_name or target.named or target.host
    security = Resumed(credentials.context(("h2",)), name)
    return WebDialer(Grpc(credentials.server_name or authority, is_secure=True), security)


def _authority(target: Target) -> str:
    text = address_text((target.host, target.port))
    return text if target.port != PORTS["https"] else text.rpartition(":")[0]
