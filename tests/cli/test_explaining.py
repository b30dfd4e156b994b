"""`/explain` of the status port: whatever it is asked, it answers in words, and a few at a time."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kdns.cli import explaining
from kdns.cli.explaining import DOMAINS, MOST_AT_ONCE, Explainer
from kdns.explain.answer import Question, Scene
from kdns.explain.said import Explanation, Reason
from kdns.explain.scenes import NOT_FORWARDED
from tests.serving import Serving

COREFILE = """.:0 {
    bind 127.0.0.1
    hosts {
        192.0.2.1 a.example.org
    }
}
"""


@pytest.fixture
async def explainer(tmp_path: Path) -> AsyncIterator[Explainer]:
    async with Serving(COREFILE, tmp_path) as server:
        yield Explainer(server.service)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"name": "a.example.org", "width": "²"}, "a.example.org "),
        ({"name": "\0"}, "\\u{0} is no name of a host"),
        ({"name": "fe80::1%lo"}, "fe80::1 is an address"),
        ({"name": "fe80::1%\x1b[31m."}, "fe80::1%\\u{1b}[31m. is no name of a host"),
        ({"name": "a." * 4000}, "no name"),
        ({"name": "\x1b[31m"}, "\\u{1b}[31m is no name of a host"),
        ({"name": "\ud800"}, "\\u{d800} is no name of a host"),
    ],
    ids=["width", "nul", "zone", "zone-escape", "long", "escape", "surrogate"],
)
async def test_whatever_is_asked_is_explained(
    explainer: Explainer, query: dict[str, str], says: str
) -> None:
    reply = await explainer.serve({**query, "format": "text"})
    assert reply.status == 200
    assert reply.body.decode().startswith(says)
    assert (await explainer.serve(query)).status == 200


@pytest.mark.parametrize("word", ["search", "domain"])
async def test_search_lists_longer_than_a_pod_can_have_are_refused(
    explainer: Explainer, word: str
) -> None:
    for count, status in ((DOMAINS, 200), (DOMAINS + 1, 400)):
        resolv = f"{word} {' '.join(f'd{at}' for at in range(count))}\n"
        reply = await explainer.serve({"name": "a", "resolv": resolv})
        assert reply.status == status, reply.body


async def test_after_a_reload_it_speaks_of_what_serves_now(tmp_path: Path) -> None:
    async def said() -> tuple[list[str], bool]:
        found = json.loads((await explainer.serve({"name": "a.example.org."})).body)
        return found["walks"][0]["steps"][0]["answer"], NOT_FORWARDED in found["unknown"]

    async with Serving(COREFILE, tmp_path) as server:
        explainer = Explainer(server.service)
        assert await said() == (["192.0.2.1"], True)
        forwards = COREFILE.replace("hosts", "forward . 127.0.0.1:1\n    hosts")
        assert await server.reload(forwards.replace("192.0.2.1", "192.0.2.2"))
        assert await said() == (["192.0.2.2"], False)


async def test_few_are_explained_at_once(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    async def slow(question: Question, _: Scene) -> Explanation:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return Explanation(question.name, "", (), (Reason("resolves", "yes"),), {}, (), (), "")

    monkeypatch.setattr(explaining, "explain", slow)
    replies = await asyncio.gather(*(explainer.serve({"name": str(at)}) for at in range(30)))
    assert {reply.status for reply in replies} == {200}
    assert most == MOST_AT_ONCE
