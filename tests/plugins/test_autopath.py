"""autopath with a path that is given: what CoreDNS 1.15.0 answered, and whose path it was."""

import asyncio
import os

import pytest

from kdns.client import reread
from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins.autopath import Autopath
from kdns.plugins.base import DROP, SKIP, Backend
from kdns.server.assembly import Services, build
from kdns.wire import names, types
from kdns.wire.message import Answer
from tests import fakes
from tests.plugins.searching import (
    RESOLVERS,
    Outside,
    Server,
    glibc,
    musl,
    pod_path,
)
from tests.zone.worlds import namespace, objects, pod, service

KUBERNETES = "kubernetes cluster.local {\n pods verified\n}\noutside"
CLUSTER = (
    service("web", "10.0.0.1"),
    service("db", "10.0.0.2", ns="b"),
    pod("one", "10.1.0.1"),
    pod("two", "10.1.0.2", ns="b"),
    pod("more", "10.1.0.3"),
    pod("host", "10.9.0.1"),
    pod("host", "10.9.0.1", ns="b"),
)
A, B, MORE, NODE, STRANGER = "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.9.0.1", "10.8.0.1"


def server(autopath: str = "autopath @kubernetes", **given) -> Server:
    made = Server(f"{autopath}\n{KUBERNETES}", CLUSTER, **given)
    made.outside.set("www.example.org", "192.0.2.1", "2001:db8::1")
    made.outside.set("v4.example.org", "192.0.2.4")
    return made


# A resolv.conf


