"""Who may read an HTTP address that is not for everybody: a request, to a refusal or none.

A page of another site can have a browser ask for anything; it shows in what the browser says of the
request (Fetch Metadata, `Origin`), or, where a name of that site was made to lead here, in `Host`.
Browsers that say nothing of the kind must show MARK, which pages of other sites cannot send.
"""

import asyncio
import hmac
import os
import stat
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from kdns.plugins.base import Guard

MARK = "x-kdns"
"""A header, whatever is in it: for more than the plainest requests to elsewhere a browser asks
first (CORS), and is refused."""

LONGEST = 4096
"""Octets of a file with a token."""

_OWN_SITES = frozenset(("same-origin", "none"))


def headers(guard: Guard | None) -> str:
    """What replies from a guarded address tell the browser."""
    if guard is None:
        return ""
    return (
        f"Content-Security-Policy: {guard.policy}\r\n"
        "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
        "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
        "Cross-Origin-Opener-Policy: same-origin\r\nCache-Control: no-store\r\n"
    )


async def refusal(guard: Guard, path: str, fields: Mapping[str, str]) -> int | None:
    """The status that refuses a request, given its headers by lower-case name."""
    if not _is_ours(guard, path, fields):
        return HTTPStatus.FORBIDDEN
    if not guard.token or path in guard.open:
        return None
    try:
        token = await asyncio.to_thread(_token, guard.token)
    except OSError:
        token = b""
    if len(token) < guard.SHORTEST:  # it may just be being written
        return HTTPStatus.SERVICE_UNAVAILABLE
    scheme, _, given = fields.get("authorization", "").partition(" ")
    is_right = hmac.compare_digest(given.strip().encode("latin-1"), token)
    return None if scheme.lower() == "bearer" and is_right else HTTPStatus.UNAUTHORIZED


def _token(path: str) -> bytes:
    """What a file holds; nothing of one that is no token's, such as a pipe that nobody writes."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        is_one = stat.S_ISREG(found.st_mode) and found.st_size <= LONGEST
        return file.read(LONGEST).strip() if is_one else b""


def _is_ours(guard: Guard, path: str, fields: Mapping[str, str]) -> bool:
    """True unless a page of another site has it asked."""
    host = fields.get("host", "")
    if not guard.token and not _is_address(host):
        return False
    origin = fields.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        return False
    site = fields.get("sec-fetch-site")
    if site is None:
        is_browser = fields.get("user-agent", "").startswith("Mozilla/")
        return not is_browser or path in guard.open or MARK in fields
    # A link may lead to the page itself.
    is_link = fields.get("sec-fetch-mode") == "navigate" and path in guard.open
    return site in _OWN_SITES or is_link


def _is_address(host: str) -> bool:
    """True for `Host: 127.0.0.1:9154`, `[::1]`, `localhost`: what no other site's name can be.

    Not for 0.0.0.0, which leads here as well, but whom browsers tell no Fetch Metadata.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return "@" not in host and (name == "localhost" or ip_address(name).is_loopback)
    except ValueError:
        return False
