"""Serves zones from master files: reads them at start, and again when they change.

All `file` directives of a block make one Shelf, so that the longest zone answers whichever stanza
it is from; the first directive answers for all. A file that is wrong keeps the last good zone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Sequence
from os.path import join
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, duration, text, zones
from kdns.keeping.files import ZoneFile
from kdns.keeping.shelf import Held, Shelf
from kdns.plugins.base import (
    DROP,
    SKIP,
    Query,
    Result,
    Site,
    fallthrough,
    own_zones,
)
from kdns.plugins.zoned import Zoned
from kdns.wire import names, types
from kdns.zone.files.parse import ZoneError
from kdns.zone.files.zone import Zone

log = logging.getLogger("kdns.file")


class File(Zoned):
    """`file DBFILE [ZONES…] { … }`."""

    name = "file"
    refuses_rest = True
    syntax = Syntax(
        args=Shape(words=(text,), rest=zones),
        options={
            "reload": Shape(words=(duration(0),), is_loose=True),
            "reload_by_mtime": Shape(is_loose=True),
            "fallthrough": Shape(rest=zones),
            "upstream": Shape(rest=text),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        word, *given = settings.args
        self.path = join(site.root, word)
        shelf = site.beside.get("file zones")
        self._answers = shelf is None
        if shelf is None:
            shelf = site.beside["file zones"] = Shelf(self.name)
            site.beside.setdefault("transfer", []).append(shelf)
        self.shelf: Shelf = shelf
        self.interval: float = settings.get("reload", 60.0)
        self._by_mtime = settings.has("reload_by_mtime")
        self._files: list[tuple[ZoneFile, Held]] = []
        for apex in own_zones(settings, site, given):
            if shelf.get(apex) is None:  # CoreDNS: the first file of a zone counts
                held = Held(apex, self.path, self.name, site.stamps, site.counters)
                held.falls = fallthrough(settings)
                shelf.add(held)
                self._files.append((ZoneFile(apex, self.path), held))
        self._trouble: dict[Held, str] = {}

    def look(self) -> None:
        """Reads the file; one that is missing may still come."""
        for file, _ in self._files:
            try:
                file.look()
            except FileNotFoundError as error:
                if not self.interval:
                    raise self.settings.fail(f"file: {self.path} does not exist") from error
            except IsADirectoryError as error:
                raise self.settings.fail(f"file: {self.path} is a directory") from error
            except ZoneError as error:
                raise self.settings.fail(f"file: {error}") from error
            except OSError:
                continue  # the start goes on, too, and tells of it

    async def start(self) -> None:
        """Reads the file; a wrong one is an error, a missing one is waited for (CoreDNS)."""
        if self.settings.has("upstream"):
            log.warning("upstream does nothing any more: take it out of file %s", self.path)
        for file, held in self._files:
            try:
                await self._refresh(file, held)
            except ZoneError as error:
                raise self.settings.fail(f"file: {error}") from error

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Looks at the file now and then."""
        return (self._poll(),) if self.interval else ()

    async def stop(self) -> None:
        """Lets go of the zones."""
        await self.shelf.close()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            for file, held in self._files:
                try:
                    await self._refresh(file, held)
                except ZoneError as error:
                    self._report(held, f"{error}; the zone is served as it was")

    async def _refresh(self, file: ZoneFile, held: Held) -> None:
        try:
            zone = await file.changed()
        except FileNotFoundError as error:
            if not self.interval:
                raise ZoneError(f"{file.path} does not exist, and is to be read once") from error
            self._report(held, f"{file.path} does not exist: it is read once it does")
            return
        except IsADirectoryError as error:
            raise ZoneError(f"{file.path} is a directory") from error
        except OSError as error:
            self._report(held, f"{file.path} cannot be read ({error.strerror})")
            return
        if zone is not None:
            self._trouble.pop(held, None)
            await self._take(held, zone)

    async def _take(self, held: Held, zone: Zone) -> None:
        """Serves what was read, if it is newer."""
        name = names.format(held.apex)
        old = held.zone
        if old is not None and old.serial == zone.serial and not self._by_mtime:
            # CoreDNS: the serial says whether the zone has changed.
            log.warning(
                "%s changed, but the serial of %s is still %d: served as it was; raise the serial,"
                " or say reload_by_mtime", self.path, name, zone.serial,
            )  # fmt: skip
            return
        for warning in zone.warnings:
            log.warning("zone %s: %s", name, warning)
        if old is not None:
            log.info("zone %s: serial %d replaces %d", name, zone.serial, old.serial)
        await held.put(zone)

    def _report(self, held: Held, trouble: str) -> None:
        name = names.format(held.apex)
        self.site.counters.add("kdns_zone_load_failures_total", self.name, name)
        if self._trouble.get(held) != trouble:
            self._trouble[held] = trouble
            log.error("zone %s: %s", name, trouble)

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """The same at once, unless a chain leads out of the zone."""
        if not self._answers:
            return SKIP
        if query.opcode == types.NOTIFY:  # CoreDNS: who serves a file has no master
            return SKIP if self.shelf.look(query) is None else DROP
        return self._said(query)
