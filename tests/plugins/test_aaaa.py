"""aaaa: which family is left out, and that whether a name exists stays right."""

import asyncio

import pytest

from kdns.cluster.objects import Service
from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins import aaaa as module
from kdns.plugins.aaaa import Aaaa
from kdns.plugins.acl import Acl
from kdns.plugins.base import SKIP, Backend
from kdns.plugins.cache import Cache
from kdns.plugins.kubernetes import Kubernetes
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from tests import fakes
from tests.plugins.searching import Outside, Server
from tests.zone.worlds import endpoint, service, slice_

V4, V6, BOTH = b"\x0a\0\0\1", bytes(15) + b"\7", "dual.example.org"
CLUSTER = (service("web", "10.0.0.1"), service("ext", external="dual.example.org"))
KINDS = (Aaaa, Acl, Cache, Kubernetes, Outside)
CLIENT = "10.1.0.1"


def server(stanza: str, documents=CLUSTER, *, more: str = "") -> Server:
    made = Server(f"{stanza}\n{more}\nkubernetes cluster.local\noutside", documents, kinds=KINDS)
    made.outside.set(BOTH, "192.0.2.1", "2001:db8::1")
    made.outside.set("six.example.org", "2001:db8::6")
    made.outside.set("none.example.org")
    made.outside.set("broken.example.org", fails=True)
    return made


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """Our own addresses, as a test has them."""
    found = {"eth0": ("10.1.0.9",), "lo": ("127.0.0.1", "::1"), "link": ("fe80::1%eth0",)}
    monkeypatch.setattr(module, "interfaces", lambda: found)
    return found


async def auto(documents=CLUSTER) -> Server:
    made = server("aaaa auto", documents)
    await made.plugins[0].start()
    return made


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        (BOTH, "A", "192.0.2.1"),
        (BOTH, "AAAA", ""),
        ("six.example.org", "AAAA", ""),
        ("none.example.org", "AAAA", ""),
        ("missing.example.org", "AAAA", "NXDOMAIN"),
        ("missing.example.org", "A", "NXDOMAIN"),
        ("broken.example.org", "AAAA", "SERVFAIL"),
        ("web.a.svc.cluster.local", "A", "10.0.0.1"),
        ("web.a.svc.cluster.local", "AAAA", ""),
        ("no.a.svc.cluster.local", "AAAA", "NXDOMAIN"),
        ("ext.a.svc.cluster.local", "A", f"{BOTH}. 192.0.2.1"),
    ],
)
@pytest.mark.parametrize("stanza", ["aaaa suppress", "aaaa auto"])
async def test_there_are_no_records_but_the_code_is_the_names(stanza, name, type_, expected):
    made = server(stanza)
    await made.plugins[0].start()
    for _ in range(4):
        assert await made.said(CLIENT, name, type_) == expected


@pytest.mark.parametrize("name", [BOTH, "six.example.org", "none.example.org"])
async def test_the_denial_has_an_soa_and_lasts_as_long_as_the_other_records(name):
    reply = await server("aaaa suppress").ask(CLIENT, name, "AAAA")
    [rrset] = reply.authority
    assert rrset.rdtype == types.SOA
    assert rrset.ttl == (300 if name == BOTH else 30)
    assert rrset[0].minimum in (300, 30)


async def test_aliases_are_kept():
    class Alias(Backend):
        name = "alias"

        async def answer(self, query):
            target = names.parse("there.example.org")
            return Answer(
                answer=(
                    RRset(query.key, types.CNAME, 60, (target,)),
                    RRset(target, types.A, 20, (V4,)),
                )
            )

    made = fakes.chain("aaaa suppress\nalias", Aaaa, Alias)
    answer = await made.ask("here.example.org", "AAAA")
    assert [one.type for one in answer.answer] == [types.CNAME]
    assert [one.ttl for one in answer.authority] == [20]
    assert await made.ask("here.example.org", "A") != answer


async def test_both_families_are_one_question_outside_with_a_cache():
    made = server("aaaa suppress", more="cache")
    for type_ in ("AAAA", "A", "AAAA"):
        await made.ask(CLIENT, BOTH, type_)
    assert made.outside.asked == [f"{BOTH}."]


async def test_a_cached_denial_counts_down_with_what_it_came_from():
    made = server("aaaa suppress", more="cache 20")
    ttls = []
    for _ in range(4):
        ttls.append((await made.ask(CLIENT, BOTH, "AAAA")).authority[0].ttl)
        made.site.clock.now += 4
    assert ttls == [20, 16, 12, 8]


