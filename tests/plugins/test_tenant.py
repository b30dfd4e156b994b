"""tenant: who sees which names, whatever the way to them, and that no answer reaches another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.objects import Pod
from kdns.cluster.store import Delete, Put, Synced
from kdns.corefile.tree import ConfigError
from kdns.plugins.autopath import Autopath
from kdns.plugins.base import SKIP
from kdns.plugins.cache import Cache
from kdns.plugins.kubernetes import Kubernetes
from kdns.plugins.rewrite import Rewrite
from kdns.plugins.tenant import Tenant
from kdns.zone import tenancy
from kdns.zone.tenancy import Rules, Target
from tests import fakes
from tests.plugins.searching import Outside, Server
from tests.zone.worlds import endpoint, namespace, objects, pod, service, slice_

KINDS = (Rewrite, Autopath, Tenant, Cache, Kubernetes, Outside)
CLUSTER = (
    service("web", "10.0.0.1"),
    service("db", "10.0.0.2", ns="b"),
    service("kubernetes", "10.0.0.3", ns="default"),
    service("other", "10.0.0.4", ns="default"),
    service("link", external="db.b.svc.cluster.local"),
    service("out", external="www.example.org"),
    service("heads", ns="b"),
    slice_("heads", endpoint("10.2.0.1", hostname="one"), ns="b"),
    service("heads"),
    slice_("heads", endpoint("10.2.0.1", hostname="two"), endpoint("10.2.0.2", hostname="three")),
    pod("p", "10.1.0.1"),
    pod("p", "10.1.0.2", ns="b"),
    pod("q", "10.1.0.3"),
    namespace("c"),
)
A, B, ALSO_A, NOBODY = "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.8.0.1"
RULES = """
    allow to default/kubernetes
    allow to @own
    deny from a to b default
    deny from @unknown
