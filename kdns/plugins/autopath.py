"""autopath: answers the first step of a client's search path with what its last one would bring.

Where the path comes from is the argument: a resolv.conf, a plugin that knows the asker
(`@kubernetes`), or what this very client did before (`learned`, kdns.zone.walks). A name is asked
as it stands first: only where it does not exist is there anything to walk, so what does exist is
shared by all askers. What the server asks itself is never walked.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Any, Final

from kdns.client.reread import Reread
from kdns.corefile.options import Settings, Shape, Syntax, network, text, zones
from kdns.observe.counters import Labels
from kdns.observe.tally import Tally
from kdns.plugins.base import (
    DROP,
    SKIP,
    Filter,
    Life,
    Query,
    Result,
    Site,
    Soon,
    own_zones,
    waiting,
    zone_of,
)
from kdns.wire import types
from kdns.wire.message import Answer
from kdns.wire.names import LONGEST, ROOT, Key
from kdns.zone.clients import parse_search
from kdns.zone.shortcut import led, limit, shortened
from kdns.zone.walks import PLAIN, First, Learner, Stem, Steps, Walks, first_step, stem_of

log = logging.getLogger("kdns.autopath")

LEARNED: Final = "learned"
MOST_DOMAINS: Final = 32
"""Of a resolv.conf."""

_OPCODE = 0x7800
_UNSHORTENED = frozenset((types.CNAME, types.ANY, types.AXFR, types.IXFR))
"""A CNAME would answer the first of them, which the plain walk does not."""
_UNWRITTEN = frozenset(("", "hosts"))
"""Whose failures CoreDNS does not see written, and passes over."""


def _zone(settings: Settings, word: str) -> tuple[Key, ...]:
    if word.startswith("@"):
        raise settings.fail(f"autopath: {word} is no zone", "the zones come first, then the source")
    try:
        return zones(word)
    except ValueError as error:
        raise settings.fail(f"autopath: expected {error}, found {word!r}") from None


Ask = Callable[[Query, Soon], Result | Awaitable[Result]]


class Autopath(Filter):
    """`autopath [ZONES…] RESOLV-CONF|@PLUGIN|learned`."""

    name = "autopath"
    syntax = Syntax(
        args=Shape(rest=text, at_least=1),
        options={"except": Shape(rest=network, at_least=1, repeats=True)},
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        *words, source = settings.args
        self._zones = own_zones(settings, site, [_zone(settings, word) for word in words])
        self._has_root = ROOT in self._zones
        site.beside["autopath"] = self  # CoreDNS: of several in a block the last one counts
        self.learning: _Learned | None = None
        self._file: _File | None = None
        for line in settings.all("except"):
            if source != LEARNED:
                raise line.fail(
                    "autopath: except is for `autopath learned`",
                    "annotate namespaces with kdns.io/search-path: plain",
                )
        tally = Tally(site.counters, "coredns_autopath_success_total", site.label)
        if source == LEARNED:
            self.learning = _Learned(site, settings.values("except"), tally)
            self._ask: Ask = self.learning.ask
            site.counters.ask("kdns_autopath_walks", partial(_walks, site.life))
            return
        if not source.startswith("@"):
            self._file = _File(source, site)
        find = self._file.search if self._file else _Plugin(source[1:], site).search
        self._ask = _Given(find, site, tally).ask

    def look(self) -> None:
        """Sees whether the resolv.conf, or the cluster, is there (CoreDNS)."""
        if self._file:
            path = self._file.file.path
            try:
                with open(path, "rb") as file:
                    file.read(1)
            except OSError as error:
                raise self.settings.fail(
                    f"autopath: cannot read {path or 'a file without a name'}: {error.strerror}"
                ) from error
        if self.learning and not self.site.shared.get("cluster zones"):
            raise self.settings.fail(
                "autopath: learned shortens search paths of a cluster, and there is none",
                "add kubernetes",
            )

    async def start(self) -> None:
        """Reads the resolv.conf."""
        self.look()
        if self._file:
            await self._file.file.refresh()

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Reads the file again when it is another."""
        return (self._file.file.follow(self._file.moved),) if self._file else ()

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """What the rest of the chain answers, or what the search path leads to."""
        is_ours = self._has_root or zone_of(query.key, self._zones) is not None
        last: object = self.site.beside["autopath"]
        if query.depth or not is_ours or last is not self:
            return next_(query)
        return self._ask(query, next_)


# A path that is given


