"""Questions to an API server become lists of facts, each bounded in time and size.

Nothing here raises for what can go wrong with an API server: a list that could not be read says
why, with the RBAC rule that is missing. Replies are read in short turns of the loop, for the one
who asks may be a server with queries to answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import random
from time import monotonic, time
from typing import Final
from urllib.parse import quote

from kdns.cluster.api.connection import Access
from kdns.cluster.api.credentials import Credentials, reader
from kdns.cluster.api.failures import MALFORMED, Refused, SourceError, Unreachable
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.resources import PAGE
from kdns.cluster.api.session import Session
from kdns.cluster.api.throttle import Throttle
from kdns.cluster.pace import Pace
from kdns.explain.reading import Fact, scan
from kdns.observe.counters import Counters

REQUEST_S = 5.0
LOGIN_S = 10.0
"""An exec plugin may have to ask somebody first."""
LOST_S = 1.0
TURN_S = 0.001
"""The reply itself is taken in and split in the same turn of the loop."""
MOST_BYTES = 32 << 20
"""Of one page."""
MOST_PAGES = 80
POD_PAGE: Final = 100
UNREACHABLE: Final = -1
"""The status where there was nobody to answer."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where objects of a kind are listed."""

    kind: str
    group: str
    """As a path has it."""
    page: int
    """How many come at once: perf: that are taken apart in about 2 ms."""

    @property
    def rule(self) -> str:
        """The group as RBAC names it."""
        return self.group.split("/")[1] if self.group.count("/") == 2 else ""


