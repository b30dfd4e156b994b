"""Answers A, AAAA and PTR from lines of a hosts file and of the Corefile.

Text becomes a Table of names and addresses; a query looks in the file's Table and in the inline
one. The file is polled: what cannot be read keeps the last good state. All answers of an instance
touch one key, bumped when the content of the file is another.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from os.path import join
from pathlib import Path
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, duration, integer, text, zones
from kdns.corefile.tree import nearest
from kdns.plugins.base import SKIP, Backend, Query, Result, Site, fallthrough, own_zones, zone_of
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key

log = logging.getLogger("kdns.hosts")

DEFAULT_FILE = "/etc/hosts"
LONGEST_FIELD = 1024
"""Octets of a name or address; a longer one is dropped with an error (CoreDNS)."""


def _address(word: str) -> bytes | None:
    try:
        address = ip_address(word)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.packed
    return address.packed


@dataclass(slots=True)
class Table:
    """What some hosts lines say: sets that keep the order of the lines (dicts to None)."""

    v4: dict[Key, dict[bytes, None]] = field(default_factory=dict)
    v6: dict[Key, dict[bytes, None]] = field(default_factory=dict)
    names: dict[bytes, dict[Key, None]] = field(default_factory=dict)
    """By address; wildcards have no reverse."""
    complaints: list[str] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    """Lines with something that is no address or no name."""

    @property
    def entries(self) -> int:
        """The number of entries, as the metric counts them."""
        tables: tuple[dict[Any, Any], ...] = (self.v4, self.v6, self.names)  # Any: a count
        return sum(len(rows) for table in tables for rows in table.values())

    def find(self, key: Key, wildcard: Key) -> tuple[dict[bytes, None], dict[bytes, None]]:
        """Both families of a name, or those of its wildcard when the name has no line."""
        if key in self.v4 or key in self.v6:
            return self.v4.get(key, {}), self.v6.get(key, {})
        return self.v4.get(wildcard, {}), self.v6.get(wildcard, {})

    def add(self, address: bytes, key: Key) -> None:
        """Notes one name of an address."""
        (self.v4 if len(address) == 4 else self.v6).setdefault(key, {})[address] = None
        if not key.startswith(b"\x01*"):
            self.names.setdefault(address, {})[key] = None


def parse(lines: Iterable[Sequence[str]], served: Sequence[Key]) -> Table:
    """Reads lines, already split into fields; names outside `served` are left out."""
    table = Table()
    for number, fields in enumerate(lines, 1):
        if not fields:
            continue
        if len(fields[0]) > LONGEST_FIELD:
            table.complaints.append(
                f"line {number}: address longer than 1024 bytes, dropping the line"
            )
            continue
        address = _address(fields[0])
        if address is None:
            table.skipped.append(number)
            continue
        for name in fields[1:]:
            _parse_name(table, number, address, name, served)
    return table


def _parse_name(
    table: Table, number: int, address: bytes, name: str, served: Sequence[Key]
) -> None:
    if len(name) > LONGEST_FIELD:
        table.complaints.append(f"line {number}: name longer than 1024 bytes, dropping the name")
        return
    try:
        key = names.parse_key(name)
    except ValueError:
        table.skipped.append(number)
        return
    if zone_of(key, served) is not None:
        table.add(address, key)


def split(content: str) -> list[list[str]]:
    """The fields of each line of a hosts file, comments left out."""
    return [line.partition("#")[0].split() for line in content.split("\n")]


def _first(word: str) -> str:
    if len(word) <= LONGEST_FIELD and _address(word) is None:
        hint = nearest(word, Hosts.syntax.options)
        raise ValueError("an IP address or an option of hosts" + (f" ({hint})" if hint else ""))
    return word


def _host(word: str) -> str:
    if not word:
        raise ValueError("a host name")
    return word


_ABSENT = Answer(types.SERVFAIL, ede=((types.EDE_OTHER, "no such host"),), plugin="hosts")


class Hosts(Backend):
    """The `hosts` directive."""

    name = "hosts"
    syntax = Syntax(
        args=Shape(maybe=(text,), rest=zones),
        options={
            "ttl": Shape(words=(integer(1, 65535),), is_loose=True),
            "no_reverse": Shape(is_loose=True),
            "reload": Shape(words=(duration(0),)),
            "fallthrough": Shape(rest=zones),
            "fallthrough_unsupported": Shape(),
        },
        other=Shape(words=(_first, _host), rest=text, is_skippable=True),
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        file, *given = settings.args or (DEFAULT_FILE,)
        self.file = join(site.root, file)
        self.zones = own_zones(settings, site, given)
        self.falls = fallthrough(settings)
        if settings.has("fallthrough_unsupported") and not self.falls:
            raise settings.fail("hosts: fallthrough_unsupported needs fallthrough beside it")
        self.ttl: int = settings.get("ttl", 3600)
        self.interval: float = settings.get("reload", 5.0)
        self.fact = ("hosts", self.file)
        self.inline = self._inline(settings)
        self.of_file = Table()
        self._seen: tuple[int, ...] = ()
        self._trouble = ""

    def _inline(self, settings: Settings) -> Table:
        return parse([line.values for line in settings.lines if not line.name], self.zones)

    async def start(self) -> None:
        """Reads the file, and says what is wrong with it or with the inline lines."""
        for complaint in self.inline.complaints:
            log.error("Inline hosts entries, %s", complaint)
        await self.refresh()

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Polls the file."""
        return (self._poll(),) if self.interval else ()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            await self.refresh()

    async def refresh(self) -> None:
        """Reads the file again if it is not the one read last; keeps the last state on errors."""
        try:
            # A thread: a large file takes longer than the loop may be held.
            table, seen = await asyncio.to_thread(self._read, self._seen)
        except OSError as error:
            self._report(error)
            return
        self._trouble = ""
        if table is None:
            return
        self._seen = seen
        for complaint in table.complaints:
            log.error('Hosts file "%s", %s', self.file, complaint)
        if table.skipped:
            log.warning(
                'Hosts file "%s", line %d: no address or no name, skipped (%d such places)',
                self.file, table.skipped[0], len(table.skipped),
            )  # fmt: skip
        if table != self.of_file:
            self.of_file = table
            self.site.stamps.bump((self.fact,))
        counters = self.site.counters
        entries = table.entries + self.inline.entries
        counters.set("coredns_hosts_entries", self.file, to=entries)
        counters.set("coredns_hosts_reload_timestamp_seconds", to=seen[0] / 1e9)  # CoreDNS: mtime

    def _read(self, seen: tuple[int, ...]) -> tuple[Table | None, tuple[int, ...]]:
        path = Path(self.file)
        stat = path.stat()
        # The inode too: a ConfigMap is swapped by a link, within one tick of the clock.
        now = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if now == seen:
            return None, now
        content = path.read_text(encoding="utf-8", errors="surrogateescape")
        return parse(split(content), self.zones), now

    def _report(self, error: OSError) -> None:
        trouble = str(error)
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if isinstance(error, FileNotFoundError):
            log.warning("File does not exist: %s (it is read once it does)", self.file)
        else:
            log.error("cannot read %s: %s; the last state is kept", self.file, error.strerror)

    async def answer(self, query: Query) -> Result:
        """Answers names and addresses that have a line."""
        query.touch(self.fact)
        if query.type == types.PTR:
            return self._reverse(query.key)
        key = query.key
        if zone_of(key, self.zones) is None:
            return SKIP
        wildcard = Key(b"\x01*" + names.parent(key))
        v4, v6 = self._both(key, wildcard)
        falls = bool(self.falls) and zone_of(key, self.falls) is not None
        if not v4 and not v6:
            return SKIP if falls else _ABSENT
        if query.type == types.A:
            return self._addresses(key, types.A, v4)
        if query.type == types.AAAA:
            return self._addresses(key, types.AAAA, v6)
        if falls and self.settings.has("fallthrough_unsupported"):
            return SKIP
        return Answer(flags=types.AA, plugin=self.name)

    def _both(self, key: Key, wildcard: Key) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        v4, v6 = self.of_file.find(key, wildcard)
        more4, more6 = self.inline.find(key, wildcard)
        return (*{**v4, **more4},), (*{**v6, **more6},)

    def _addresses(self, key: Key, type_: int, addresses: tuple[bytes, ...]) -> Answer:
        rrsets = (RRset(key, type_, self.ttl, addresses),) if addresses else ()
        return Answer(answer=rrsets, flags=types.AA, plugin=self.name)

    def _reverse(self, key: Key) -> Result:
        address = names.parse_reverse(key)
        if address is None or self.settings.has("no_reverse"):
            return SKIP
        found = {**self.of_file.names.get(address, {}), **self.inline.names.get(address, {})}
        if not found:
            return SKIP
        rrset = RRset(key, types.PTR, self.ttl, tuple(found))
        return Answer(answer=(rrset,), flags=types.AA, plugin=self.name)
