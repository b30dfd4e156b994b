"""autopath learned: fewer packets, never another result, nothing outside that was not asked for."""

from pathlib import Path

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.api.resources import RESOURCES
from kdns.cluster.objects import Namespace, Pod, Service
from kdns.cluster.packing import Unpacker, puts
from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins.autopath import Autopath
from kdns.plugins.rewrite import Rewrite
from kdns.server.assembly import Services, build
from kdns.wire import names, types
from kdns.wire.message import Answer
from tests import fakes
from tests.plugins import searching
from tests.plugins.searching import RESOLVERS, Outside, Server, glibc, musl, pod_path, steps
from tests.zone.worlds import namespace, objects, service

KUBERNETES = "kubernetes cluster.local\noutside"
CLUSTER = (service("web", "10.0.0.1"), service("db", "10.0.0.2", ns="b"))
DEMO = Path(__file__).parents[1] / "golden" / "demo" / "Corefile"
A, B, C = "10.1.0.1", "10.1.0.2", "fd00::3"
NAME = "www.example.org"
FIRST = "www.example.org.a.svc.cluster.local"
LED = "www.example.org. 192.0.2.1"


def server(options: str = "", *, more: str = "", **given_: object) -> Server:
    made = Server(f"autopath learned {options}\n{more}\n{KUBERNETES}", CLUSTER, **given_)
    made.outside.set("www.example.org", "192.0.2.1", "2001:db8::1")
    made.outside.set("v4.example.org", "192.0.2.4")
    made.outside.set("api.example.org", "192.0.2.5")
    return made


async def packets(made: Server, resolver, address: str, name: str, path: list[str]) -> int:
    made.packets = 0
    await resolver(made, address, name, path)
    return made.packets


# What is gained


@pytest.mark.parametrize("resolver", RESOLVERS.values(), ids=RESOLVERS)
@pytest.mark.parametrize("further", [(), ("corp.example.",)], ids=["", "one more domain"])
@pytest.mark.parametrize("name", [NAME, "v4.example.org"])
async def test_from_its_second_look_up_on_a_client_asks_two_packets(resolver, further, name):
    made = server()
    path = pod_path("a", *further)
    first = await packets(made, resolver, A, name, path)
    later = [await packets(made, resolver, A, name, path) for _ in range(5)]
    expected = 2
    if resolver is RESOLVERS["one by one"]:
        # What the first family learned serves the other; with no AAAA its search goes on to the
        # end, whatever it is told on the way.
        expected = 2 if name == NAME else 2 + len(path)
        assert first == len(path) + expected
    else:
        assert first == 2 * (len(path) + 1)
    assert later == [expected] * 5


async def test_a_hundred_look_ups_at_once_are_learned_of():
    made = server()
    for step in steps(NAME, pod_path("a")):
        for _ in range(100):
            for type_ in ("A", "AAAA"):
                await made.said(A, step, type_)
    assert await made.said(A, FIRST) == LED


async def test_every_client_learns_for_itself_however_much_the_table_knows():
    made = server()
    for _ in range(3):
        for address in (A, B):
            for step in steps(NAME, pod_path("b")):
                await made.said(address, step)
    for number in range(1, 6):
        address = f"10.2.0.{number}"
        assert await made.said(address, FIRST) == "NXDOMAIN"
        assert await packets(made, musl, address, NAME, pod_path("a")) == 8
        assert await packets(made, musl, address, NAME, pod_path("a")) == 2
        for _ in range(3):
            assert await made.said("10.3.0.1", FIRST) == "NXDOMAIN"
            assert await made.said("10.3.0.1", NAME) == "192.0.2.1"


async def test_names_that_the_table_knew_before_anybody_walked_are_seen_all_the_same():
    made = server()
    for _ in range(5):
        for step in steps(NAME, pod_path("a"))[1:]:
            for type_ in ("A", "AAAA"):
                await made.said("10.3.0.1", step, type_)
    assert made.hits >= 6
    await musl(made, A, NAME, pod_path("a"))
    assert await made.said(A, FIRST) == LED


async def test_what_was_learned_is_answered_from_the_table():
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(4):
        assert await made.said(A, FIRST) == LED
    asked, made.hits = len(made.outside.asked), 0
    for _ in range(20):
        assert await made.said(A, FIRST) == LED
    assert made.hits == 20
    assert len(made.outside.asked) == asked


