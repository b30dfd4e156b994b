"""cookies: DNS cookies, by which server and client know each other's address to be no forged one.

A packet with a cookie gets one with its reply; the answer itself comes from the table like any
other's. `require` has who sends a cookie, but none of ours, come again with the one he is given.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from kdns.corefile.options import Line, Settings, Shape, Syntax, network, text
from kdns.plugins.base import Client, Gate, Seal, Site
from kdns.wire import cookies, types
from kdns.wire.cookies import Secrets
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Question, WireError
from kdns.wire.scan import scan

log = logging.getLogger("kdns.cookies")

CODE: Final = b"\0\x0a"
LOOK_S: Final = 5.0
"""How often it is looked whether the file of secrets has changed."""
KEPT: Final = 16_384
"""Cookies that are known to be right, so that their hashes need not be made again."""
BADCOOKIE, MALFORMED = Answer(types.BADCOOKIE), Answer(types.FORMERR)
_MARK = types.QR | types.RD | types.CD | 0x7800


class Cookies(Gate):
    """`cookies { require [NETWORK…], secret FILE }`."""

    name = "cookies"
    room = cookies.ROOM
    syntax = Syntax(
        options={"require": Shape(rest=network, repeats=True), "secret": Shape((text,))}
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._required: tuple[IPv4Network | IPv6Network, ...] | None = None
        if settings.has("require"):
            self._required = settings.values("require")
        given = settings.all("secret")
        self._line: Line | None = given[-1] if given else None
        self._path = os.path.join(site.root, given[-1].values[0]) if given else ""
        self._secrets = Secrets(own=site.life.secret.encode())
        self._stamp: tuple[float, int] | None = None
        self._said = ""
        """What was last found wrong with the file."""
        self._known: dict[bytes, int] = {}
        """Right cookies behind the addresses they came from, and when they were made."""
        site.beside["cookies"] = self

    def look(self) -> None:
        """Reads the secrets; raises ConfigError."""
        if self._line is not None:
            try:
                self._read()
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                raise self._line.fail(f"cookies: {self._path}: {why}") from error

    async def start(self) -> None:
        """Reads the secrets."""
        self.look()

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Reads the secrets again when they change."""
        return (self._follow(),) if self._path else ()

    def admit(self, packet: bytes, client: Client, now: float) -> bytes | Seal | None:
        """Nothing for a packet without a cookie; else its reply is to have one."""
        if CODE not in packet[12:]:
            return None
        alone = cookies.block_alone(packet)
        question = None
        if alone is None:
            try:
                question = scan(packet)
            except WireError:
                return None  # the pipeline says what is wrong with it
        cookie = cookies.cookie_of(question.options if question is not None else alone or b"")
        if cookie is None:
            return None
        if not cookies.is_formed(cookie):
            self._count("malformed")
            return _said(packet, question, MALFORMED, now)
        fresh, is_right = self._judged(cookie, client.address)
        if question is None:
            return cookies.put(_bare(packet), fresh)
        if not is_right and client.transport == "udp" and self._requires(client.address):
            self._count("refused")
            return cookies.put(_said(packet, question, BADCOOKIE, now), fresh)
        return partial(cookies.put, cookie=fresh)

    def knows(self, packet: bytes, client: Client) -> bool:
        """True for a packet with a right cookie: its sender's address is not forged."""
        if CODE not in packet[12:]:
            return False
        try:
            cookie = cookies.cookie_of(scan(packet).options)
        except WireError:
            return False
        return cookie is not None and self._age(cookie, client.address) is not None

    def _judged(self, cookie: bytes, address: bytes) -> tuple[bytes, bool]:
        """The cookie for the reply, and whether theirs was right."""
        age = self._age(cookie, address)
        if age is not None and age < cookies.RENEWED_S:
            self._count("right")
            return cookie, True
        if age is not None:
            self._count("right")
        else:
            self._count("wrong" if len(cookie) > cookies.CLIENT else "new")
        client = cookie[: cookies.CLIENT]
        return self._secrets.make(client, address, int(self.site.wall())), age is not None

    def _age(self, cookie: bytes, address: bytes) -> int | None:
        """How many seconds ago we made a cookie; None where we did not, or too long ago."""
        if len(cookie) == cookies.CLIENT:
            return None
        now, key = int(self.site.wall()), address + cookie
        made = self._known.get(key)
        if made is not None and now - made <= cookies.PAST_S:
            return now - made
        age = self._secrets.age(cookie, address, now)
        if age is not None:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[key] = now - age
        return age

    def _requires(self, address: bytes) -> bool:
        if not self._required:
            return self._required is not None
        return any(ip_address(address) in net for net in self._required)

    def _count(self, cookie: str) -> None:
        self.site.counters.add("kdns_cookies_total", self.site.label, cookie)

    # Secrets of a file

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.refresh()

    def refresh(self) -> None:
        """Reads the file if it has changed; the last good secrets stay if it is not right."""
        try:
            found = os.stat(self._path)
            if (found.st_mtime, found.st_ino) != self._stamp:
                self._read()
                log.info("took new secrets from %s", self._path)
            self._said = ""
        except (OSError, ValueError) as error:
            why = str(error.strerror if isinstance(error, OSError) else error)
            if why != self._said:
                log.warning("%s: %s; the secrets known so far stay", self._path, why)
            self._said = why

    def _read(self) -> None:
        with open(self._path, encoding="ascii") as file:
            found = os.fstat(file.fileno())
            self._stamp = (found.st_mtime, found.st_ino)
            lines = [line.split("#")[0].strip() for line in file]
        shared = [_secret(line) for line in lines if line]
        if not shared:
            raise ValueError("there is no secret in it: 32 hex digits")
        self._secrets = Secrets(shared=shared)
        self._known.clear()


def _secret(line: str) -> bytes:
    try:
        found = bytes.fromhex(line)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise ValueError("a line is not one secret of 32 hex digits")
    return found


def _said(packet: bytes, question: Question | None, answer: Answer, now: float) -> bytes:
    """A reply of our own."""
    if question is None:
        return _bare(packet, answer.rcode)
    flags = types.QR | question.flags & _MARK
    return encode(question, answer, flags, now=now, turn=0.0).wire


def _bare(packet: bytes, rcode: int = 0) -> bytes:
    """The reply to a packet without a question: its header and an empty OPT."""
    flags = types.QR | int.from_bytes(packet[2:4], "big") & (types.RD | types.CD) | rcode
    return packet[:2] + flags.to_bytes(2, "big") + packet[4:12] + packet[12:17] + bytes(6)
