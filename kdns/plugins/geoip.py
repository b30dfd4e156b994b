"""geoip: labels queries with the place their asker's address is at, by a MaxMind DB.

Askers are in classes by the record that their address leads to, so answers that read no label are
shared within one, and those that do are right.
"""

import mmap
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import Monitor, Query, Site
from kdns.wire.edns import SUBNET
from kdns.wire.mmdb import Mmdb, MmdbError
from kdns.wire.scan import options

_KEPT = 4096
"""Addresses whose record is remembered."""

Path_ = tuple[str, ...]
CITY: dict[str, Path_] = {
    "city/name": ("city", "names", "en"),
    "country/code": ("country", "iso_code"),
    "country/name": ("country", "names", "en"),
    "country/is_in_european_union": ("country", "is_in_european_union"),
    "continent/code": ("continent", "code"),
    "continent/name": ("continent", "names", "en"),
    "latitude": ("location", "latitude"),
    "longitude": ("location", "longitude"),
    "timezone": ("location", "time_zone"),
    "postalcode": ("postal", "code"),
}
ASN: dict[str, Path_] = {
    "asn/number": ("autonomous_system_number",),
    "asn/org": ("autonomous_system_organization",),
}


class Places:
    """The records of a database as classes of addresses."""

    def __init__(self, database: Mmdb) -> None:
        self.database = database
        self._known: dict[bytes, int] = {}

    def classify(self, address: bytes) -> Hashable:
        """Where the record of an address is."""
        return self.find(address)

    def find(self, address: bytes) -> int:
        """The same; the last 4,096 or fewer are remembered."""
        at = self._known.get(address)
        if at is None:
            with suppress(MmdbError):
                at = self.database.find(address)
            if len(self._known) >= _KEPT:
                self._known.clear()
            at = self._known[address] = at or 0
        return at


class Geoip(Monitor):
    """One database. Without `metadata` in the block nothing is looked up."""

    name = "geoip"
    syntax = Syntax(args=Shape(words=(text,)), options={"edns-subnet": Shape()})

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.path = Path(site.root, settings.args[0])
        self.reads_subnet = settings.has("edns-subnet")
        if self.reads_subnet:
            self.reads = frozenset((SUBNET,))
        self._places: Places | None = None
        self._labels: dict[str, Path_] = {}
        site.beside.setdefault("metadata", []).append(self.offer)

    def look(self) -> None:
        """Opens the database."""
        try:
            with self.path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            database = Mmdb(data)
        except OSError as error:
            raise self.settings.fail(f"geoip: cannot read {self.path}: {error.strerror}") from error
        except ValueError as error:
            raise self.settings.fail(f"geoip: {self.path} is {error}") from error
        kind = database.type
        if any(word in kind for word in ("City", "Country", "Enterprise")):
            self._labels |= CITY
        if "ASN" in kind or "ISP" in kind or "Enterprise" in kind:
            self._labels |= ASN
        if not self._labels:
            raise self.settings.fail(
                f"geoip: {self.path} is a {kind} database", "it takes City and ASN databases"
            )
        self._places = Places(database)

    async def start(self) -> None:
        """The same."""
        if self._places is None:
            self.look()

    def offer(self, query: Query) -> None:
        """Labels a query."""
        for label, path in self._labels.items():
            query.note(f"geoip/{label}", partial(self._read, query, path))

    def _subnet(self, query: Query) -> bytes:
        """The address of the client subnet that the asker names (RFC 7871); empty without one."""
        for code, value in options(query.question.options) if query.question.options else ():
            if code == SUBNET and len(value) >= 4 and value[:2] in _FAMILIES:
                return value[4:].ljust(_FAMILIES[value[:2]], b"\0")[: _FAMILIES[value[:2]]]
        return b""

    def _read(self, query: Query, path: Path_) -> str | None:
        """The text of one label; None where the database does not know the address."""
        if self._places is None:
            return None
        address = self._subnet(query) if self.reads_subnet else b""
        if not address:
            address = query.client.address
            query.reads_class(self._places)
        at = self._places.find(address)
        if not at:
            return None
        try:
            value: Any = self._places.database.record(at)  # Any: what a database holds
        except MmdbError:
            return ""
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None and path[-1] == "is_in_european_union":
            return "false"
        return "" if value is None else _SAID.get(type(value), str)(value)


_FAMILIES = {b"\0\1": 4, b"\0\2": 16}
_SAID: dict[type, Callable[[Any], str]] = {  # Any: as above
    bool: lambda value: str(value).lower(),
    float: repr,
}
