"""dynupdate: a zone that signed UPDATE messages change (RFC 2136), kept in a database if named.

A generation of the zone is never changed: an update makes the next one, which is on the disk before
it is seen and before the asker hears of it. All answers of an instance touch one fact.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from kdns.corefile.options import Line, Settings, Shape, Syntax, integer, text, zones
from kdns.plugins.base import SKIP, Query, Result, Site, own_zones
from kdns.plugins.zoned import Zoned
from kdns.wire import names, tsig, types
from kdns.wire.message import Answer, RRset, WireError
from kdns.wire.names import Key, is_below
from kdns.zone.files.answer import Alias, find
from kdns.zone.files.database import Conflict, Database, DatabaseError, Mark, Replayed
from kdns.zone.files.parse import Record, ZoneError, included, parse
from kdns.zone.files.update import (
    Contents,
    Refused,
    applied,
    gathered,
    is_supported,
    permitted,
    prerequisites,
    read,
    scanned,
)
from kdns.zone.files.zone import Zone, compiling

log = logging.getLogger("kdns.dynupdate")

POLL_S = 0.2
"""How often it is looked whether another process has changed the database."""
FEW_DONE = 1024
"""So many updates are remembered before it is looked which may be forgotten."""
ALL = None
"""Any name, or any type, in a rule."""

Rule = tuple[Key, Key | None, frozenset[int] | None]
"""The key, the name and the types of an `allow` line."""


class Dynupdate(Zoned):
    """Serves a zone, and changes it for those who may."""

    name = "dynupdate"
    opcodes = frozenset((types.UPDATE,))
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={
            "file": Shape((text,), is_single=True),
            "database": Shape((text,), is_single=True),
            "allow": Shape((text, text, text), rest=text, repeats=True),
            "max_records": Shape((integer(1),), is_single=True),
            "max_bytes": Shape((integer(1),), is_single=True),
            "max_update_records": Shape((integer(1),), is_single=True),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        own = own_zones(settings, site, settings.args)
        if len(own) != 1:
            raise settings.fail("dynupdate: expected one zone", "name it behind dynupdate")
        self.apex = own[0]
        self.zones = own
        for option in ("file", "allow"):
            if not settings.has(option):
                raise settings.fail(f"dynupdate: {option} is required")
        self._rules = [_rule(line, self.apex) for line in settings.all("allow")]
        self._seed = os.path.join(site.root, settings.get("file"))
        path = settings.get("database")
        path = os.path.join(site.root, path) if path else ""
        if path and os.path.abspath(path) == os.path.abspath(self._seed):
            raise settings.all("database")[-1].fail(
                "dynupdate: the database is the file itself", "give it a file of its own"
            )
        make = partial(Kept, self.apex, Database(path, self.apex) if path else None)
        self._kept: Kept = site.share(("dynupdate", self.apex, path), make) if path else make()
        self.on_change: list[Callable[[Key], None]] = []
        self._kept.tell.append(self._changed)
        site.beside.setdefault("transfer", []).append(self)

    def look(self) -> None:
        """Reads the database or the seed, and checks what it says."""
        self._first()

    def _first(self) -> Contents:
        """The generation to begin with; raises ConfigError."""
        database = self._kept.database
        if database is not None and database.is_there:
            line = self.settings.all("database")[-1]
            try:
                contents = database.read()
            except DatabaseError as error:
                raise line.fail(f"dynupdate: {error}") from error
        else:
            line = self.settings.all("file")[-1]
            try:
                contents = gathered(self.apex, _parsed(self._seed, self.apex))
            except (OSError, UnicodeError) as error:
                why = getattr(error, "strerror", "") or "it is not UTF-8 text"
                raise line.fail(f"dynupdate: cannot read {self._seed}: {why}") from error
            except (ZoneError, ValueError) as error:
                raise line.fail(f"dynupdate: {self._seed}: {error}") from error
        if not self._fits(contents):
            raise line.fail(
                f"dynupdate: {contents.records_count} records of {contents.size} octets are more"
                " than the limits allow",
                "raise max_records or max_bytes",
            )
        return contents

    def _fits(self, contents: Contents) -> bool:
        most: int = self.settings.get("max_records", 10_000)
        largest: int = self.settings.get("max_bytes", 8 << 20)
        return contents.records_count <= most and contents.size <= largest

    async def start(self) -> None:
        """Reads what the zone begins with, unless the one before a reload knows it."""
        if self._kept.zone is None:
            await self._kept.publish(await asyncio.to_thread(self._first))

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Watches for what other processes write."""
        return (self._kept.watch(),) if self._kept.database is not None else ()

    async def stop(self) -> None:
        self._kept.tell.remove(self._changed)

    def _changed(self) -> None:
        self.site.stamps.bump((self._kept,))
        for told in self.on_change:
            told(self.apex)

    # Answering

    async def answer(self, query: Query) -> Result:
        """What the zone has, or what becomes of an update."""
        if query.opcode == types.UPDATE and not query.depth:
            return await self._update(query)
        if not is_below(query.key, self.apex):
            return SKIP
        query.touch(self._kept)
        zone = self._kept.zone
        if zone is None:
            ede, why = ((types.EDE_NOT_READY, ""),), "the zone is not read yet"
            return Answer(types.SERVFAIL, ede=ede, plugin=self.name, error=why)
        found = find(zone, query.key, query.type, do=query.question.do)
        if not isinstance(found, Alias):
            return found.but(plugin=self.name, live=True)
        return await self._ended(query, found)

    # Updating

    async def _update(self, query: Query) -> Answer:
        """Does an update; the reply says what was wrong."""
        query.forget()
        rcode = await self._updated(query)
        self.site.counters.add("kdns_dynupdate_updates_total", types.rcode_name(rcode))
        return Answer(rcode, flags=types.AA, plugin=self.name)

    async def _updated(self, query: Query) -> int:
        if query.question.type != types.SOA or query.question.cls != types.IN:
            return types.FORMERR
        if query.question.key != self.apex:
            return types.RCODES["NOTAUTH"]
        rules = [rule for rule in self._rules if rule[0] == query.signer]
        if not rules or self._kept.zone is None:
            return types.REFUSED if not rules else types.SERVFAIL
        try:
            update = read(query.packet)
        except WireError:
            return types.FORMERR
        mark, until = _mark(query.packet)
        most = self.settings.get("max_update_records", 1024)
        if len(update.prerequisites) + len(update.updates) > most:
            return types.REFUSED

        def work(contents: Contents) -> Contents:
            if mark in self._kept.done:
                return contents
            prerequisites(contents, update.prerequisites)
            permitted(update.updates, partial(_allowed, rules))
            scanned(contents, update.updates)
            after = applied(contents, update.updates)
            if not self._fits(after):
                raise Refused("REFUSED")
            return after

        return await self._done(work, mark, until, int(self.site.wall()))

    async def _done(
        self, work: Callable[[Contents], Contents], mark: tuple[Key, bytes], until: int, now: int
    ) -> int:
        """Does an update, unless it was done before; what becomes of it."""
        rcode = types.NOERROR
        try:
            await self._kept.change(work, Mark(b"".join(mark), until, now))
        except Replayed:
            log.info("an update of %s came again, it was done before", names.format(self.apex))
        except Refused as refused:
            rcode = refused.rcode
        except DatabaseError as error:
            log.error("an update of %s is not kept: %s", names.format(self.apex), error)  # noqa: TRY400
            return types.SERVFAIL
        return self._kept.remember(mark, until, now, rcode)

    # What `transfer` asks

    def serial(self, zone: Key) -> int | None:
        """The serial now."""
        return self._kept.zone.serial if self._kept.zone is not None and zone == self.apex else None

    def records(self, zone: Key) -> Iterator[RRset]:
        """All records of the present generation."""
        found = self._kept.zone
        return found.rrsets() if found is not None and zone == self.apex else iter(())