@pytest.mark.parametrize(
    ("stanza", "name", "expected"),
    [
        ("aaaa keep", BOTH, "2001:db8::1"),
        ("aaaa suppress example.net", BOTH, "2001:db8::1"),
        ("aaaa suppress example.net example.org", BOTH, ""),
    ],
)
async def test_only_where_it_is_wanted(stanza, name, expected):
    assert await server(stanza).said(CLIENT, name, "AAAA") == expected


async def test_other_types_are_left_alone():
    made = server("aaaa suppress")
    made.outside.known[names.parse_key(BOTH)] = ()
    assert await made.said(CLIENT, BOTH, "TXT") == ""
    assert await made.said(CLIENT, "missing.example.org", "TXT") == "NXDOMAIN"


async def test_suppress_hides_endpoints_too_and_auto_does_not():
    headless = (service("six"), slice_("six", endpoint("2001:db8::5")))
    documents = (*CLUSTER, *headless)
    name = "six.a.svc.cluster.local"
    assert await server("aaaa suppress", documents).said(CLIENT, name, "AAAA") == ""
    assert await (await auto(documents)).said(CLIENT, name, "AAAA") == "2001:db8::5"


# What auto finds


def addressed(*addresses: bytes) -> Put:
    return Put(Service("a", "new", addresses))


async def test_a_cluster_that_becomes_dual_stack_is_answered_both():
    made = await auto()
    for _ in range(4):
        assert await made.said(CLIENT, BOTH, "AAAA") == ""
    made.apply(addressed(V4, V6))
    made.plugins[0].judge()
    assert await made.said(CLIENT, BOTH, "AAAA") == "2001:db8::1"
    made.apply(Delete(Service, "a", "new"))
    made.plugins[0].judge()
    assert await made.said(CLIENT, BOTH, "AAAA") == ""


async def test_our_own_second_family_is_a_second_family(own):
    own["eth0"] = ("10.1.0.9", "fd00::9")
    made = await auto()
    assert await made.said(CLIENT, BOTH, "AAAA") == "2001:db8::1"


async def test_in_a_cluster_of_ipv6_alone_a_is_left_out(own):
    own["eth0"] = ("fd00::9",)
    made = await auto((service("web", "fd00::1"),))
    assert await made.said(CLIENT, BOTH, "A") == ""
    assert await made.said(CLIENT, BOTH, "AAAA") == "2001:db8::1"
    assert await made.said(CLIENT, "missing.example.org", "A") == "NXDOMAIN"


async def test_before_the_cluster_is_known_nothing_is_left_out():
    made = Server("aaaa auto\nkubernetes cluster.local\noutside", CLUSTER, kinds=KINDS)
    made.outside.set(BOTH, "192.0.2.1", "2001:db8::1")
    made.store.has_synced = False
    await made.plugins[0].start()
    assert await made.said(CLIENT, BOTH, "AAAA") == "2001:db8::1"
    made.store.has_synced = True
    made.plugins[0].judge()
    assert await made.said(CLIENT, BOTH, "AAAA") == ""


async def test_every_answer_is_for_all_clients():
    made = await auto()
    for address in ("10.1.0.1", "fd00::1", "10.1.0.2", "10.1.0.1", "fd00::1"):
        assert await made.said(address, BOTH, "AAAA") == ""
        assert await made.said(address, BOTH, "A") == "192.0.2.1"
    assert len(made.outside.asked) == 4, "two answers for all of them, kept on second sight"


async def test_what_was_left_out_is_counted_from_the_table_too():
    made = await auto()
    for _ in range(6):
        await made.ask(CLIENT, BOTH, "AAAA")
        await made.ask(CLIENT, "missing.example.org", "AAAA")
    await made.pipeline.tell_all()
    assert made.site.counters.values["kdns_aaaa_suppressed_total", "dns://:53"] == 6


async def test_an_empty_chain_stays_empty():
    made = fakes.chain("aaaa suppress", Aaaa)
    assert await made.ask(BOTH, "AAAA") is SKIP


async def test_auto_needs_a_cluster():
    made = fakes.chain("aaaa auto", Aaaa)
    with pytest.raises(ConfigError, match="there is no cluster"):
        await made.plugins[0].start()


@pytest.mark.parametrize("stanza", ["aaaa", "aaaa maybe", "aaaa suppress a..b", "aaaa auto {\n}"])
def test_mistakes(stanza):
    with pytest.raises(ConfigError):
        fakes.chain(stanza, Aaaa)


async def test_the_cluster_is_followed(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    made = await auto()
    assert await made.said(CLIENT, BOTH, "AAAA") == ""
    [work] = made.plugins[0].tasks()
    task = asyncio.ensure_future(work)
    made.apply(addressed(V4, V6))
    async with asyncio.timeout(40):
        while await made.said(CLIENT, BOTH, "AAAA") == "":
            await asyncio.sleep(0.001)
    task.cancel()
