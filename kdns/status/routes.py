"""What `status` serves, by path: the page, its JSON, and the explainer that is handed in."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kdns.plugins.base import Endpoint, Guard, HttpReply
from kdns.plugins.status import Status
from kdns.status.page import POLICY, page
from kdns.status.state import JSON, State

HTML: Final = "text/html; charset=utf-8"
FOLLOWS_S: Final = 0.5

Serve = Callable[[Mapping[str, str]], Awaitable[HttpReply]]


def routes(plugin: Status, explain: Serve) -> list[Endpoint]:
    """The endpoints of a page (`Life.page`)."""
    state = State(plugin)
    document = page()
    guard = Guard(POLICY, plugin.token, ("/",))

    async def front(_: Mapping[str, str]) -> HttpReply:
        return HttpReply(200, document, HTML)

    async def status(_: Mapping[str, str]) -> HttpReply:
        return HttpReply(200, await state.status(), JSON)

    async def services(query: Mapping[str, str]) -> HttpReply:
        try:
            return HttpReply(200, await state.listing.page(query), JSON)
        except ValueError:
            return HttpReply(400, b"limit: a number of services, 1 to 200\n")

    async def changes(query: Mapping[str, str]) -> HttpReply:
        return await state.pulse(query.get("after", ""))

    def at(
        path: str, serve: Serve, *, is_lead: bool = False, adds: bool = False, follows_s: float = 0
    ) -> Endpoint:
        address = plugin.address
        return Endpoint(*address, path, serve, plugin.web, guard, is_lead, adds, follows_s)

    return [
        at("/", front, is_lead=True),
        at("/status", status, adds=True),
        at("/services", services, is_lead=True),
        at("/changes", changes, adds=True),
        at("/events", changes, adds=True, follows_s=FOLLOWS_S),
        at("/explain", explain, is_lead=True),
    ]
