"""Asks a status port for what it serves; what goes wrong is said in one sentence."""

import http.client
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from kdns.status.shapes import Status
from kdns.wire.shown import plain

PORT: Final = 9154
PATIENCE_S: Final = 3.0
MOST: Final = 16 << 20
"""Octets of a reply."""

_REFUSALS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "it does not take this token, or wants one: --token-file FILE",
    HTTPStatus.FORBIDDEN: "it wants to be asked by its address, or as localhost",
    HTTPStatus.NOT_FOUND: "nothing of the kind is served there: is it the port of `status`?",
    HTTPStatus.SERVICE_UNAVAILABLE: "it is starting, or cannot read its own token",
}
_SAYING: Final = frozenset((HTTPStatus.BAD_REQUEST, HTTPStatus.GATEWAY_TIMEOUT))
"""With these comes a sentence on what was asked,"""
LONGEST: Final = 2000
"""of which no more than so many octets are shown."""


class ReadError(Exception):
    """There is no status, and why."""


@dataclass(frozen=True, slots=True)
class Where:
    """A status port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Where":
        """From `HOST`, `HOST:PORT`, `[ADDRESS]:PORT` or a URL; raises ValueError."""
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            port = parts.port
        except ValueError:
            port, parts = None, urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected HOST:PORT or https://HOST:PORT, found {text!r}")
        return cls(parts.scheme, parts.hostname, PORT if port is None else port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Reader:
    """Asks one server, on a new connection each time."""

    def __init__(self, where: Where, token: str = "", ca: str = "") -> None:
        self.where = where
        self._fields = {"Authorization": f"Bearer {token}"} if token else {}
        self._context: ssl.SSLContext | None = None
        if where.scheme == "https":
            self._context = ssl.create_default_context(cafile=ca or None)

    @classmethod
    def of(cls, address: str, token_file: str, ca: str) -> "Reader":
        """For what a command line says; raises ValueError, or OSError for a file."""
        token = ""
        if token_file:
            token = Path(token_file).read_text(encoding="ascii").strip()
            if not token:
                raise ValueError(f"{token_file}: there is no token in it")
        try:
            return cls(Where.parse(address), token, ca)
        except ssl.SSLError as error:
            raise ValueError(f"{ca}: it holds no certificate of an authority") from error

    def octets(self, target: str = "/status", patience_s: float = PATIENCE_S) -> bytes:
        """What is served there, as it is sent; raises ReadError."""
        connection = self._connection(patience_s)
        try:
            connection.request("GET", target, headers=self._fields)
            reply = connection.getresponse()
            body = reply.read(MOST)
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted ({error.verify_message}): --ca FILE"
            raise self._error(why) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._error(self._why(error, patience_s)) from error
        finally:
            connection.close()
        if reply.status in _SAYING:
            raise ReadError(plain(body[:LONGEST].decode("utf-8", "replace").strip()))
        if reply.status != HTTPStatus.OK:
            raise self._error(_REFUSALS.get(reply.status, f"HTTP {reply.status}"))
        return body

    def status(self) -> Status:
        """`/status`, read; raises ReadError."""
        body = self.octets()
        try:
            return msgspec.json.decode(body, type=Status)
        except msgspec.MsgspecError as error:
            raise self._error("what it says is no status of a kdns") from error

    def _connection(self, patience_s: float) -> http.client.HTTPConnection:
        where = self.where
        if self._context is None:
            return http.client.HTTPConnection(where.host, where.port, timeout=patience_s)
        return http.client.HTTPSConnection(
            where.host, where.port, timeout=patience_s, context=self._context
        )

    def _why(self, error: Exception, patience_s: float) -> str:
        if isinstance(error, ConnectionRefusedError):
            return "nobody listens there: does kdns run, with `status` in its Corefile?"
        if isinstance(error, TimeoutError):
            hint = "" if self._context is None else ": does it speak TLS there?"
            return f"no answer within {patience_s:g} s{hint}"
        if isinstance(error, http.client.HTTPException | ConnectionResetError):
            is_plain = self._context is None
            return f"it does not speak {'plain HTTP: try https://' if is_plain else 'HTTP'}"
        if isinstance(error, ssl.SSLError):
            return "it does not speak TLS: try http://"
        return getattr(error, "strerror", None) or str(error)

    def _error(self, why: str) -> ReadError:
        return ReadError(f"{self.where}: {why}")