@pytest.fixture
async def resolv(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nsearch one.test two.test\n")
    made = fakes.chain(f"autopath {path}\noutside", Autopath, Outside)
    outside = made.plugins[1]
    outside.set("a.one.test", "192.0.2.9")
    outside.set("www.ext.com", "192.0.2.2")
    outside.set("sec.two.test", "192.0.2.3")
    outside.set("n.two.test")
    outside.set("f.two.test", fails=True)
    outside.set("one.test", "192.0.2.5")
    await made.plugins[0].start()
    return made


@pytest.mark.parametrize(
    ("name", "type_", "code", "records"),
    [
        ("a.one.test", "A", 0, "A 192.0.2.9"),
        ("www.ext.com.one.test", "A", 0, "CNAME www.ext.com. A 192.0.2.2"),
        ("sec.one.test", "A", 0, "CNAME sec.two.test. A 192.0.2.3"),
        ("sec.one.test", "AAAA", 0, ""),
        ("n.one.test", "A", 0, ""),
        ("f.one.test", "A", 2, ""),
        ("x.one.test", "A", 3, ""),
        ("www.ext.com.two.test", "A", 3, ""),
        ("one.test", "A", 0, "A 192.0.2.5"),
        ("xone.test", "A", 3, ""),
    ],
)
async def test_a_name_in_the_first_domain_is_searched_for(resolv, name, type_, code, records):
    reply = await resolv.dig(name, type_)
    assert reply.rcode() == code
    told = [f"{r.rdtype.name} {rdata}" for r in reply.answer for rdata in r]
    assert " ".join(told) == records


async def test_the_cname_lasts_as_long_as_what_it_leads_to(resolv):
    reply = await resolv.dig("Sec.One.Test")
    assert [rrset.ttl for rrset in reply.answer] == [300, 300]
    assert reply.answer[0].name == reply.question[0].name


async def test_another_file_is_another_path_and_a_broken_one_keeps_the_last(resolv):
    plugin = resolv.plugins[0]
    watched = plugin._file.file
    await resolv.ask("sec.one.test")
    before = resolv.ledger
    os.rename(watched.path, f"{watched.path}.gone")
    with pytest.raises(OSError, match="No such file"):
        await watched.refresh()
    assert (await resolv.ask("sec.one.test")).answer
    assert before.is_right()
    with open(watched.path, "w", encoding="utf-8") as file:
        file.write("search other.test\n")
    assert await watched.refresh()
    plugin._file.moved()
    assert not before.is_right()
    assert (await resolv.ask("sec.one.test")).rcode == types.NXDOMAIN


async def test_the_file_is_followed(resolv, monkeypatch, caplog):
    monkeypatch.setattr(reread, "EVERY_S", 0.001)
    path = resolv.plugins[0]._file.file.path
    await resolv.ask("sec.one.test")
    before = resolv.ledger
    [work] = resolv.plugins[0].tasks()
    task = asyncio.ensure_future(work)
    os.rename(path, f"{path}.gone")
    await until(lambda: "cannot read" in caplog.text)
    with open(path, "w", encoding="utf-8") as file:
        file.write("search other.test\n")
    await until(lambda: not before.is_right())
    task.cancel()
    assert caplog.text.count("cannot read") == 1


async def until(holds) -> None:
    async with asyncio.timeout(40):
        while not holds():
            await asyncio.sleep(0.001)


async def test_of_several_in_a_block_the_last_one_counts(tmp_path):
    for name, line in (("one", "one.test two.test"), ("three", "three.test two.test")):
        (tmp_path / name).write_text(f"search {line}\n")
    text = f"autopath {tmp_path}/one\nautopath {tmp_path}/three\noutside"
    made = fakes.chain(text, Autopath, Outside)
    for plugin in made.plugins:
        await plugin.start()
    made.plugins[2].set("x.two.test", "192.0.2.1")
    assert (await made.ask("x.one.test")).rcode == types.NXDOMAIN
    assert (await made.ask("x.three.test")).answer


async def test_a_file_that_is_not_there_is_an_error_at_start(tmp_path):
    made = fakes.chain(f"autopath {tmp_path}/none\noutside", Autopath, Outside)
    with pytest.raises(ConfigError, match="cannot read"):
        await made.plugins[0].start()


async def test_names_outside_the_zones_are_left_alone(tmp_path):
    (tmp_path / "r").write_text("search one.test two.test\n")
    made = fakes.chain(f"autopath elsewhere {tmp_path}/r\noutside", Autopath, Outside)
    await made.plugins[0].start()
    made.plugins[1].set("sec.two.test", "192.0.2.3")
    assert (await made.ask("sec.one.test")).rcode == types.NXDOMAIN


async def test_steps_too_long_for_a_name_are_passed_over(tmp_path):
    long = ".".join(["x" * 60] * 4)
    (tmp_path / "r").write_text(f"search a.test {long} two.test\n")
    made = fakes.chain(f"autopath {tmp_path}/r\noutside", Autopath, Outside)
    await made.plugins[0].start()
    made.plugins[1].set("abcdefghijkl.two.test", "192.0.2.3")
    assert (await made.ask("abcdefghijkl.a.test")).answer


class Says(Backend):
    """Answers whatever the test wants for a name."""

    name = "says"
    by_name: dict[bytes, object]

    async def answer(self, query):
        return self.by_name.get(query.key, SKIP)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(SKIP, SKIP, SKIP, id="an empty chain"),
        pytest.param(SKIP, Answer(), Answer(), id="nobody has the first"),
        pytest.param(Answer(types.NXDOMAIN), SKIP, Answer(types.NXDOMAIN), id="nor the second"),
        pytest.param(Answer(types.NXDOMAIN), DROP, DROP, id="no reply at all"),
        pytest.param(
            Answer(types.NXDOMAIN),
            Answer(types.SERVFAIL, error="broken"),
            Answer(types.SERVFAIL, error="broken"),
            id="an error ends the search",
        ),
        pytest.param(
            Answer(types.NXDOMAIN), Answer(types.REFUSED), Answer(types.NXDOMAIN), id="not written"
        ),
        pytest.param(
            Answer(types.SERVFAIL, plugin="hosts"), Answer(), Answer(), id="hosts has no such name"
        ),
    ],
)
async def test_whatever_a_step_says(tmp_path, first, second, expected):
    (tmp_path / "r").write_text("search one.test two.test\n")
    made = fakes.chain(f"autopath {tmp_path}/r\nsays", Autopath, Says)
    await made.plugins[0].start()
    made.plugins[1].by_name = {
        names.parse_key("x.one.test"): first,
        names.parse_key("x.two.test"): second,
    }
    assert await made.ask("x.one.test") == expected