_KINDS: Final = {
    "namespaces": _Kind("Namespace", "api/v1", 250),
    "services": _Kind("Service", "api/v1", 250),
    "endpointslices": _Kind("EndpointSlice", "apis/discovery.k8s.io/v1", 50),
    "pods": _Kind("Pod", "api/v1", POD_PAGE),
    "networkpolicies": _Kind("NetworkPolicy", "apis/networking.k8s.io/v1", 250),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A list that is asked for."""

    resource: str
    namespace: str = ""
    """Empty for all."""
    labels: str = ""
    fields: str = ""
    pages: int = MOST_PAGES

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.resource} in {self.namespace}" if self.namespace else self.resource

    @property
    def path(self) -> str:
        """In a URL."""
        within = f"/namespaces/{quote(self.namespace, safe='')}" if self.namespace else ""
        return f"/{_KINDS[self.resource].group}{within}/{self.resource}"

    @property
    def parameters(self) -> dict[str, str]:
        """Behind it."""
        found = {"limit": str(_KINDS[self.resource].page)}
        if self.labels:
            found["labelSelector"] = self.labels
        if self.fields:
            found["fieldSelector"] = self.fields
        return found


@dataclass(frozen=True, slots=True)
class Listed:
    """What came of it."""

    facts: tuple[Fact, ...] = ()
    trouble: str = ""
    """Why it is not all there is; empty when it is."""
    status: int = 0
    """The HTTP status where the API server refused, or UNREACHABLE."""
    has_more: bool = False
    """There are more pages than were asked for."""
    skipped: tuple[str, ...] = ()
    """Objects that could not be read."""


Ask = Callable[[Query], Awaitable[Listed]]


class Recent:
    """Asks only for what was not asked a moment ago; those who ask at once share one request."""

    def __init__(self, ask: Ask, clock: Callable[[], float], kept_s: float) -> None:
        self._ask = ask
        self._clock = clock
        self._kept_s = kept_s
        self._asked: dict[Query, tuple[float, asyncio.Task[Listed]]] = {}

    async def ask(self, query: Query) -> Listed:
        """What came of it now or a moment ago; who gives up waiting leaves it to the others."""
        now = self._clock()
        for old in [one for one, (at, task) in self._asked.items() if self._is_over(now, at, task)]:
            del self._asked[old]
        if query not in self._asked:
            self._asked[query] = now, asyncio.ensure_future(self._timed(query))
        return await asyncio.shield(self._asked[query][1])

    def forget(self, older_s: float) -> None:
        """Has asked again what was answered longer ago."""
        now = self._clock()
        for query, (at, task) in list(self._asked.items()):
            if task.done() and now - at > older_s:
                del self._asked[query]

    async def close(self) -> None:
        """Gives up what is under way."""
        tasks = [task for _, task in self._asked.values()]
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _timed(self, query: Query) -> Listed:
        found = await self._ask(query)
        if query in self._asked:  # it counts from when the answer had come
            self._asked[query] = self._clock(), self._asked[query][1]
        return found

    def _is_over(self, now: float, at: float, task: asyncio.Task[Listed]) -> bool:
        return task.done() and now - at > self._kept_s


class Asker:
    """Asks one API server."""

    def __init__(
        self,
        access: Access,
        counters: Counters,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._credentials = Credentials(reader(access), clock=clock, wall=wall)
        throttle = Throttle(access.qps, access.burst, access.max_inflight, clock)
        self._session = Session(
            self._credentials, throttle, counters, Relay(), clock=clock, chance=random
        )
        self._pace = Pace(TURN_S)
        self._clock = clock
        self._lost: tuple[float, str] = (float("-inf"), "")
        """When nobody was there, and why: not each of ten questions need find out for itself."""

    def close(self) -> None:
        """Lets go of the connections."""
        self._session.close()

    async def log_in(self) -> str:
        """Reads the credentials; says why it cannot, empty when all is well."""
        try:
            async with asyncio.timeout(LOGIN_S):
                await self._credentials.current()
        except TimeoutError:
            return f"reading the credentials takes more than {LOGIN_S:g} s"
        except SourceError as error:
            return str(error)
        return ""

    async def ask(self, query: Query) -> Listed:
        """All objects that the query asks for."""
        lost_at, why = self._lost
        if self._clock() - lost_at < LOST_S:
            return Listed((), why, UNREACHABLE)
        facts: list[Fact] = []
        skipped: list[str] = []
        parameters = query.parameters
        for _ in range(query.pages):
            try:
                async with asyncio.timeout(REQUEST_S):
                    body = await self._get(query, parameters)
                    more = await self._read(query, body, facts, skipped)
            except TimeoutError:
                return Listed(tuple(facts), f"no answer within {REQUEST_S:g} s")
            except Unreachable as error:
                self._lost = self._clock(), str(error)
                return Listed(tuple(facts), str(error), UNREACHABLE)
            except SourceError as error:
                return _failed(query, error, facts)
            except MALFORMED:
                return Listed(tuple(facts), f"what the API server says is no list of {query.title}")
            if not more:
                return Listed(tuple(facts), skipped=tuple(skipped))
            parameters = {**query.parameters, "continue": more}
        return Listed(tuple(facts), has_more=True, skipped=tuple(skipped))

    async def _get(self, query: Query, parameters: dict[str, str]) -> bytes:
        pieces, size = [], 0
        what = f"list {query.resource}"
        async with self._session.open(query.path, parameters, what=what) as body:
            while piece := await body.read(REQUEST_S):
                pieces.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise SourceError(f"a page of {query.title} has more than {size >> 20} MB")
        return b"".join(pieces)

    async def _read(self, query: Query, body: bytes, facts: list[Fact], skipped: list[str]) -> str:
        """Takes a page apart; where the next one begins, empty behind the last."""
        kind = _KINDS[query.resource].kind
        self._pace.begin()
        page = PAGE.decode(body)
        for item in page.items or ():
            try:
                fact = scan(kind, item).fact
            except ValueError as error:
                skipped.append(f"{query.title}: {error}")
                continue
            if fact is not None:
                facts.append(fact)
            if self._pace.is_due:
                await self._pace.rest()
        return page.metadata.continue_ or ""


def _failed(query: Query, error: SourceError, facts: list[Fact]) -> Listed:
    status = error.status if isinstance(error, Refused) else 0
    match status:
        case 403:
            kind = _KINDS[query.resource]
            where = f"namespace {query.namespace}" if query.namespace else "all namespaces"
            line = (
                f"403: may not list {query.resource} in {where}: who asks needs a rule with "
                f'apiGroups ["{kind.rule}"], resources ["{query.resource}"], verbs ["list"]'
            )
        case 404:
            line = f"404: this API server does not serve {query.resource}"
        case _:
            line = str(error)
    return Listed(tuple(facts), line, status)