Find = Callable[[Query], tuple[Key, ...] | None]


class _Given:
    """Walks a path for whoever asks for a name in its first domain."""

    def __init__(self, find: Find, site: Site, tally: Tally) -> None:
        self._find = find
        self._site = site
        self._tally = tally
        self._here: tuple[object, tuple[Key, ...]] = (None, ())

    def ask(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The name as it stands, or what it stands for."""
        first = next_(query)
        if first is not SKIP and not isinstance(first, Answer):
            return self._asked(query, first, next_)
        path = self._path(query, first)
        return first if path is None else self._walk(query, path, first, next_)

    async def _asked(self, query: Query, waited: Awaitable[Result], next_: Soon) -> Result:
        first = await waited
        path = self._path(query, first)
        return first if path is None else await self._walk(query, path, first, next_)

    def _path(self, query: Query, first: Result) -> tuple[Key, ...] | None:
        """The path to walk for a name that was not found; None where there is none."""
        if not _is_missing(first):
            return None
        path = self._find(query)
        if not path or len(query.key) <= len(path[0]) or zone_of(query.key, path[:1]) is None:
            return None
        return path

    async def _walk(
        self, query: Query, path: tuple[Key, ...], first: Result, next_: Soon
    ) -> Result:
        base = query.key[: len(query.key) - len(path[0])]
        for domain in path[1:]:
            name = Key(base + domain)
            if len(name) > LONGEST:
                continue
            found = await self._step(query, name, next_)
            if _is_missing(found):
                continue
            if isinstance(found, Answer) and found is not DROP and not found.error:
                self._tally.hits += 1
                query.credit(self._tally)
                return led(query.key, name, found)
            return found
        return first

    async def _step(self, query: Query, name: Key, next_: Soon) -> Result:
        """The rest of the chain, or the server block that the name belongs to."""
        if zone_of(name, self._zones_here()) == query.zone:
            return await waiting(next_)(query.asking(name))
        return await query.lookup(name, query.type) or DROP

    def _zones_here(self) -> tuple[Key, ...]:
        """The zones of all blocks on this listener."""
        plugins = self._site.life.plugins
        if self._here[0] is not plugins:
            sites = [one.site for one in plugins if one.site.label == self._site.label]
            found = {zone for site in (self._site, *sites) for zone in site.zones}
            self._here = (plugins, tuple(found))
        return self._here[1]


class _Plugin:
    """The path that another plugin of the block knows for the asker."""

    def __init__(self, name: str, site: Site) -> None:
        self._name = name
        self._beside = site.beside

    def search(self, query: Query) -> tuple[Key, ...] | None:
        """None also where the asker's namespace wants no path walked."""
        search = self._beside.get("search", {}).get(self._name)
        path: tuple[Key, ...] | None = search(query) if search else None
        clients, view = self._beside.get("clients"), self._beside.get("cluster")
        if path is None or clients is None or view is None:
            return path
        namespace = clients.namespace(query.touch, query.client.address)
        query.touch(namespace)
        known = view.store.namespaces.get(namespace)
        return None if known is not None and known.is_plain else path


class _File:
    """The path of a resolv.conf."""

    def __init__(self, path: str, site: Site) -> None:
        self.file = Reread(path, parse_search, log)
        self._fact = ("autopath", path)
        self._site = site

    def search(self, query: Query) -> tuple[Key, ...] | None:
        """Its domains, then the name as it is; None where it names no domain."""
        query.touch(self._fact)
        return (*self.file.value[:MOST_DOMAINS], ROOT) if self.file.value else None

    def moved(self) -> None:
        """Forgets what was found with the path as it was."""
        self._site.stamps.bump((self._fact,))


def _is_missing(found: Result) -> bool:
    """True where CoreDNS goes on to the next step."""
    if found is SKIP:
        return True
    if found.error or found is DROP:
        return False
    if found.rcode == types.NXDOMAIN:
        return True
    return found.rcode in {types.SERVFAIL, types.REFUSED} and found.plugin in _UNWRITTEN


# A path that was learned


class _Learned:
    """Watches clients walk, and shortens what one of them has walked before."""

    def __init__(self, site: Site, exempt: Iterable[Any], tally: Tally) -> None:
        self._site = site
        self._tally = tally
        self.walks: Walks = site.shared.setdefault(("search paths", site.label), Walks(site.clock))
        """Of all blocks on this listener: a walk may lead through several."""
        nets = tuple(exempt)
        if nets:
            self.walks.exempt.append(
                lru_cache(4096)(lambda address: any(ip_address(address) in net for net in nets))
            )

    def ask(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The rest of the chain's answer, seen where its asker walks, or what his walk led to."""
        question = query.question
        if query.key != question.key or question.flags & _OPCODE or query.cls != types.IN:
            return next_(query)
        view = self._site.beside.get("cluster")
        first = first_step(view, query.key, query.touch) if view is not None else None
        if first is not None:
            return self._begin(query, first, next_)
        at = stem_of(query.key)
        if not at:
            return next_(query)
        query.touch(("search path", at))
        stem = self.walks.stem(at)
        if stem is None:
            return next_(query)
        query.reads_class(stem)
        if stem.classify(query.client.address) is PLAIN:
            return next_(query)
        query.forget()
        found = next_(query)
        if found is SKIP or isinstance(found, Answer):
            return self._saw(query, stem, found)
        return self._saw_later(query, stem, found)

    async def _saw_later(self, query: Query, stem: Stem, waited: Awaitable[Result]) -> Result:
        return self._saw(query, stem, await waited)

    def _saw(self, query: Query, stem: Stem, found: Result) -> Result:
        """Notes what somebody on his way was told."""
        exists: bool | None = None
        has = False
        if isinstance(found, Answer) and found is not DROP and not found.error:
            exists = {types.NOERROR: True, types.NXDOMAIN: False}.get(found.rcode)
            has = exists is True and any(one.type == query.type for one in found.answer)
        self.walks.saw(query.client.address, stem, query.key, exists=exists, has=has)
        return found

    def _begin(self, query: Query, first: First, next_: Soon) -> Result | Awaitable[Result]:
        """A first step: it is asked as it stands, whoever asks."""
        found = next_(query)
        if found is SKIP or isinstance(found, Answer):
            return self._began(query, first, found)
        return self._begin_later(query, first, found)

    async def _begin_later(self, query: Query, first: First, waited: Awaitable[Result]) -> Result:
        found = self._began(query, first, await waited)
        return found if found is SKIP or isinstance(found, Answer) else await found

    def _began(self, query: Query, first: First, found: Result) -> Result | Awaitable[Result]:
        """Where the name does not exist, what this client's walk led to, if he has made it."""
        if found is SKIP or not _is_denied(found) or query.type in _UNSHORTENED:
            return found
        learner, address = Learner(self.walks, first.name), query.client.address
        query.reads_class(learner)
        query.touch(("search path", first.name))
        standing = learner.classify(address)
        if standing is PLAIN:
            return found
        steps = self.walks.learned(address, first.name)
        if steps is not None:
            return self._shorten(query, first, steps, found)
        query.forget()
        stem = self.walks.begin(address, first)
        if stem:
            self._site.stamps.bump((("search path", stem),))
        return found

    async def _shorten(self, query: Query, first: First, steps: Steps, denied: Answer) -> Answer:
        """The bare name's answer, if all steps before it still are denied; else the plain one."""
        denials = [denied]
        for name in steps[1:]:
            step = await query.lookup(name, query.type)
            if step is None or not _is_denied(step):
                return self._lost(query, first, denied)
            denials.append(step)
        found = await query.lookup(first.base, query.type)
        if found is None or found.error or found.rcode or found.flags & types.TC:
            return self._lost(query, first, denied)
        cap, until = limit(query.now, denials, found)
        if not cap:
            query.forget()
            return denied
        query.until(until)
        if self.walks.learned(query.client.address, first.name) != steps:
            query.forget()  # his class is another one by now, whose answer this is not
        self._tally.hits += 1
        query.credit(self._tally)
        return shortened(first.name, first.base, found, cap)

    def _lost(self, query: Query, first: First, denied: Answer) -> Answer:
        """The walk is not what it was: its client is to make it again."""
        query.forget()
        self.walks.drop(query.client.address, first.name)
        self._site.stamps.bump((("search path", first.name),))
        return denied


def _is_denied(found: Answer) -> bool:
    return found.rcode == types.NXDOMAIN and not found.error


def _walks(life: Life) -> Iterator[tuple[Labels, float]]:
    """How many walks are known, learned or under way."""
    seen = {
        one.site.label: one.learning.walks.count
        for one in life.plugins
        if isinstance(one, Autopath) and one.learning
    }
    for label, count in seen.items():
        yield (label,), float(count)