async def test_steps_below_another_block_are_asked_there(tmp_path):
    (tmp_path / "r").write_text("search one.test two.test\n")
    errors = []
    services = Services()
    assembly = build(
        f"one.test {{\n autopath {tmp_path}/r\n template IN ANY . {{\n rcode NXDOMAIN\n }}\n}}\n"
        "two.test {\n hosts {\n 192.0.2.3 sec.two.test\n }\n}\n"
        ". {\n hosts {\n 192.0.2.2 www.ext.com\n }\n}\n",
        "Corefile",
        services,
        errors,
    )
    assert not errors
    services.life.plugins = tuple(assembly.plugins)
    made = Server("outside", kinds=(Outside,), changes={})
    [router] = assembly.routers.values()
    made.pipeline.replace(router)
    for plugin in assembly.plugins:
        await plugin.start()
    assert await made.said(A, "sec.one.test") == "sec.two.test. 192.0.2.3"
    assert await made.said(A, "www.ext.com.one.test") == "www.ext.com. 192.0.2.2"
    assert await made.said(A, "no.one.test") == "NXDOMAIN"


# Who asks


@pytest.mark.parametrize("resolver", [musl, glibc])
async def test_a_look_up_from_a_pod_takes_two_packets(resolver):
    made = server()
    result = await resolver(made, A, "www.example.org", pod_path("a"))
    assert result == {"192.0.2.1", "2001:db8::1"}
    assert made.packets == 2


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        pytest.param(A, "www.example.org.a", "www.example.org. 192.0.2.1", id="its namespace"),
        pytest.param(A, "www.example.org.b", "NXDOMAIN", id="another namespace"),
        pytest.param(STRANGER, "www.example.org.a", "NXDOMAIN", id="no pod"),
        pytest.param(NODE, "www.example.org.a", "NXDOMAIN", id="pods of two namespaces"),
        pytest.param(A, "db.b.a", "db.b.svc.cluster.local. 10.0.0.2", id="a service elsewhere"),
        pytest.param(A, "web.a", "10.0.0.1", id="a service"),
    ],
)
async def test_only_the_path_of_the_askers_own_namespace_is_walked(address, name, expected):
    made = server()
    for _ in range(4):
        assert await made.said(address, f"{name}.svc.cluster.local") == expected


@pytest.mark.parametrize("order", [(A, B, MORE), (B, A, MORE), (MORE, B, A)])
async def test_no_answer_is_given_to_another_namespace(order):
    made = server()
    expected = {A: "www.example.org. 192.0.2.1", B: "NXDOMAIN"}
    expected[MORE] = expected[A]
    for _ in range(5):
        for address in order:
            said = await made.said(address, "www.example.org.a.svc.cluster.local")
            assert said == expected[address]
    assert made.hits > 5, "the table was never asked"


async def test_names_that_exist_are_shared_by_all_askers():
    made = server()
    for address in (A, B, STRANGER, MORE, A, B, STRANGER, MORE):
        assert await made.said(address, "web.a.svc.cluster.local") == "10.0.0.1"
    assert made.hits == 4


async def test_an_address_that_another_namespace_reuses_brings_no_old_path():
    made = server()
    name = "www.example.org.a.svc.cluster.local"
    for _ in range(4):
        assert await made.said(A, name) == "www.example.org. 192.0.2.1"
    [new] = objects((pod("new", A, ns="b"),))[-1:]
    made.apply(Put(new))
    assert await made.said(A, name) == "NXDOMAIN", "while both are there it is nobody's"
    made.apply(Delete(type(new), "a", "one"))
    for _ in range(4):
        assert await made.said(A, name) == "NXDOMAIN"
        assert (
            await made.said(A, "www.example.org.b.svc.cluster.local")
            == "www.example.org. 192.0.2.1"
        )


class Slow(Backend):
    """Lets the world change while a name outside is looked for."""

    name = "slow"
    then = None

    async def answer(self, query):
        if query.key == names.parse_key("www.example.org") and self.then:
            then, self.then = self.then, None
            then()
        return SKIP


