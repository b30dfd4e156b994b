"""Serves a zone for every file of a directory whose name says so, and looks for new ones.

A regular expression takes the zone's name out of the file's; files that come, change or go are
noticed every minute. A file that is wrong is left out, or keeps the zone as it was.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Coroutine, Sequence
from os.path import join
from re import compile as pattern
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, duration, regex, text, zones
from kdns.keeping.files import ZoneFile
from kdns.keeping.shelf import Held, Shelf
from kdns.plugins.base import (
    SKIP,
    Query,
    Result,
    Site,
    own_zones,
    zone_of,
)
from kdns.plugins.zoned import Zoned
from kdns.wire import names
from kdns.wire.names import Key
from kdns.zone.files.parse import ZoneError

log = logging.getLogger("kdns.auto")

MOST_ZONES = 10_000
_GROUP = pattern(r"\{(\w+)\}")


class Auto(Zoned):
    """`auto [ZONES…] { directory DIR [REGEXP ORIGIN_TEMPLATE]; reload DURATION }`."""

    name = "auto"
    syntax = Syntax(
        args=Shape(rest=zones),
        options={
            "directory": Shape(words=(text,), maybe=(regex(), text)),
            "reload": Shape(words=(duration(0),), is_loose=True),
            "upstream": Shape(rest=text),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.zones = own_zones(settings, site, settings.args)
        found = settings.all("directory")
        words = found[0].values if found else ()
        if len(words) == 2:
            raise found[0].fail("auto: a REGEXP is followed by the zone it makes, such as {1}")
        if len(words) == 3 and not words[1].groups:
            raise found[0].fail("auto: the REGEXP has no group, such as (.*), that names the zone")
        self.directory = join(site.root, words[0]) if words else ""
        self.pattern = words[1] if len(words) == 3 else regex()(r"db\.(.*)")
        self.origin: str = words[2] if len(words) == 3 else "{1}"
        self.interval: float = settings.get("reload", 60.0)
        self.shelf = Shelf(self.name)
        site.beside.setdefault("transfer", []).append(self.shelf)
        self._fact = ("auto", self.directory, self.zones)
        self._files: dict[Key, ZoneFile] = {}
        self._trouble: dict[Key, str] = {}

    async def start(self) -> None:
        """Reads the files that are there."""
        if self.settings.has("upstream"):
            log.warning("upstream does nothing any more: take it out of auto")
        if not self.directory:
            log.warning("auto serves nothing without a line `directory DIR`")
        await self.refresh()

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Looks at the directory now and then."""
        return (self._poll(),) if self.interval and self.directory else ()

    async def stop(self) -> None:
        """Lets go of the zones."""
        await self.shelf.close()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            await self.refresh()

    async def refresh(self) -> None:
        """Looks for files that came, changed or went."""
        found = await asyncio.to_thread(self._walk) if self.directory else {}
        for apex in [apex for apex in self._files if self._files[apex].path != found.get(apex)]:
            await self._forget(apex)
        for apex, path in found.items():
            file = self._files.setdefault(apex, ZoneFile(apex, path))
            await self._refresh(file)

    def _walk(self) -> dict[Key, str]:
        """The file of each zone. What `..` begins is the folder a ConfigMap's links lead into."""
        found: dict[Key, str] = {}
        for folder, folders, files in os.walk(self.directory):
            folders[:] = sorted(one for one in folders if not one.startswith(".."))
            for file in sorted(files):
                apex = self._zone_of(file)
                if apex is not None and apex not in found and len(found) < MOST_ZONES:
                    found[apex] = join(folder, file)
        return found

    def _zone_of(self, file: str) -> Key | None:
        match = self.pattern.search(file)
        if match is None:
            return None

        def group(word: str) -> str:
            try:
                return match[int(word) if word.isdigit() else word] or ""
            except IndexError:
                return ""

        try:
            apex = names.parse_key(_GROUP.sub(lambda found: group(found[1]), self.origin))
        except ValueError:
            return None
        return apex if zone_of(apex, self.zones) is not None else None

    async def _forget(self, apex: Key) -> None:
        """The file of a zone is gone."""
        del self._files[apex]
        held = self.shelf.get(apex)
        if held is not None:
            self.shelf.drop(apex)
            self.site.stamps.bump((self._fact,))
            await held.put(None)
            log.info("zone %s: its file is gone, and so is the zone", names.format(apex))

    async def _refresh(self, file: ZoneFile) -> None:
        apex = file.apex
        held = self.shelf.get(apex)
        try:
            zone = await file.changed()
        except (ZoneError, OSError) as error:
            served = "served as it was" if held else "not served"
            self._report(apex, f"{error}; it is {served}")
            return
        if zone is None:
            return
        self._trouble.pop(apex, None)
        for warning in zone.warnings:
            log.warning("zone %s: %s", names.format(apex), warning)
        if held is None:
            held = Held(apex, self._fact, self.name, self.site.stamps, self.site.counters)
            await held.put(zone)
            self.shelf.add(held)
            self.site.stamps.bump((self._fact,))
            for tell in self.shelf.on_change:
                tell(apex)
        elif held.zone is None or held.zone.serial != zone.serial:
            await held.put(zone)
        else:
            what = "changed, but not its serial: served as it was"
            log.warning("zone %s: %s %s", names.format(apex), file.path, what)
            return
        log.info("zone %s: serial %d read from %s", names.format(apex), zone.serial, file.path)

    def _report(self, apex: Key, trouble: str) -> None:
        name = names.format(apex)
        self.site.counters.add("kdns_zone_load_failures_total", self.name, name)
        if self._trouble.get(apex) != trouble:
            self._trouble[apex] = trouble
            log.error("zone %s: %s", name, trouble)

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """The same at once, unless a chain leads out of the zone."""
        if zone_of(query.key, self.zones) is None:
            return SKIP
        query.touch(self._fact)
        return self._said(query)
