"""Large manifests are read in a process of their own, which is asked, mourned and ended."""

import asyncio
import os

import pytest

from kdns.explain import aside
from kdns.explain.aside import Aside
from kdns.explain.excerpt import MOST_PODS, excerpt
from kdns.explain.facts import Facts, PodFact, ServiceFact
from kdns.explain.gather import beside
from kdns.explain.gather_server import SMALL_BYTES, OfServer
from kdns.explain.wanted import asked
from tests.explain.cluster import WEB
from tests.explain.test_gather import MANIFESTS
from tests.explain.test_gather_server import serving

ZONES = ("cluster.local.",)


@pytest.fixture
def path(tmp_path):
    """The manifests of the other tests, and as much again as makes them large."""
    file = tmp_path / "all.yaml"
    line = "---\n{apiVersion: v1, kind: Service, metadata: {name: sNUMBER, namespace: many}, spec: {}}\n"
    more = "".join(line.replace("NUMBER", str(n)) for n in range(SMALL_BYTES // 80))
    file.write_text(f"{MANIFESTS}\n{more}")
    return str(file)


@pytest.fixture
async def process():
    made = Aside()
    yield made
    await made.close()


async def test_it_says_what_the_files_say_of_some_names(path, process):
    known = beside([path])
    found = asked([WEB], "shop/web-0", ZONES)
    told = await process.facts([path], 1, found)
    assert told == excerpt(known, found)
    assert told.services["shop/web"].selector
    assert told.pods["shop"]
    assert "many/s1" not in told.services
    assert await process.facts([path], 1, found) == told


async def test_one_that_was_killed_is_told_and_begun_again(path, process, monkeypatch):
    pids = []
    begin = aside._begin

    async def noted(names):
        child = await begin(names)
        pids.append(child.pid)
        return child

    monkeypatch.setattr(aside, "_begin", noted)
    found = asked([WEB], "", ZONES)
    assert (await process.facts([path], 1, found)).services
    os.kill(pids[0], 9)
    told = await process.facts([path], 1, found)
    assert "the process that reads them ended" in told.unknown["pods"]
    assert (await process.facts([path], 1, found)).services
    assert len(pids) == 2


async def test_files_that_changed_are_read_again_and_who_gave_up_is_not_missed(path, process):
    found = asked([WEB], "", ZONES)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await process.facts([path], 1, found)
    assert (await process.facts([path], 1, found)).services
    with open(path, "w", encoding="utf-8") as file:
        file.write("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    assert not (await process.facts([path], 2, found)).services


async def test_nobody_asks_so_it_ends(path, process, monkeypatch):
    monkeypatch.setattr(aside, "IDLE_S", 0.01)
    await process.facts([path], 1, asked([WEB], "", ZONES))
    async with asyncio.timeout(40):
        while process._begun is not None:
            await asyncio.sleep(0.01)


async def test_a_server_explains_large_files_alike(path):
    known = OfServer()
    try:
        async with serving(f"manifests {path}") as plugins:
            facts = await known.facts(plugins, [WEB], "")
    finally:
        await known.close()
    assert facts.services["shop/web"].selector
    assert facts.pods["shop"]
    assert "many/s1" in facts.services


def test_of_very_many_pods_those_that_count_come_first():
    many = tuple(PodFact("a", f"p{at}", {"app": "no"}) for at in range(MOST_PODS + 9))
    last = PodFact("a", "last", {"app": "web"}, ("10.0.0.1",))
    web = ServiceFact("a", "web", selector={"app": "web"})
    known = Facts(services={"a/web": web}, slices={"a/web": ()}, pods={"a": (*many, last)})
    told = excerpt(known, asked(["web.a.svc.cluster.local."], "", ZONES))
    assert len(told.pods["a"]) == MOST_PODS
    assert told.pods["a"][0] == last
    assert "other pods" in told.unknown
    at = excerpt(known, asked([], "10.0.0.1", ZONES))
    assert at.pods["a"][0] == last