class Kept:
    """The present generation of a zone; with a database it lives on through reloads."""

    def __init__(self, apex: Key, database: Database | None) -> None:
        self.database = database
        self.zone: Zone | None = None
        self.tell: list[Callable[[], None]] = []
        """Called when there is a new generation."""
        self.done: dict[tuple[Key, bytes], tuple[int, int]] = {}
        """Updates whose signatures still count, by these: until when, and what became of them.

        One that comes again is answered alike and not done again: its asker had no reply, or it is
        somebody else who has overheard it."""
        self._apex = apex
        self._contents: Contents | None = None
        self._most_done = FEW_DONE
        self._turn = asyncio.Lock()
        """One update at a time."""
        self._stamp: tuple[int, int, int] | None = None
        """The database as it was last read or written."""

    def remember(self, mark: tuple[Key, bytes], until: int, now: int, rcode: int) -> int:
        """What became of an update, for as long as it might come again; what did the first time."""
        if len(self.done) >= self._most_done:
            self.done = {one: found for one, found in self.done.items() if found[0] >= now}
            self._most_done = max(2 * len(self.done), FEW_DONE)
        return self.done.setdefault(mark, (until, rcode))[1]

    async def publish(self, contents: Contents) -> None:
        """Makes a generation the one that is served, in steps that hold nobody up."""
        if self.database is not None:
            self._stamp = self.database.stamp()
        zone = await _compiled(self._apex, contents)
        self.zone, self._contents = zone, contents
        for told in self.tell:
            told()

    async def change(self, work: Callable[[Contents], Contents], mark: Mark) -> None:
        """Puts what `work` makes of the generation in its place; raises what `work` does."""
        async with self._turn:
            for is_last in (False, True):
                before = self._contents
                assert before is not None
                after = work(before)
                if after is before:
                    return
                try:
                    await self._write(before, after, mark)
                except Conflict:
                    if is_last:
                        raise DatabaseError("another process changes it all the time") from None
                    await self._read()
                    continue
                await self.publish(after)
                return

    async def _write(self, before: Contents, after: Contents, mark: Mark) -> None:
        if self.database is not None:
            await _in_thread(partial(self.database.write, before, after, mark))

    async def _read(self) -> None:
        assert self.database is not None
        await self.publish(await _in_thread(self.database.read))

    async def watch(self) -> None:
        """Takes over what other processes write."""
        assert self.database is not None
        complained = ""
        while True:
            await asyncio.sleep(POLL_S)
            if self.zone is None or self.database.stamp() in {self._stamp, None}:
                continue
            try:
                async with self._turn:
                    if self.database.stamp() != self._stamp:
                        await self._read()
                complained = ""
            except DatabaseError as error:
                if str(error) != complained:
                    log.error("the zone stays as it was: %s", error)  # noqa: TRY400 - foreseen
                complained = str(error)


