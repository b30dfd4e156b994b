"""How glibc looks a name up: one nameserver after the other, A and AAAA side by side.

A name with ndots dots or more is asked as written first, any other last; in between come the search
domains. NXDOMAIN, NODATA and SERVFAIL go on to the next of them, what else goes wrong goes to the
name as written at once. SERVFAIL, NOTIMP, REFUSED, a referral and silence go to the next server.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from kdns.client.search_replies import (
    ADDRESSES,
    Query,
    Reply,
    addresses,
    aliases,
    is_host,
    query,
    read,
    wire_name,
)
from kdns.client.search_steps import Steps, as_written, searched
from kdns.client.search_terms import Ask, Heard, Outcome, Resolv, Walk
from kdns.wire import names, types

FOUND: Final = "found"
NO_NAME: Final = "HOST_NOT_FOUND"
NO_DATA: Final = "NO_DATA"
AGAIN: Final = "TRY_AGAIN"
BROKEN: Final = "NO_RECOVERY"
_HANGS: Final = "hangs"

_TOLD: Final[dict[str, tuple[Outcome, str]]] = {
    NO_NAME: ("no such name", "EAI_NONAME"),
    NO_DATA: ("no data", "EAI_NODATA"),
    AGAIN: ("failed", "EAI_AGAIN"),
    BROKEN: ("no such name", "EAI_NONAME"),
    _HANGS: ("failed", "nothing: it waits over TCP without limit"),
}
_OTHER_SERVER = frozenset({types.SERVFAIL, types.NOTIMP, types.REFUSED})
_ENDS: Final = {NO_NAME: "no such name", NO_DATA: "no data", AGAIN: "no server gave an answer"}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one name."""

    code: str
    is_servfail: bool = False
    """TRY_AGAIN because a server said SERVFAIL: the search goes on."""
    is_unreached: bool = False
    """TRY_AGAIN because no server could be asked: the search ends."""
    replies: tuple[Reply, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one server: replies, or why there are none to go by."""

    replies: tuple[Reply, ...] = ()
    is_truncated: bool = False
    is_silent: bool = False
    is_reached: bool = True
    has_hung: bool = False
    rcode: int | None = None
    """Of the first reply, heeded or not: glibc looks at it again when all servers failed."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to ask when a name brings nothing."""

    domains: bool = False
    written: bool = False
    """The name as written, behind the search domains."""
    is_first: bool = False
    """Nothing that goes wrong with the name as written, asked first, keeps from searching."""


class Glibc:
    """One look-up; what it learned of a server while it lasts, it keeps to."""

    def __init__(self, asked: tuple[int, ...], resolv: Resolv, ask: Ask) -> None:
        self._options = frozenset(resolv.options)
        self._is_for_host = set(asked) <= ADDRESSES
        self._is_blind = "no-aaaa" in self._options and asked == (types.AAAA,)
        """A is asked in place of AAAA, and what it says thrown away."""
        if "no-aaaa" in self._options and self._is_for_host:
            asked = (types.A,)
        self._types = asked
        self._resolv = resolv
        self._ask = ask
        self._steps = Steps()
        self._turn = 0
        self._reopens = "single-request-reopen" in self._options
        self._is_single = self._reopens or "single-request" in self._options

    async def look_up(self, name: str) -> Walk:
        """The whole walk."""
        if not name or (self._is_for_host and name != "." and not is_host(name)):
            return self._end(name, Came(NO_NAME))
        asked, came = await self._search(name)
        return self._end(asked, came)

    async def _search(self, name: str) -> tuple[str, Came]:
        """Asks until one name is found; with none, says what all of them come to."""
        ndots, search = self._resolv.ndots, self._resolv.search
        dots, is_absolute = name.count("."), name.endswith(".")
        first = None
        if dots >= ndots or is_absolute:
            left = Left(bool(search) and not is_absolute, is_first=True)
            first = await self._query(name, as_written(name, ndots, "first"), left)
            if first.code in {FOUND, _HANGS} or is_absolute:
                return name, first
        is_kept = not dots and bool(search) and not self._options.isdisjoint(_NO_TLD)
        is_left = first is None and not is_kept and not any(_is_root(one) for one in search)
        asked, came, seen = await self._search_domains(name, is_written_left=is_left)
        if came.code in {FOUND, _HANGS} or came.is_unreached:
            return asked, came
        if is_left:
            came = await self._query(name, as_written(name, ndots, "last"), Left())
            if came.code in {FOUND, _HANGS}:
                return name, came
        if first is not None:
            return name, first
        for code in (NO_DATA, AGAIN):
            if code in seen:
                return name, Came(code)
        return name, came

    async def _search_domains(
        self, name: str, *, is_written_left: bool
    ) -> tuple[str, Came, set[str]]:
        """Asks with each search domain; says which codes were remembered."""
        seen: set[str] = set()
        came, asked, search = Came(NO_NAME), name, self._resolv.search
        for at, domain in enumerate(search):
            asked = name + "." + domain.removeprefix(".")
            if _is_root(domain):
                asked = name + "."
            left = Left(at < len(search) - 1, is_written_left)
            came = await self._query(asked, searched(at, search), left)
            if came.code == NO_DATA or came.is_servfail:
                seen.add(came.code)
            elif came.code != NO_NAME:
                break
        return asked, came, seen

    async def _query(self, text: str, because: str, left: Left) -> Came:
        """Asks all servers for one name, as often as it takes."""
        name = wire_name(text)
        if name is None:
            return Came(BROKEN)
        queries = [query(name, type_, self._options) for type_ in self._types]
        since = self._steps.here
        came = await self._servers(queries, because)
        self._steps.settle(since, _then(came, left))
        return came

    async def _servers(self, queries: list[Query], because: str) -> Came:
        over_tcp = "use-vc" in self._options
        is_reached, rcode = False, types.NOERROR
        servers = self._order()
        for left in reversed(range(self._resolv.attempts)):
            for server in servers:
                since = self._steps.here
                tried = None
                if not over_tcp:
                    tried = await self._datagrams(queries, server, because)
                    if tried.is_truncated:
                        self._steps.settle(since, "asks again over TCP")
                        over_tcp = True
                if over_tcp:
                    tried = await self._stream(queries, server, because)
                assert tried is not None
                if tried.has_hung:
                    return Came(_HANGS)
                if tried.replies:
                    came = _judged(tried.replies)
                    return Came(NO_DATA) if self._is_blind and came.code == FOUND else came
                is_reached |= tried.is_reached
                rcode = rcode if tried.rcode is None else tried.rcode
                if server != servers[-1] or (left and not over_tcp):
                    again = "asks the next server" if len(servers) > 1 else "asks it again"
                    self._steps.settle(since, again)
            if over_tcp:
                break
        return Came(AGAIN, rcode == types.SERVFAIL, not is_reached)

    def _order(self) -> tuple[tuple[str, int], ...]:
        """The servers in turn; with `rotate` glibc begins at any of them, this at the first."""
        servers = self._resolv.nameservers
        if "rotate" not in self._options:
            return servers
        at = self._turn % len(servers)
        self._turn += 1
        return servers[at:] + servers[:at]

    async def _datagrams(
        self, queries: list[Query], server: tuple[str, int], because: str
    ) -> Tried:
        """Asks one server over UDP. Where it answers one of a pair only, it is asked again, one
        question after the other, and then again from another port.
        """
        while True:
            since = self._steps.here
            if self._is_single or len(queries) == 1:
                tried = await self._in_turn(queries, server, because)
            else:
                tried = _tried(await self._together(queries, server, because, "udp"))
            if not (tried.replies and tried.is_silent) or self._reopens:
                return tried
            if self._is_single:
                self._reopens = True
                self._steps.settle(since, "asks again from another port")
            else:
                self._is_single = True
                self._steps.settle(since, "asks again, one question after the other")

    async def _together(
        self, queries: list[Query], server: tuple[str, int], because: str, transport: str
    ) -> list[tuple[Query, Heard]]:
        at = [self._steps.add(each, server, because, Heard()) for each in queries]
        heard = await asyncio.gather(
            *(self._ask(server, each.packet, transport) for each in queries)
        )
        for one, came in zip(at, heard, strict=True):
            self._steps.hear(one, came)
        return list(zip(queries, heard, strict=True))

    async def _in_turn(self, queries: list[Query], server: tuple[str, int], because: str) -> Tried:
        """The second question only when the first was answered well."""
        heard: list[tuple[Query, Heard]] = []
        for each in queries:
            at = self._steps.add(each, server, because, Heard())
            came = await self._ask(server, each.packet, "udp")
            self._steps.hear(at, came)
            heard.append((each, came))
            if not _tried([(each, came)]).replies:
                break
        return _tried(heard)

    async def _stream(self, queries: list[Query], server: tuple[str, int], because: str) -> Tried:
        """Asks over TCP, where every code is an answer, and silence is waited out for ever."""
        heard = await self._together(queries, server, because, "tcp")
        failures = {came.failure for _, came in heard if came.reply is None}
        if failures & {"refused", "cut"}:
            return Tried(is_reached="refused" not in failures)
        replies = [read(each, came, 12, is_strict=False) for each, came in heard]
        if None in replies:
            return Tried(has_hung=True)
        return Tried(tuple(reply for reply in replies if reply is not None))

    def _end(self, asked: str, came: Came) -> Walk:
        """What the application is told."""
        name = wire_name(asked)
        canonical = ""
        found: tuple[str, ...] = ()
        if came.code == FOUND and name is not None:
            ends = [(reply, aliases(name, reply.answer)) for reply in came.replies]
            found = tuple(text for reply, end in ends for text in addresses(reply, end))
            named = [end for reply, end in ends if addresses(reply, end)]
            aliased = [end for _, end in ends if end != name]
            canonical = next(
                (names.format(end) for end in (named or aliased)[:1] if end != name), ""
            )
        outcome, says = self._told(came.code, has_addresses=bool(found))
        steps = tuple(self._steps.asked)
        answered = names.format(name) if came.code == FOUND and name is not None else ""
        return Walk("glibc", steps, outcome, says, answered, canonical, found)

    def _told(self, code: str, *, has_addresses: bool) -> tuple[Outcome, str]:
        if code == FOUND and (has_addresses or not self._is_for_host):
            return "answered", ""
        # Aliases that lead nowhere, too, are no such name to getaddrinfo.
        outcome, says = _TOLD[NO_NAME if code == FOUND else code]
        return outcome, says if self._is_for_host or code not in _TOLD else code


_NO_TLD = frozenset({"no-tld-query", "no_tld_query"})


def _is_root(domain: str) -> bool:
    return domain in {"", "."}


def _tried(heard: list[tuple[Query, Heard]]) -> Tried:
    """What the datagrams of one server come to."""
    replies = [read(each, came, 12, is_strict=True) for each, came in heard]
    known = [reply for reply in replies if reply is not None]
    rcode = known[0].rcode if known else None
    if any(reply.flags & types.TC for reply in known):
        return Tried(is_truncated=True)
    if any(came.reply is None and came.failure == "refused" for _, came in heard):
        return Tried(is_reached=bool(known), rcode=rcode)
    if any(came.reply is not None and len(came.reply) < 12 for _, came in heard):
        return Tried(rcode=rcode)
    heeded = tuple(one for one in known if one.rcode not in _OTHER_SERVER and not one.is_lame)
    return Tried(heeded, is_silent=None in replies, rcode=rcode)


def _judged(replies: tuple[Reply, ...]) -> Came:
    """What the replies say together: one with records is enough, else the first code counts."""
    if any(reply.is_found for reply in replies):
        return Came(FOUND, replies=replies)
    rcode = next((reply.rcode for reply in replies if reply.rcode), types.NOERROR)
    if rcode == types.NXDOMAIN:
        return Came(NO_NAME)
    if rcode == types.SERVFAIL:
        return Came(AGAIN, is_servfail=True)
    return Came(BROKEN if rcode else NO_DATA)


def _then(came: Came, left: Left) -> str:
    """What the search does next with what came of a name."""
    if came.code == FOUND:
        return "ends here: answered"
    if came.code == _HANGS:
        return "waits without limit"
    is_passed = left.is_first or came.code in {NO_NAME, NO_DATA} or came.is_servfail
    if is_passed and (left.domains or left.written):
        return "goes on" if came.code == NO_NAME else "goes on, and remembers what went wrong"
    if left.written and not came.is_unreached:
        return "leaves the search list for the name as written"
    return f"ends here: {_ENDS.get(came.code, 'the server will not say')}"