"""


def server(rules: str = RULES, *, before: str = "", more: str = "") -> Server:
    text = (
        f"{before}\ntenant {{\n{rules}\n}}\n{more}\n"
        "kubernetes cluster.local in-addr.arpa {\n pods verified\n}\noutside"
    )
    made = Server(text, CLUSTER, kinds=KINDS)
    made.outside.set("www.example.org", "192.0.2.1")
    return made


SEEN = [
    pytest.param(A, "web.a.svc.cluster.local", "10.0.0.1", id="its own"),
    pytest.param(A, "db.b.svc.cluster.local", "REFUSED", id="another's"),
    pytest.param(A, "no.b.svc.cluster.local", "REFUSED", id="another's that does not exist"),
    pytest.param(A, "b.svc.cluster.local", "REFUSED", id="another namespace"),
    pytest.param(A, "10-1-0-2.b.pod.cluster.local", "REFUSED", id="a pod of another"),
    pytest.param(A, "one.heads.b.svc.cluster.local", "REFUSED", id="an endpoint of another"),
    pytest.param(A, "_http._tcp.heads.b.svc.cluster.local", "REFUSED", id="a port of another"),
    pytest.param(A, "link.a.svc.cluster.local", "REFUSED", id="a CNAME to another's"),
    pytest.param(A, "out.a.svc.cluster.local", "www.example.org. 192.0.2.1", id="a CNAME outside"),
    pytest.param(A, "kubernetes.default.svc.cluster.local", "10.0.0.3", id="what all may see"),
    pytest.param(A, "other.default.svc.cluster.local", "REFUSED", id="what stands beside it"),
    pytest.param(A, "www.example.org", "192.0.2.1", id="outside"),
    pytest.param(B, "db.b.svc.cluster.local", "10.0.0.2", id="b's own"),
    pytest.param(B, "web.a.svc.cluster.local", "10.0.0.1", id="no rule, so it is seen"),
    pytest.param(NOBODY, "web.a.svc.cluster.local", "REFUSED", id="no pod"),
    pytest.param(NOBODY, "kubernetes.default.svc.cluster.local", "10.0.0.3", id="no pod either"),
]


@pytest.mark.parametrize(("address", "name", "expected"), SEEN)
async def test_a_namespace_sees_what_the_rules_show_it(address, name, expected):
    made = server()
    for _ in range(4):
        assert await made.said(address, name) == expected


@pytest.mark.parametrize("order", [(A, B, ALSO_A, NOBODY), (NOBODY, ALSO_A, B, A)])
async def test_no_answer_is_given_to_another_namespace(order):
    made = server()
    expected = {A: "REFUSED", ALSO_A: "REFUSED", B: "10.0.0.2", NOBODY: "REFUSED"}
    for _ in range(5):
        for address in order:
            assert await made.said(address, "db.b.svc.cluster.local") == expected[address]
    assert made.hits > 5, "the table was never asked"


async def test_what_all_may_see_is_one_answer_for_all():
    made = server()
    await made.ask(A, "kubernetes.default.svc.cluster.local")
    for address in (A, B, NOBODY, A, B, NOBODY, A, B, NOBODY):
        assert await made.said(address, "kubernetes.default.svc.cluster.local") == "10.0.0.3"
    assert made.hits >= 6


async def test_an_address_that_changes_hands_sees_what_its_new_namespace_may():
    made = server()
    for _ in range(4):
        assert await made.said(A, "db.b.svc.cluster.local") == "REFUSED"
    made.apply(Put(Pod("b", "new", (b"\x0a\1\0\1",))), Delete(Pod, "a", "p"))
    assert await made.said(A, "db.b.svc.cluster.local") == "10.0.0.2"
    made.apply(Put(Pod("a", "new", (b"\x0a\1\0\1",))))
    assert await made.said(A, "db.b.svc.cluster.local") == "REFUSED", "it is two pods' at once"


# Every way to a name


async def test_names_behind_an_address_are_those_one_may_see():
    made = server()
    one, two = "1.0.2.10.in-addr.arpa", "2.0.0.10.in-addr.arpa"
    for _ in range(4):
        assert await made.said(A, one, "PTR") == "two.heads.a.svc.cluster.local."
        both = {"one.heads.b.svc.cluster.local.", "two.heads.a.svc.cluster.local."}
        assert set((await made.said(B, one, "PTR")).split()) == both
        assert await made.said(A, two, "PTR") == "REFUSED"
        assert await made.said(B, two, "PTR") == "db.b.svc.cluster.local."


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ("rewrite name public.example.org db.b.svc.cluster.local", "public.example.org"),
        ("rewrite stop {\n name regex (.*)\\.x {1}.b.svc.cluster.local\n}", "db.x"),
        ("autopath @kubernetes", "db.b.a.svc.cluster.local"),
    ],
)
async def test_the_final_name_is_judged(before, asked):
    made = server(before=before, more="cache")
    for _ in range(3):
        assert await made.said(A, asked) == "REFUSED"
        if "rewrite" in before:
            assert await made.said(B, asked) == "10.0.0.2"


async def test_what_is_cached_is_judged_too():
    made = server("deny from a to *", more="cache")
    for _ in range(3):
        assert await made.said(B, "out.a.svc.cluster.local") == "www.example.org. 192.0.2.1"
        assert await made.said(A, "out.a.svc.cluster.local") == "REFUSED"
        assert await made.said(A, "www.example.org") == "192.0.2.1"


# How it is told


@pytest.mark.parametrize(
    ("answer", "rcode", "code"), [("refused", 5, 18), ("nxdomain", 3, 15), ("", 5, 18)]
)
async def test_the_client_is_told_why(answer, rcode, code):
    option = f"answer {answer}" if answer else ""
    stanza = f"tenant {{\n deny to b\n{option}\n}}\nkubernetes cluster.local {{\n pods verified\n}}"
    made = fakes.chain(stanza, Tenant, Kubernetes)
    events = [*map(Put, objects(CLUSTER)), Synced()]
    made.plugins[1].cluster.store.apply_all(events, 1000)
    reply = await made.dig("db.b.svc.cluster.local", "A", None, has_opt=True, size=1232)
    assert reply.rcode() == rcode
    assert bool(reply.authority) == (rcode == 3)
    assert [(one.code, one.text) for one in reply.options] == [
        (code, "names of this namespace are not shown to yours")
    ]


async def test_denials_are_counted_from_the_table_too():
    made = server()
    for _ in range(6):
        await made.ask(A, "db.b.svc.cluster.local")
        await made.ask(B, "db.b.svc.cluster.local")
    await made.pipeline.tell_all()
    assert made.site.counters.values["kdns_tenant_denied_total", "dns://:53"] == 6


async def test_without_verified_pods_it_is_a_mistake():
    made = fakes.chain("tenant {\n deny to b\n}\nkubernetes cluster.local", Tenant, Kubernetes)
    with pytest.raises(ConfigError, match="pods verified"):
        await made.plugins[0].start()
    made = fakes.chain("tenant {\n deny to b\n}", Tenant)
    assert await made.ask("db.b.svc.cluster.local") is SKIP


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("", "no rule denies anything"),
        ("allow to b", "no rule denies anything"),
        ("deny b", "expected from or to, found 'b'"),
        ("deny from", "from needs at least one namespace"),
        ("deny from to b", "from needs at least one namespace"),
        ("deny from a to", "to needs at least one namespace"),
        ("deny from a/x", "expected a namespace or @unknown"),
        ("deny from @own", "expected a namespace or @unknown"),
        ("deny to @unknown", "expected a namespace or @own"),
        ("deny to b\nanswer nodata", "refused or nxdomain"),
        ("denies to b", "did you mean 'deny'?"),
    ],
)
def test_mistakes(rules, why):
    with pytest.raises(ConfigError) as caught:
        fakes.chain(f"tenant {{\n{rules}\n}}", Tenant)
    assert why in str(caught.value)


# The rules

WORDS = st.sampled_from(["a", "b", "team-x", "team-*", "*", "@own", "a/s", "*/s", "@own/s"])
SOURCES = st.sampled_from(["a", "b", "team-*", "*", "@unknown"])
LINES = st.builds(
    lambda allows, sources, targets: tenancy.parse(
        [*(["from", *sources] if sources else []), *(["to", *targets] if targets else [])],
        allows=allows,
    ),
    st.booleans(),
    st.lists(SOURCES, max_size=2),
    st.lists(WORDS, max_size=2),
)
TARGETS = [Target(ns, svc) for ns in ("a", "b", "team-x", "z") for svc in ("", "s", "t")]


@given(lines=st.lists(LINES, max_size=4))
def test_what_is_said_of_all_askers_holds_for_each(lines):
    rules = Rules(lines)
    for target in TARGETS:
        for_all = rules.lets_all(target)
        each = {rules.lets(source, target) for source in ("", "a", "b", "team-x", "z")}
        assert for_all is None or each == {for_all}


@pytest.mark.parametrize(
    ("line", "source", "target", "matches"),
    [
        ("", "a", Target("b"), True),
        ("from a", "a", Target("b"), True),
        ("from a", "b", Target("b"), False),
        ("from *", "", Target("b"), False),
        ("from @unknown", "", Target("b"), True),
        ("to b", "a", Target("b", "s"), True),
        ("to b/s", "a", Target("b", "s"), True),
        ("to b/s", "a", Target("b", "t"), False),
        ("to b/*", "a", Target("b"), False),
        ("to @own", "a", Target("a"), True),
        ("to @own", "", Target(""), False),
        ("to Team-*", "a", Target("team-x"), True),
    ],
)
def test_a_rule(line, source, target, matches):
    assert tenancy.parse(line.split(), allows=False).matches(source, target) == matches


# Whatever stands around it

BEFORE = {
    "rewrite": "rewrite stop {\n name suffix .x .b.svc.cluster.local answer auto\n}",
    "exact": "rewrite name exact alias.example.org db.b.svc.cluster.local",
    "cname": "rewrite cname exact db.b.svc.cluster.local. web.a.svc.cluster.local.",
    "autopath": "autopath @kubernetes",
    "learned": "autopath learned",
}
AFTER = {"cache": "cache 30"}
HIDDEN = {"10.0.0.2", "10.2.0.9", "db.b.svc.cluster.local.", "one.heads.b.svc.cluster.local."}
QUESTIONS = (
    "db.b.svc.cluster.local A", "db.b.svc.cluster.local AAAA", "db.b.a.svc.cluster.local A",
    "DB.b.svc.CLUSTER.local A", "db.x A", "alias.example.org A", "link.a.svc.cluster.local A",
    "link.a.svc.cluster.local CNAME", "link.a.a.svc.cluster.local A", "db.b A",
    "alias.example.org.a.svc.cluster.local A", "2.0.0.10.in-addr.arpa PTR",
    "1.0.2.10.in-addr.arpa PTR", "_http._tcp.heads.b.svc.cluster.local SRV",
    "one.heads.b.svc.cluster.local A", "heads.b.svc.cluster.local A", "web.a.svc.cluster.local A",
    "10-1-0-2.b.pod.cluster.local A", "db.b.svc.cluster.local ANY", "heads.x SRV",
)  # fmt: skip


@given(
    around=st.sets(st.sampled_from(sorted(BEFORE | AFTER))),
    asks=st.lists(
        st.tuples(st.sampled_from([A, B, ALSO_A]), st.sampled_from(QUESTIONS), st.integers(1, 3)),
        min_size=5,
        max_size=40,
    ),
)
@settings(max_examples=60, deadline=None)
async def test_nothing_of_another_namespace_gets_through(around, asks):
    made = server(
        "deny from a to b",
        before="\n".join(text for name, text in BEFORE.items() if name in around),
        more="\n".join(text for name, text in AFTER.items() if name in around),
    )
    for address, question, times in asks:
        for _ in range(times):
            said = set((await made.said(address, *question.split())).split())
            if address != B:
                assert not said & HIDDEN, question
            elif question in {"db.b.svc.cluster.local A", "DB.b.svc.CLUSTER.local A"}:
                assert "10.0.0.2" in said or "cname" in around