async def test_every_type_is_answered_as_the_bare_name_is():
    made = server()
    await glibc(made, A, "v4.example.org", pod_path("a"))
    name = "v4.example.org.a.svc.cluster.local"
    reply = await made.ask(A, name, "AAAA")
    assert not reply.rcode()
    assert [str(rdata) for rrset in reply.answer for rdata in rrset] == ["v4.example.org."]
    assert reply.authority
    assert await made.said(A, name, "CNAME") == "NXDOMAIN"
    assert await made.said(A, name, "ANY") == "NXDOMAIN"
    assert await made.said(A, name.upper(), "A") == "v4.example.org. 192.0.2.4"


async def test_the_ttl_is_no_longer_than_that_of_the_denials():
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    reply = await made.ask(A, FIRST)
    assert {rrset.ttl for rrset in reply.answer} == {5}


async def test_with_a_cache_the_ttl_counts_down_only_at_the_end():
    made = server(more="cache 20")
    await musl(made, A, NAME, pod_path("a", "corp.example."))
    ttls = []
    for _ in range(21):
        reply = await made.ask(A, FIRST)
        ttls.append(reply.answer[0].ttl)
        made.site.clock.now += 1
    assert ttls == [5] * 16 + [4, 3, 2, 1, 5]


# Who is told


@pytest.mark.parametrize("order", [(A, B, C), (B, A, C), (C, B, A)])
async def test_nobody_is_told_what_another_learned(order):
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(5):
        for address in order:
            said = await made.said(address, FIRST)
            assert said == (LED if address == A else "NXDOMAIN")


async def test_an_address_learns_for_each_namespace_alone():
    made = server()
    made.apply(Put(Namespace("c")))
    await musl(made, A, NAME, pod_path("a"))
    assert await made.said(A, "www.example.org.c.svc.cluster.local") == "NXDOMAIN"


async def test_a_walk_is_known_for_ten_minutes():
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(4):
        assert await made.said(A, FIRST) == LED
    made.site.clock.now += 601
    assert await made.said(A, FIRST) == "NXDOMAIN"


@pytest.mark.parametrize("is_warm", [True, False])
async def test_both_families_of_a_look_up_that_begins_in_time_are_told_alike(is_warm):
    made = server()
    await musl(made, A, "v4.example.org", pod_path("a"))
    name = "v4.example.org.a.svc.cluster.local"
    for _ in range(5 * is_warm):
        await made.said(A, name)
        await made.said(A, name, "AAAA")
    made.site.clock.now += 599.9
    assert await made.said(A, name) == "v4.example.org. 192.0.2.4"
    made.site.clock.now += 0.5
    assert await made.said(A, name, "AAAA") == "v4.example.org."
    made.site.clock.now += 0.6
    assert await made.said(A, name, "AAAA") == "NXDOMAIN"


# What is not learned


async def walked(made: Server, *asked: str, address: str = A) -> str:
    """What the first step says once these were asked."""
    for name in asked:
        await made.said(address, name)
    return await made.said(address, FIRST)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param((FIRST, NAME), id="no steps between"),
        pytest.param((FIRST, f"{NAME}.svc.cluster.local", NAME), id="no third step"),
        pytest.param(
            (f"{NAME}.svc.cluster.local", f"{NAME}.cluster.local", NAME), id="no first step"
        ),
        pytest.param(
            (FIRST, f"{NAME}.cluster.local", f"{NAME}.svc.cluster.local", NAME), id="another order"
        ),
        pytest.param((FIRST, f"{NAME}.svc.cluster.local", f"{NAME}.cluster.local"), id="no end"),
    ],
)
async def test_half_a_walk_teaches_nothing(asked):
    assert await walked(server(), *asked) == "NXDOMAIN"


async def test_a_pause_ends_a_walk():
    made = server()
    *before, last = steps(NAME, pod_path("a"))
    await walked(made, *before[1:])
    made.site.clock.now += 11
    assert await walked(made, last) == "NXDOMAIN"


async def test_the_steps_of_one_client_and_the_end_of_another_are_no_walk():
    made = server()
    for step in steps(NAME, pod_path("a"))[:-1]:
        await made.said(A, step)
    assert await made.said(B, NAME) == "192.0.2.1"
    assert await made.said(A, FIRST) == "NXDOMAIN"
    assert await made.said(B, FIRST) == "NXDOMAIN"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("host", None, id="one label"),
        pytest.param("_sip._tcp.example.org", None, id="an underscore"),
        pytest.param("shop-0.web", None, id="a service of the namespace"),
        pytest.param("shop.b", None, id="a namespace"),
        pytest.param("shop-0.shop", Service("a", "shop"), id="a new service"),
        pytest.param("x.org", Namespace("org"), id="a new namespace"),
    ],
)
async def test_names_of_the_cluster_are_never_walked_for(name, change):
    made = server()
    made.outside.set(name, "192.0.2.66")
    if change is not None:
        made.apply(Put(change))
    for _ in range(3):
        await musl(made, A, name, pod_path("a"))
    made.outside.asked.clear()
    assert await made.said(A, f"{name}.a.svc.cluster.local") == "NXDOMAIN"
    assert made.outside.asked == []