async def test_an_address_that_is_reused_while_its_query_waits_leaves_nothing_behind():
    text = f"autopath @kubernetes\n{KUBERNETES.replace('outside', 'slow')}\noutside"
    kinds = (*Server.kinds, Slow)
    made = Server(text, CLUSTER, kinds=kinds)
    made.outside.set("www.example.org", "192.0.2.1")
    slow = next(one for one in made.plugins if isinstance(one, Slow))
    name = "www.example.org.a.svc.cluster.local"
    await made.said(STRANGER, name)
    [new] = objects((pod("new", A, ns="b"),))[-1:]
    slow.then = lambda: made.apply(Put(new), Delete(type(new), "a", "one"))
    await made.said(A, name)
    assert await made.said(A, name) == "NXDOMAIN"
    assert await made.said(B, name) == "NXDOMAIN"


async def test_a_namespace_may_keep_its_plain_walk():
    made = server()
    name = "www.example.org.a.svc.cluster.local"
    for _ in range(3):
        assert await made.said(A, name) == "www.example.org. 192.0.2.1"
    plain = namespace("a")
    plain["metadata"]["annotations"] = {"kdns.io/search-path": "plain"}
    made.apply(Put(objects((plain,))[0]))
    assert await made.said(A, name) == "NXDOMAIN"
    made.apply(Put(objects((namespace("a"),))[0]))
    assert await made.said(A, name) == "www.example.org. 192.0.2.1"


@pytest.mark.parametrize("resolver", RESOLVERS.values(), ids=RESOLVERS)
async def test_a_name_that_does_not_exist_costs_no_more_questions_outside(resolver):
    """With a cache, as everybody has one: the last step is asked once, with autopath or without."""
    counts = []
    for first in ("autopath @kubernetes", ""):
        made = server(f"{first}\ncache")
        result = await resolver(made, A, "no.example.org", pod_path("a"))
        assert result == "EAI_NONAME"
        counts.append(len(made.outside.asked))
    assert counts[0] == counts[1] == 2, "one for each family"


async def test_what_was_found_on_the_path_is_counted_from_the_table_too():
    made = server()
    for _ in range(5):
        await made.said(A, "www.example.org.a.svc.cluster.local")
        await made.said(A, "web.a.svc.cluster.local")
        await made.said(A, "no.example.org.a.svc.cluster.local")
    await made.pipeline.tell_all()
    key = ("coredns_autopath_success_total", "dns://:53")
    assert made.site.counters.values[key] == 5


async def test_a_blocked_name_stays_blocked_at_the_end_of_a_path():
    made = Server(
        f"autopath @kubernetes\nacl example.org {{\n block net {A}\n}}\n{KUBERNETES}", CLUSTER
    )
    made.outside.set("www.example.org", "192.0.2.1")
    name = "www.example.org.a.svc.cluster.local"
    for _ in range(3):
        assert await made.said(A, name) == "REFUSED"
        assert await made.said(MORE, name) == "www.example.org. 192.0.2.1"


async def test_a_plugin_that_is_not_there_walks_nothing():
    made = server("autopath @nothing")
    assert await made.said(A, "www.example.org.a.svc.cluster.local") == "NXDOMAIN"


@pytest.mark.parametrize(
    ("stanza", "why"),
    [
        ("autopath", "found the end of the line"),
        ("autopath a..b @kubernetes", "expected a zone"),
        ("autopath @kubernetes cluster.local", "@kubernetes is no zone"),
        ("autopath @kubernetes {\n except 10.0.0.0/8\n}", "except is for"),
        ("autopath learned {\n except\n}", "found the end of the line"),
        ("autopath learned {\n except nowhere\n}", "an address block"),
        ("autopath learned {\n expect 10.0.0.1\n}", "did you mean 'except'?"),
    ],
)
def test_mistakes(stanza, why):
    with pytest.raises(ConfigError) as caught:
        fakes.chain(stanza, Autopath)
    assert why in str(caught.value)
