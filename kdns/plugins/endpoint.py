"""What plugins serve over HTTP: an Endpoint per path, a HttpReply per request.

The server opens the sockets. Where several workers serve, the supervisor does, and asks them: all
of them, or the lead alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What an HTTP endpoint answers."""

    status: int = 200
    body: bytes = b"OK"
    type: str = "text/plain; charset=utf-8"
    mark: str = ""
    """On a followed endpoint: what the next call is given as `after`. Without news (the same mark
    as `after`) nothing is sent."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may read an address that is not for everybody.

    Requests that another site's page may have made are refused (`Host`, `Origin`,
    `Sec-Fetch-Site`), so that reading is left to who is there on purpose; replies are sent with
    `Content-Security-Policy: POLICY`, `nosniff`, no referrer, and may not be framed or kept.
    """

    SHORTEST: ClassVar[int] = 16
    """Characters of a token."""
    policy: str = "default-src 'none'"
    token: str = ""
    """File with the token that requests must bring (`Authorization: Bearer …`); empty for none."""
    open: tuple[str, ...] = ()
    """Paths served without the token: a page that asks for it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something a plugin serves over HTTP; the server opens the socket, one for each address.

    Blocks may name the same address and path: the first one answers, or one address of several
    paths is shared. `serve` gets the query parameters.
    """

    host: str
    """Empty for every address."""
    port: int
    path: str
    serve: Callable[[Mapping[str, str]], Awaitable[HttpReply]]
    web: str = ""
    """Path of the web configuration file that says how TLS is spoken there; empty for none."""
    guard: Guard | None = None
    """Of an address: all its endpoints have the same."""
    is_lead: bool = False
    """Where several workers serve, the lead's answer is the answer; else all are asked."""
    adds: bool = False
    """Where several workers serve, their JSON objects are added up: numbers under `totals`, and
    rows of lists there by their first member; the rest is the lead's."""
    follows_s: float = 0.0
    """Served as server-sent events: asked again so often, its body is one event's data (one line),
    its `mark` the next call's `after`."""