@pytest.mark.parametrize("change", [Service("a", "org"), Namespace("org")])
async def test_a_learned_name_that_becomes_the_clusters_is_walked_no_more(change):
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(4):
        assert await made.said(A, FIRST) == LED
    made.apply(Put(change))
    assert await made.said(A, FIRST) == "NXDOMAIN"


async def test_an_absolute_name_of_a_missing_object_is_no_question_outside():
    made = server()
    for _ in range(200):
        assert await made.said(A, "shop-0.shop.a.svc.cluster.local") == "NXDOMAIN"
        made.site.clock.now += 0.2
    assert made.outside.asked == []
    assert made.hits > 50, "a client that never goes on is left to the table"


async def test_names_that_do_not_exist_are_left_to_the_table():
    made = server()
    for _ in range(5):
        assert await musl(made, A, "no.example.org", pod_path("a")) == "EAI_NONAME"
    made.hits = 0
    assert await packets(made, musl, A, "no.example.org", pod_path("a")) == 8
    assert made.hits == 8


async def test_a_client_whose_other_steps_went_elsewhere_is_not_believed():
    made = server()
    whole = pod_path("a", "corp.example.")
    await musl(made, A, NAME, whole)
    assert await made.said(A, FIRST) == LED
    await musl(made, A, "v4.example.org", pod_path("a"))
    assert await made.said(A, "v4.example.org.a.svc.cluster.local") == "NXDOMAIN"
    await musl(made, A, "api.example.org", whole)
    assert await made.said(A, "api.example.org.a.svc.cluster.local") == "api.example.org. 192.0.2.5"


async def test_cluster_names_that_fall_through_are_learned_of_too():
    text = "autopath learned\nkubernetes cluster.local {\n fallthrough\n}\noutside"
    made = Server(text, CLUSTER)
    made.outside.set(NAME, "192.0.2.1", "2001:db8::1")
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(3):
        assert await made.said(A, FIRST) == LED
        assert await made.said(B, FIRST) == "NXDOMAIN"
    made.outside.set(FIRST, "192.0.2.66")
    assert await made.said(A, FIRST) == "192.0.2.66"


async def test_a_denial_that_does_not_say_for_how_long_is_not_shortened(monkeypatch):
    made = server()
    await musl(made, A, NAME, pod_path("a", "corp.example."))
    assert await made.said(A, FIRST) == LED
    monkeypatch.setattr(searching, "MISSING", Answer(types.NXDOMAIN, plugin="outside"))
    assert await made.said(A, FIRST) == "NXDOMAIN"


# What changes


@pytest.mark.parametrize("step", steps(NAME, pod_path("a", "corp.example."))[1:4])
async def test_a_step_that_begins_to_exist_ends_it(step):
    made = server(more="")
    await musl(made, A, NAME, pod_path("a", "corp.example."))
    for _ in range(3):
        assert await made.said(A, FIRST) == LED
    if step.endswith("example."):
        made.outside.set(step, "192.0.2.77")
    else:
        made.apply(Put(Namespace("org")), Put(Service("org", "example", (b"\1\2\3\4",))))
    assert await made.said(A, FIRST) == "NXDOMAIN"


@pytest.mark.parametrize("fails", [True, False])
async def test_a_bare_name_that_is_gone_or_fails_ends_it(fails):
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    assert await made.said(A, FIRST) == LED
    if fails:
        made.outside.set(NAME, fails=True)
    else:
        made.outside.unset(NAME)
    for _ in range(3):
        assert await made.said(A, FIRST) == "NXDOMAIN"
    made.outside.set(NAME, "192.0.2.1")
    assert await made.said(A, FIRST) == "NXDOMAIN", "it is to be learned anew"
    assert await musl(made, A, NAME, pod_path("a")) == {"192.0.2.1"}
    assert await made.said(A, FIRST) == LED


async def test_a_namespace_may_keep_its_plain_walk():
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(4):
        assert await made.said(A, FIRST) == LED
    made.apply(Put(Namespace("a", is_plain=True)))
    assert await made.said(A, FIRST) == "NXDOMAIN"
    for _ in range(3):
        assert await packets(made, musl, A, NAME, pod_path("a")) == 8
    made.apply(Put(Namespace("a")))
    await musl(made, A, NAME, pod_path("a"))
    assert await made.said(A, FIRST) == LED


