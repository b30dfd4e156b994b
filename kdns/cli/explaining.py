"""`/explain` of the status port: query parameters become an explanation by the server that serves.

`name`, `type`, `from` are those of `kdns explain`; `format=text` gives its text instead of JSON,
`format=told` the text and the reason's id.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from kdns.client.search import parse_resolv
from kdns.explain import shapes, text
from kdns.explain.answer import LIBCS, Question, QuestionError, explain
from kdns.explain.gather_server import OfServer
from kdns.explain.said import Explanation
from kdns.explain.scenes import running
from kdns.plugins.base import HttpReply
from kdns.server.service import Service

LIMIT_S: Final = 20.0
"""Upstreams that do not answer take five seconds for each step of a search path."""
MOST_AT_ONCE: Final = 16
"""Explanations; more wait their turn, within LIMIT_S."""
DOMAINS: Final = 32
"""Search domains that the kubelet lets a pod have, and glibc had before it took any number."""
SLOW: Final = "an upstream is dead, or large manifests are still being read; ask again"
JSON: Final = "application/json"


class Told(msgspec.Struct):
    """What `format=told` gives."""

    reason: str
    text: str


class Explainer:
    """Explains names for as long as the server runs."""

    def __init__(self, service: Service) -> None:
        self._scene = running(service, OfServer())
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def serve(self, query: Mapping[str, str]) -> HttpReply:
        """The reply to a request."""
        question = Question(
            query.get("name", "").strip(),
            query.get("type", "").strip().upper(),
            query.get("from", "").strip(),
            query.get("resolv", ""),
            connects="connect" in query,
        )
        if not question.name:
            return _refused("give a name: /explain?name=web.shop.svc.cluster.local")
        if any(len(parse_resolv(question.resolv_conf, one).search) > DOMAINS for one in LIBCS):
            return _refused(f"resolv: more than {DOMAINS} search domains")
        try:
            async with asyncio.timeout(LIMIT_S), self._turns:
                found = await explain(question, self._scene)
        except QuestionError as error:
            return _refused(str(error))
        except TimeoutError:
            return _refused(f"this took more than {LIMIT_S:g} s: {SLOW}", 504)
        match query.get("format", ""):
            case "text":
                return HttpReply(200, _text(found, query).encode())
            case "told":
                told = Told(found.reasons[0].id, _text(found, query))
                return HttpReply(200, msgspec.json.encode(told), JSON)
        return HttpReply(200, shapes.encode(found), JSON)


def _text(found: Explanation, query: Mapping[str, str]) -> str:
    width = query.get("width", "")
    columns = int(width) if width.isdecimal() and len(width) < 4 else 100
    return text.render(found, width=max(columns, 40), colour=bool(query.get("colour")))


def _refused(why: str, status: int = 400) -> HttpReply:
    return HttpReply(status, f"{why}\n".encode())
