"""dnstap: tells a reader of frame streams what was asked and what was answered, after the fact.

Two messages for each reply, one for what is dropped; what `forward` asks upstreams, too, where it
tells (`site.beside["dnstap"]`). Nothing waits for the reader: see observe.frames.
"""

import logging
import re
import socket
from collections.abc import Mapping, Sequence

import kdns
from kdns.client.overheard import Heard
from kdns.corefile.options import Settings, Shape, Syntax, integer, text
from kdns.observe.frames import Address, Door, Queue, Sink
from kdns.observe.tally import Tally
from kdns.plugins.base import Observer, Seen, Site
from kdns.wire import dnstap as tap

log = logging.getLogger("kdns.dnstap")

MOST = 10_000
"""Frames that wait for a reader; `queue` multiplies it."""
MOST_BYTES = 8 << 20
"""Octets that wait for a reader, multiplied as well, or by `writebuffer` if that is more."""
_UNKNOWN = (b"", 0)
"""The end of ours that a query left from: sockets are shared, and their number says nothing."""
_LABEL = re.compile(r"\{/([^{}\s]+)\}")


class Dnstap(Observer):
    """One directive: one reader, or one place to wait for readers."""

    name = "dnstap"
    syntax = Syntax(
        args=Shape(words=(text,), rest=text),
        options={
            "identity": Shape(words=(text,), is_loose=True),
            "version": Shape(words=(text,), is_loose=True),
            "extra": Shape(words=(text,), is_loose=True),
            "skipverify": Shape(is_loose=True),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        words = list(settings.args)
        listens = words[0] == "listen"
        if listens:
            words.pop(0)
            if not words:
                raise settings.fail("dnstap listen: expected an address to listen at")
        self.is_full = words[1:2] == ["full"]
        buffer = self._number(words[2:3], "writebuffer", 1024)
        queue = self._number(words[3:4], "queue", 4096)
        identity = settings.get("identity", socket.gethostname())
        version = settings.get("version", f"kdns-{kdns.__version__}")
        self._server = tap.server(identity.encode(), version.encode())
        self._extra: str = settings.get("extra", "")
        self._fixed: bytes = self._extra.encode()
        self._has_labels = "{/" in self._extra
        self.labels = frozenset(_LABEL.findall(self._extra))
        sent = Tally(site.counters, "kdns_dnstap_sent_bytes_total")
        dropped = Tally(site.counters, "kdns_dnstap_dropped_total")
        self._queue = (queue * MOST, max(queue * MOST_BYTES, buffer << 20))
        address = self._address(words[0], is_checked=not settings.has("skipverify"))
        self._tallies = (sent, dropped)
        key = ("dnstap", listens, address, self._queue)
        self._is_deaf = listens and not site.life.is_lead
        self.sink: Sink | Door = (
            self._sink(address, listens=listens)
            if self._is_deaf
            else site.share(key, lambda: self._sink(address, listens=listens))
        )
        site.beside.setdefault("dnstap", []).append(self.forwarded)

    async def start(self) -> None:
        """Warns of a worker that has nobody to tell."""
        if self._is_deaf:
            log.warning("one worker alone listens for readers of dnstap: have it call them instead")

    def _number(self, words: Sequence[str], what: str, most: int) -> int:
        if not words:
            return 1
        try:
            return integer(1, most)(words[0])
        except ValueError as error:
            raise self.settings.fail(f"dnstap {what}: expected {error}") from error

    def _address(self, word: str, *, is_checked: bool) -> Address:
        scheme, mark, rest = word.partition("://")
        if not mark or scheme not in ("tcp", "tls"):
            return Address(word, path=rest if mark and scheme == "unix" else word)
        host, mark, port = rest.rpartition(":")
        if not (mark and port.isdigit() and int(port) < 65536):
            raise self.settings.fail(
                f"dnstap: expected a host and a port, found {word!r}", f"{scheme}://HOST:PORT"
            )
        return Address(word, "", host.strip("[]"), int(port), scheme == "tls", is_checked)

    def _sink(self, address: Address, *, listens: bool) -> Sink | Door:
        sent, dropped = self._tallies

        def count_sent(octets: int) -> None:
            sent.hits += octets

        def count_dropped(frames: int) -> None:
            dropped.hits += frames

        def queue() -> Queue:
            return Queue(*self._queue, count_dropped)

        if listens:
            if address.is_secure:
                raise self.settings.fail("dnstap listen: a reader calls over tcp or unix, not tls")
            return Door(address, tap.CONTENT_TYPE, queue, count_sent)
        return Sink(address, tap.CONTENT_TYPE, queue(), count_sent)

    def observe(self, batch: Sequence[Seen]) -> None:
        """Puts the frames of a batch into the queue."""
        # What is seen has times of the monotonic clock.
        then = self.site.wall() - self.site.clock()
        frames = []
        server, is_full = self._server, self.is_full
        for seen in batch:
            who, extra = seen.client, self._more(seen.metadata)
            ends = tap.ends(who.transport, (who.address, who.port), (_local(seen), who.local_port))
            asked = tap.asked(seen.started + then)
            packet = seen.packet if is_full else b""
            query = tap.message(tap.CLIENT_QUERY, ends, asked, None, packet)
            frames.append(tap.frame(server, query, extra))
            if seen.reply is not None:
                packet = seen.reply if is_full else b""
                reply = tap.message(tap.CLIENT_RESPONSE, ends, asked, seen.ended + then, packet)
                frames.append(tap.frame(server, reply, extra))
        self.sink.put(frames)

    def forwarded(self, one: Heard) -> None:
        """Puts what `forward` did into the queue."""
        then = self.site.wall() - self.site.clock()
        ends = tap.ends(one.transport, _UNKNOWN, one.upstream)
        asked, packet = tap.asked(one.started + then), one.asked if self.is_full else b""
        messages = [tap.message(tap.FORWARDER_QUERY, ends, asked, None, packet)]
        if one.reply is not None:
            packet, ended = one.reply if self.is_full else b"", one.ended + then
            messages.append(tap.message(tap.FORWARDER_RESPONSE, ends, asked, ended, packet))
        self.sink.put([tap.frame(self._server, message) for message in messages])

    def _more(self, metadata: Mapping[str, str] | None) -> bytes:
        """`extra`, with the metadata that it names."""
        if not self._has_labels:
            return self._fixed
        there = metadata or {}
        filled: str = _LABEL.sub(lambda match: there.get(match[1], "-"), self._extra)
        return filled.encode()


def _local(seen: Seen) -> bytes:
    """The address of ours that was asked; zeros where the transport does not know it."""
    return seen.client.local or bytes(len(seen.client.address))