async def test_an_annotation_says_so():
    plain = namespace("a")
    plain["metadata"]["annotations"] = {"kdns.io/search-path": "plain"}
    other = namespace("b")
    other["metadata"]["annotations"] = {"kdns.io/search-path": "Plain"}
    assert [one.is_plain for one in objects((plain, other))] == [True, False]


async def test_client_networks_may_keep_their_plain_walk():
    made = server("{\n except 10.1.0.2 fd00::/8\n}")
    for address in (A, B, C):
        await musl(made, address, NAME, pod_path("a"))
        await musl(made, address, NAME, pod_path("a"))
    for _ in range(4):
        assert await made.said(A, FIRST) == LED
        assert await made.said(B, FIRST) == "NXDOMAIN"
        assert await made.said(C, FIRST) == "NXDOMAIN"


async def test_a_walk_that_is_given_up_while_it_is_looked_up_is_told_to_nobody_else(monkeypatch):
    made = server("{\n except 10.1.0.2\n}")
    await musl(made, A, NAME, pod_path("a"))
    assert await made.said(B, FIRST) == "NXDOMAIN"
    (learning,) = [one.learning for one in made.plugins if isinstance(one, Autopath)]
    asked = made.outside.answer

    async def answer(query):
        if query.depth:  # meanwhile it is over, and he begins again and gets nowhere
            made.site.clock.now += 700
            for step in steps(NAME, pod_path("a"))[:-1]:
                await made.said(A, step)
            key = names.parse_key(NAME)
            stem = learning.walks.stem(key[:12])
            learning.walks.saw(query.client.address, stem, key, exists=False, has=False)
        return await asked(query)

    with monkeypatch.context() as patch:
        patch.setattr(made.outside, "answer", answer)
        assert await made.said(A, FIRST) == LED
    for _ in range(3):
        assert await made.said(B, FIRST) == "NXDOMAIN"


async def test_a_blocked_name_is_not_reached_by_a_path_that_was_learned():
    made = server(more=f"acl example.org {{\n block net {A}\n}}")
    for address in (A, B, A, B):
        await musl(made, address, NAME, pod_path("a"))
    assert await made.said(A, FIRST) == "NXDOMAIN"
    assert await made.said(B, FIRST) == LED


async def test_without_a_cluster_it_is_a_mistake():
    made = fakes.chain("autopath learned", Autopath)
    with pytest.raises(ConfigError, match="there is none"):
        await made.plugins[0].start()


async def test_what_is_known_is_counted():
    made = server()
    await musl(made, A, NAME, pod_path("a"))
    for _ in range(7):
        await made.said(A, FIRST)
    await made.pipeline.tell_all()
    assert made.site.counters.values["coredns_autopath_success_total", "dns://:53"] == 7
    made.site.life.plugins = tuple(made.plugins)
    assert list(made.site.counters.asked["kdns_autopath_walks"]()) == [(("dns://:53",), 1.0)]


# The same result, always

BASES = ("www.example.org", "v4.example.org", "db.b", "x.web", "a.b.example.org")
PATHS = {
    A: pod_path("a", "corp.example."),
    B: pod_path("b"),
    C: pod_path("a"),
}
NAMES_OUTSIDE = (*BASES, "www.example.org.corp.example", "db.b.corp.example")
CHANGES = (
    Put(Namespace("org")),
    Delete(Namespace, "", "org"),
    Put(Service("org", "example", (b"\1\2\3\4",))),
    Delete(Service, "org", "example"),
    Put(Namespace("a", is_plain=True)),
    Put(Namespace("a")),
    Put(Service("a", "org", (b"\1\2\3\5",))),
    Delete(Service, "a", "org"),
    Put(Pod("a", "p", (b"\x0a\1\0\1",))),
)
ACTS = st.one_of(
    st.tuples(
        st.just("look"),
        st.sampled_from(sorted(PATHS)),
        st.sampled_from(BASES),
        st.sampled_from(sorted(RESOLVERS)),
    ),
    st.tuples(
        st.just("set"),
        st.sampled_from(NAMES_OUTSIDE),
        st.sampled_from([("192.0.2.1",), ("192.0.2.1", "2001:db8::1"), ("2001:db8::1",), ()]),
    ),
    st.tuples(st.just("unset"), st.sampled_from(NAMES_OUTSIDE)),
    st.tuples(st.just("break"), st.sampled_from(NAMES_OUTSIDE)),
    st.tuples(st.just("change"), st.sampled_from(CHANGES)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 6.0, 400.0])),
)


