"""How musl looks a name up: all nameservers at once, and the first conclusive answer counts.

A name with ndots dots or more is asked as written and never searched. Of any other the search
domains come first, then the name as written, and only NXDOMAIN leads from one to the next. A and
AAAA must both be answered. SERVFAIL is asked again a few times, other codes are waited out.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from kdns.client.search_replies import (
    ADDRESSES,
    Query,
    Reply,
    addresses,
    query,
    read,
    wire_name,
)
from kdns.client.search_steps import Steps, as_written, searched
from kdns.client.search_terms import Ask, Heard, Outcome, Resolv, Walk
from kdns.wire import names, types

_LONGEST_LINE: Final = 254
_AGAIN: Final[tuple[Outcome, str]] = ("failed", "EAI_AGAIN")
_NO_DATA: Final[tuple[Outcome, str]] = ("no data", "EAI_NODATA")
_NO_NAME: Final[tuple[Outcome, str]] = ("no such name", "EAI_NONAME")
_IN_C: Final = {"EAI_AGAIN": "TRY_AGAIN", "EAI_NODATA": "NO_DATA", "EAI_NONAME": "HOST_NOT_FOUND"}
_CONCLUSIVE = frozenset({types.NOERROR, types.NXDOMAIN})

Pending = dict["asyncio.Task[Heard]", tuple[int, Query, tuple[str, int], str]]
"""Questions under way: where they stand among the steps, and what was asked whom over what."""


@dataclass(slots=True)
class Settled:
    """The queries of one name that need no more datagrams."""

    replies: dict[int, Reply | None] = field(default_factory=dict)
    """By type; None where the reply was cut off and TCP brought no other."""
    streams: set[int] = field(default_factory=set)
    """Types asked for over TCP."""
    unheeded: list[int] = field(default_factory=list)
    """Where those questions stand that brought nothing to go by."""
    left: int = 0
    """So many failures are asked again at once."""


class Musl:
    """One look-up."""

    def __init__(self, asked: tuple[int, ...], resolv: Resolv, ask: Ask) -> None:
        self._types = asked
        self._is_for_host = set(asked) <= ADDRESSES
        self._resolv = resolv
        self._ask = ask
        self._steps = Steps()

    async def look_up(self, name: str) -> Walk:
        """The whole walk."""
        bare = name.removesuffix(".")
        if not bare or bare.endswith("."):
            return self._end(_NO_NAME)
        if not self._resolv.attempts:
            return self._end(("failed", "SIGFPE: musl divides by attempts:0"))
        search = self._search(name)
        for at, domain in enumerate(search):
            if len(domain) < 256 - len(bare) - 1:
                asked = f"{bare}.{domain}"
                ended = await self._query(asked, searched(at, search), "goes on")
                if ended is not None:
                    return ended
        because = as_written(name, self._resolv.ndots, "last" if search else "only")
        last = await self._query(bare, because, "ends here: no such name")
        return last or self._end(_NO_NAME)

    def _search(self, name: str) -> tuple[str, ...]:
        """The domains a name is searched in."""
        search, ndots = self._resolv.search, self._resolv.ndots
        if name.count(".") >= ndots or name.endswith(".") or not self._is_for_host:
            return ()
        is_skipped = len("search " + " ".join(search)) > _LONGEST_LINE
        return () if is_skipped else search

    async def _query(self, text: str, because: str, otherwise: str) -> Walk | None:
        """The end of the walk, or None where there is no such name: what happens otherwise."""
        name = wire_name(text)
        if name is None:
            return None
        since = self._steps.here
        queries = [query(name, type_) for type_ in self._types]
        settled = Settled()
        for left in reversed(range(self._resolv.attempts if self._resolv.timeout_s else 0)):
            await self._round(queries, because, settled)
            if len(settled.replies) == len(queries):
                for at in settled.unheeded:
                    self._steps.settle_one(at, "waits for another answer")
                break
            settled.unheeded.clear()
            if left:
                self._steps.settle(since, "asks all servers again")
        return self._judged(name, since, settled, otherwise)

    async def _round(self, queries: list[Query], because: str, settled: Settled) -> None:
        """Asks all servers what is not settled, until it is or none will answer."""
        settled.left = 2 * len(queries)
        pending: Pending = {}
        for each in queries:
            if each.type not in settled.replies:
                for server in self._resolv.nameservers:
                    self._send(pending, each, server, because, "udp")
        try:
            while pending and len(settled.replies) < len(queries):
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=lambda one: pending[one][0]):
                    self._take(pending, task, because, settled)
        finally:
            for task, (at, *_) in pending.items():
                task.cancel()
                self._steps.hear(at, Heard(error="it was not waited for"))
            await asyncio.gather(*pending, return_exceptions=True)

    def _send(
        self,
        pending: Pending,
        asked: Query,
        server: tuple[str, int],
        because: str,
        transport: str,
    ) -> None:
        at = self._steps.add(asked, server, because, Heard())
        task = asyncio.ensure_future(self._ask(server, asked.packet, transport))
        pending[task] = at, asked, server, transport

    def _take(
        self, pending: Pending, task: "asyncio.Task[Heard]", because: str, settled: Settled
    ) -> None:
        """Heeds one reply, or what came in its place."""
        at, asked, server, transport = pending.pop(task)
        heard = task.result()
        self._steps.hear(at, heard)
        reply = read(asked, heard, 4, is_strict=False)
        is_conclusive = reply is not None and reply.rcode in _CONCLUSIVE
        if transport == "tcp":
            settled.replies[asked.type] = reply if is_conclusive else None
        elif asked.type in settled.replies or asked.type in settled.streams:
            self._steps.settle_one(at, "is too late: another server answered first")
        elif reply is not None and reply.rcode == types.SERVFAIL and settled.left:
            settled.left -= 1
            self._steps.settle_one(at, "asks this server again")
            self._send(pending, asked, server, because, "udp")
        elif reply is not None and is_conclusive and reply.flags & types.TC:
            settled.streams.add(asked.type)
            self._steps.settle_one(at, "asks again over TCP")
            self._send(pending, asked, server, because, "tcp")
        elif is_conclusive:
            settled.replies[asked.type] = reply
        else:
            settled.unheeded.append(at)

    def _judged(self, name: bytes, since: int, settled: Settled, otherwise: str) -> Walk | None:
        """What the replies say together: A first, and each must be a good one."""
        replies = [settled.replies.get(type_) for type_ in self._types]
        known: list[Reply] = []
        for reply in replies:
            if reply is None:
                self._steps.settle(since, "ends here: not all was answered")
                return self._end(_AGAIN)
            if reply.rcode == types.NXDOMAIN:
                self._steps.settle(since, otherwise)
                return None
            known.append(reply)
        found = tuple(text for reply in known for text in addresses(reply))
        is_answered = bool(found) if self._is_for_host else any(one.is_found for one in known)
        self._steps.settle(since, f"ends here: {'answered' if is_answered else 'no data'}")
        told: tuple[Outcome, str] = ("answered", "") if is_answered else _NO_DATA
        return self._end(told, name, _last_alias(known), found)

    def _end(
        self,
        told: tuple[Outcome, str],
        name: bytes | None = None,
        canonical: str = "",
        found: tuple[str, ...] = (),
    ) -> Walk:
        outcome, says = told
        if not self._is_for_host:
            says = _IN_C.get(says, says)
        asked = tuple(self._steps.asked)
        answered = names.format(name) if name is not None else ""
        return Walk("musl", asked, outcome, says, answered, canonical, found)


def _last_alias(replies: list[Reply]) -> str:
    """The target of the last CNAME, AAAA read before A; whose alias it is does not matter."""
    for reply in replies:
        for rrset in reversed(reply.answer):
            if rrset.type == types.CNAME:
                return names.format(rrset.rdatas[-1])
    return ""
