"""What can go wrong with an API server, each in one line for the operator: what, and the remedy.

All of it is a SourceError: retried by the watcher, never seen by a query.
"""

import os
import socket
import ssl
from typing import Final

import msgspec

MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for text of any kind; not all of it is msgspec's own."""


class SourceError(Exception):
    """The API cannot be followed for now; its text is the line to log."""


class Unreachable(SourceError):
    """No connection could be made."""


class Broken(SourceError):
    """The connection broke, or what came over it is no Kubernetes."""


class Stale(SourceError):
    """What we know cannot be continued from: list again. `reason` is the metric's label."""

    def __init__(self, reason: str, line: str) -> None:
        super().__init__(line)
        self.reason = reason


class Refused(SourceError):
    """The server answered, but not with what was asked for."""

    def __init__(self, status: int, line: str, retry_after: float = 0) -> None:
        super().__init__(line)
        self.status = status
        self.retry_after = retry_after


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: float | None = None


class Status(msgspec.Struct, rename="camel"):
    """metav1.Status, as far as it is read."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


_STATUS = msgspec.json.Decoder(Status)


def status_of(body: bytes) -> Status:
    """The Status in a body, an empty one where there is none."""
    try:
        return _STATUS.decode(body)
    except MALFORMED:
        return Status()


def refusal(
    code: int, body: bytes, retry_after: str, *, what: str, where: str, who: str
) -> Refused:
    """The line for an HTTP error; `what` is "list services", `who` says what we log in with."""
    status = status_of(body)
    said = _short(status.message or body.decode("utf-8", "replace"))
    details = status.details or _Details()
    wait = float(retry_after) if retry_after.isdecimal() else details.retry_after_seconds or 0.0
    match code:
        case 401:
            line = f"{where} does not accept our credentials (401): renew {who}"
        case 403:
            line = (
                f"may not {what}: give the ServiceAccount the verbs list and watch on "
                f"{what.rsplit(maxsplit=1)[-1]} in a ClusterRole ({where} said 403: {said})"
            )
        case 404:
            line = f"cannot {what}: {where} does not serve them (404)"
        case 429:
            line = f"cannot {what}: {where} is overloaded (429), asking again in {wait:g} s"
        case _:
            line = f"cannot {what}: {where} answered {code}: {said or 'nothing'}"
    return Refused(code, line, wait)


def unreachable(error: BaseException, *, where: str, ca: str) -> Unreachable:
    """The line for a connection that was not made or broke."""
    cause = _certificate(error)
    if cause is not None:
        return Unreachable(_distrust(cause, where, ca))
    return Unreachable(f"cannot reach {where}: {_short(_system(error))}")


def _system(error: BaseException) -> str:
    """What the system said; asyncio puts its own words in the place of an error's text."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno)
    return getattr(error, "strerror", "") or str(error).strip() or type(error).__name__


def _certificate(error: BaseException) -> ssl.SSLError | None:
    """The TLS error that an error is, or comes of."""
    if isinstance(error, ssl.SSLError):
        return error
    cause = error.__cause__
    return _certificate(cause) if cause is not None else None


def _distrust(error: ssl.SSLError, where: str, ca: str) -> str:
    said = getattr(error, "verify_message", "") or error.reason or str(error)
    code = getattr(error, "verify_code", 0)
    if code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return f"{where}: its certificate has expired: renew it, or set this machine's clock"
    if code in {62, 64}:  # host name or IP address mismatch
        return f"{where}: its certificate is for another name or address ({_short(said)})"
    if code:
        return f"{where}: its certificate is not signed by the CA in {ca} ({_short(said)})"
    return f"{where}: TLS failed ({_short(said)}): is it https, and are the certificates right?"


def _short(text: str) -> str:
    """The first 200 characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