@given(acts=st.lists(ACTS, min_size=5, max_size=40))
@settings(max_examples=60, deadline=None)
async def test_the_result_is_that_of_the_plain_walk(acts):
    ours = server()
    plain = Server(KUBERNETES, CLUSTER)
    for made in (ours, plain):
        made.outside.set("www.example.org", "192.0.2.1", "2001:db8::1")
        made.outside.set("v4.example.org", "192.0.2.4")
        made.outside.set("a.b.example.org", "192.0.2.7")
        made.outside.unset("api.example.org")
    for act, *given_ in acts:
        if act == "look":
            address, base, kind = given_
            await the_same(ours, plain, RESOLVERS[kind], address, base)
            continue
        for made in (ours, plain):
            act_on(made, act, *given_)


def act_on(made: Server, act: str, *given_) -> None:
    """Changes what one server stands in front of."""
    match act:
        case "set":
            made.outside.set(given_[0], *given_[1])
        case "unset":
            made.outside.unset(*given_)
        case "break":
            made.outside.set(*given_, fails=True)
        case "change":
            made.apply(*given_)
        case "wait":
            made.site.clock.now += given_[0]


async def the_same(ours, plain, resolver, address, base) -> None:
    """One look-up of both: one result, and nothing outside but what the plain walk asks for."""
    ours.outside.asked.clear()
    plain.names.clear()
    results = [await resolver(made, address, base, PATHS[address]) for made in (ours, plain)]
    assert results[0] == results[1]
    assert set(ours.outside.asked) <= set(plain.names)


ASKED = st.sampled_from(
    [name for base in BASES for path in PATHS.values() for name in steps(base, path)]
)
ASKS = st.tuples(
    st.just("ask"), st.sampled_from(sorted(PATHS)), ASKED, st.sampled_from(["A", "AAAA", "TXT"])
)


@pytest.mark.parametrize("more", ["", "cache 20"])
@given(acts=st.lists(st.one_of(ACTS, ASKS), min_size=5, max_size=30))
@settings(max_examples=40, deadline=None)
async def test_the_table_changes_no_octet(more, acts):
    both = server(more=more), server(more=more, has_table=False)
    for act, *given_ in acts:
        if act not in {"look", "ask"}:
            for made in both:
                act_on(made, act, *given_)
            continue
        asked = [tuple(given_[1:])]
        if act == "look":
            names_ = steps(given_[1], PATHS[given_[0]])
            asked = [(name, type_) for name in names_ for type_ in ("A", "AAAA")]
        for name, type_ in asked * 3:
            packet = dns.message.make_query(name, type_, id=7).to_wire()
            one, other = [await made.reply(given_[0], packet) for made in both]
            assert one == other, (name, type_)


# How it gets there


async def test_the_annotation_comes_from_the_api_and_reaches_other_workers():
    text = (
        b'{"metadata":{"name":"a","resourceVersion":"3",'
        b'"annotations":{"kdns.io/search-path":"plain"}}}'
    )
    read = next(one for one in RESOURCES if one.kind is Namespace).read(text)
    assert read.thing == Namespace("a", (), "3", is_plain=True)
    [packed] = Unpacker().objects(puts([read.thing]))
    assert packed.is_plain


async def test_cluster_and_world_may_be_in_different_blocks():
    errors = []
    services = Services()
    clock = fakes.Clock()
    services.clock = clock
    assembly = build(
        "cluster.local {\n autopath learned\n kubernetes cluster.local {\n manifests .\n }\n}\n"
        ". {\n autopath learned\n hosts {\n 192.0.2.1 www.example.org\n }\n}\n",
        str(DEMO),
        services,
        errors,
    )
    assert not errors
    made = Server("outside", kinds=(Outside,))
    [router] = assembly.routers.values()
    made.pipeline.replace(router)
    async with fakes.at_work(assembly.plugins, assembly.shared):
        path = pod_path("shop")
        for _ in range(3):
            assert await musl(made, A, NAME, path) == {"192.0.2.1"}
        first = f"{NAME}.shop.svc.cluster.local"
        assert await made.said(A, first) == LED
        assert await made.said(B, first) == "NXDOMAIN"


async def test_a_name_that_was_rewritten_teaches_nothing():
    text = f"rewrite name {NAME} api.example.org\nautopath learned\n{KUBERNETES}"
    made = Server(text, CLUSTER, kinds=(Rewrite, *Server.kinds))
    made.outside.set("api.example.org", "192.0.2.5")
    for _ in range(3):
        assert await packets(made, musl, A, NAME, pod_path("a")) == 8