def _mark(packet: bytes) -> tuple[tuple[Key, bytes], int]:
    """What tells a signed packet from all others, and until when its signature counts."""
    found = tsig.find(packet)
    assert found is not None  # else it has no signer
    return (found.key, found.mac), found.time + found.fudge


async def _in_thread(work: Callable[[], Any]) -> Any:  # Any: what the work gives
    """Does what waits for the disk elsewhere; may be driven without a Task."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def _compiled(apex: Key, contents: Contents) -> Zone:
    steps = compiling(apex, contents.records())
    while True:
        try:
            next(steps)
        except StopIteration as done:
            zone: Zone = done.value
            return zone
        await asyncio.sleep(0)


def _parsed(path: str, apex: Key) -> Iterator[Record]:
    """The records of a master file and of those it includes."""
    texts: dict[str, str] = {}
    wanted = [path]
    while wanted:
        file = wanted.pop()
        if file not in texts:
            texts[file] = Path(file).read_text(encoding="utf-8")
            wanted += included(texts[file], file)
    return parse(path, apex, texts.__getitem__)


def _rule(line: Line, apex: Key) -> Rule:
    key, name, *words = line.values
    if key in {"*", "@"}:
        raise line.fail(f"dynupdate: {key!r} is no key", "name a key of tsig")
    try:
        owner = ALL if name == "*" else apex if name == "@" else names.parse_key(name)
        signer = names.parse_key(key)
    except ValueError as error:
        raise line.fail(f"dynupdate: {error}") from error
    if owner is not None and not is_below(owner, apex):
        zone = names.format(apex)
        raise line.fail(f"dynupdate: {name!r} is outside the zone {zone}", "write the whole name")
    if "*" in words:
        if len(words) > 1:
            raise line.fail("dynupdate: * stands for all types, and alone")
        return signer, owner, ALL
    kinds = []
    for word in words:
        number = types.TYPES.get(word.upper(), 0)
        if number != types.ANY and not is_supported(number):
            raise line.fail(f"dynupdate: {word!r} is no type that updates may have")
        kinds.append(number)
    return signer, owner, frozenset(kinds)


def _allowed(rules: Sequence[Rule], owner: Key, type_: int) -> bool:
    return any(
        (name is ALL or name == owner) and (kinds is ALL or type_ in kinds)
        for _, name, kinds in rules
    )
