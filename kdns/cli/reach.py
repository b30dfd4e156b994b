"""Reads the status port of a running kdns: an address, a path, a token where one is asked for."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

DEFAULT: Final = "127.0.0.1:9154"
LIMIT_S: Final = 30.0


class ReachError(Exception):
    """The status port could not be read; the text is one line for people."""


def is_there(address: str) -> bool:
    """True when somebody listens there."""
    host, port = _split(address)
    try:
        socket.create_connection((host, port), timeout=0.5).close()
    except OSError:
        return False
    return True


class Door:
    """A status port."""

    def __init__(self, address: str, token_file: str | None = None, ca: str | None = None) -> None:
        self.address = address
        self._host, self._port = _split(address)
        self._is_secure = address.startswith("https://")
        self._token_file = token_file
        self._ca = ca

    def read(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """What it answers; raises ReachError."""
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            connection = self._connection()
            try:
                connection.request("GET", target, headers=self._headers())
                reply = connection.getresponse()
                body = reply.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise ReachError(f"{self.address}: {_why(error)}") from error
        if reply.status == 401:
            raise ReachError(f"{self.address}: it wants a token: give --token-file FILE")
        if reply.status == 404:
            raise ReachError(f"{self.address}: no status port of a kdns: no {path} here")
        if reply.status != 200:
            raise ReachError(body.decode("utf-8", "replace").strip() or str(reply.status))
        return body

    def json(self, path: str, query: Mapping[str, str] | None = None) -> object:
        """The same, read as JSON."""
        try:
            return json.loads(self.read(path, query))
        except ValueError as error:
            raise ReachError(f"{self.address}: no JSON came: is it a kdns?") from error

    def _connection(self) -> http.client.HTTPConnection:
        if not self._is_secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=LIMIT_S)
        context = ssl.create_default_context(cafile=self._ca)
        return http.client.HTTPSConnection(self._host, self._port, timeout=LIMIT_S, context=context)

    def _headers(self) -> dict[str, str]:
        if not self._token_file:
            return {}
        token = Path(self._token_file).read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}


def _split(address: str) -> tuple[str, int]:
    """Host and port of `HOST`, `HOST:PORT` or a URL; raises ReachError."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or 9154
    except ValueError as error:
        raise ReachError(f"{address}: expected HOST:PORT or a URL") from error
    return parts.hostname or "127.0.0.1", port


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there (a kdns with `status` in its Corefile would)"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
