"""TLS towards upstreams: who we trust and who we are, and one connection's octets in and out.

A session is resumed where the upstream gave us a ticket. Nothing here touches a socket.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from kdns.client.line import UpstreamError

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Credentials:
    """`tls [CERT KEY] [CA]` and `tls_servername`: the paths of PEM files, empty for none."""

    cert: str = ""
    key: str = ""
    ca: str = ""
    """Whom to trust instead of those the system trusts."""
    server_name: str = ""
    """What the upstream's certificate must be for; its address without it."""

    @classmethod
    def of(cls, words: tuple[str, ...], root: str, server_name: str) -> "Credentials":
        """From the words of the option: none, a CA, a pair, or a pair and a CA."""
        paths = [str(Path(root, word)) for word in words]
        pair = paths[:2] if len(paths) > 1 else ["", ""]
        ca = paths[-1] if len(paths) in (1, 3) else ""
        return cls(pair[0], pair[1], ca, server_name)

    def context(self, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Reads the files; raises OSError, which ssl.SSLError is too."""
        context = ssl.create_default_context(cafile=self.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


class Secure:
    """One TLS connection without its socket."""

    def __init__(
        self, context: ssl.SSLContext, server_name: str, session: ssl.SSLSession | None
    ) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._object = context.wrap_bio(
                self._in, self._out, server_hostname=server_name, session=session
            )
        except (ssl.SSLError, ValueError) as error:
            raise UpstreamError(f"tls: {error}") from error
        self.is_ready = False
        """True once the handshake is done."""
        self.is_over = False
        """True once the other side said goodbye."""

    def begin(self) -> None:
        """Makes the first octets of the handshake."""
        self._shake()

    def receive(self, octets: bytes) -> bytes:
        """What the octets from the socket say; raises UpstreamError."""
        self._in.write(octets)
        plain = bytearray()
        try:
            if not self.is_ready:
                self._shake()
            while self.is_ready and (chunk := self._object.read(_CHUNK)):
                plain += chunk
        except ssl.SSLWantReadError:
            return bytes(plain)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.is_over = True
            return bytes(plain)
        except ssl.SSLError as error:
            raise UpstreamError(f"tls: {_why(error)}") from error
        self.is_over = self.is_ready
        return bytes(plain)

    def send(self, plain: bytes) -> None:
        """Encrypts what is to be sent."""
        left = memoryview(plain)
        try:
            while left:
                left = left[self._object.write(left) :]
        except ssl.SSLError as error:
            raise UpstreamError(f"tls: {_why(error)}") from error

    def out(self) -> bytes:
        """What is to be written to the socket now."""
        return self._out.read()

    @property
    def protocol(self) -> str:
        """What was agreed on by ALPN, empty for nothing."""
        return self._object.selected_alpn_protocol() or ""

    @property
    def session(self) -> ssl.SSLSession | None:
        """What the next connection may resume; of TLS 1.3 it comes after the handshake."""
        session = self._object.session
        return session if session is not None and session.has_ticket else None

    def _shake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_ready = True


def _why(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"failed to verify certificate: {error.verify_message}"
    return (error.reason or str(error)).lower().replace("_", " ")
