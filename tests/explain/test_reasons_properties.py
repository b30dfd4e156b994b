"""Whatever the facts and answers are: there is a reason, and nothing raw in its text."""

import json
from typing import TypeVar

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.client.search import Asked, Heard, Walk
from kdns.explain import facts as known
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.diagnosis import diagnose
from kdns.explain.said import Connection, Explanation, Trace, Visit
from kdns.explain.shapes import encode
from kdns.explain.text import render

T = TypeVar("T")

WORDS = ("web", "shop", "mysql", "mysql-0", "com", "kube-dns", "kube-system", "None", "a=b", "")
words = st.sampled_from(WORDS) | st.text(max_size=8)
times = st.sampled_from(
    ("", "2026-11-20T10:00:00Z", "2026-11-20T10:09:00+02:00", "x", "0001-01-01")
)
addresses = st.sampled_from(("10.244.1.5", "10.96.0.10", "fd00::5", "None", "nonsense"))
typed = st.sampled_from(
    ("web", "web.shop", "mysql-0.mysql", "_http._tcp.web", "web.shop.svc.cluster.local", "a..b",
     "web.shop.svc.other.zone", "yahoo.com", "10-244-1-5.shop.pod", "5.1.244.10.in-addr.arpa.",
     "10.96.0.10", ".", "", "web.", "shop.svc.cluster.local", "cluster.local.", "x" * 300)
) | st.text(max_size=30)  # fmt: skip


def some(each: st.SearchStrategy[T], most: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(each, max_size=most).map(tuple)


labels = st.dictionaries(words, words, max_size=2)
ports = st.builds(
    known.PortFact, words, st.integers(-1, 70000), st.sampled_from(("TCP", "UDP", "")),
    words | st.sampled_from(("80", "²")),
)  # fmt: skip
services = st.builds(
    known.ServiceFact, words, words, st.sampled_from(("ClusterIP", "ExternalName", "x")),
    some(addresses), labels, some(ports),
    words | st.sampled_from(("web.shop.svc.cluster.local", "192.0.2.1", "a.example")),
    some(addresses), st.booleans(), times,
)  # fmt: skip
endpoints = st.builds(
    known.EndpointFact, some(addresses), st.booleans(), st.booleans(), st.booleans(), words, words
)
slices = st.builds(
    known.SliceFact, words, words, words, some(endpoints), some(ports), words, words, times, times
)
conditions = st.builds(
    known.ConditionFact, st.sampled_from(("Ready", "PodScheduled", "a/b")),
    st.sampled_from(("True", "False", "")), times, words, words,
)  # fmt: skip
containers = st.builds(
    known.ContainerFact, words, some(ports), st.booleans(),
    st.sampled_from(("running", "waiting: CrashLoopBackOff", "terminated: x", "waiting: ", "")),
    st.integers(-1, 9), words,
)  # fmt: skip
pods = st.builds(
    known.PodFact, words, words, labels, some(addresses),
    st.sampled_from(("Running", "Pending", "Failed", "")), some(conditions), some(containers),
    words, words, words, st.booleans(),
    st.sampled_from(("ClusterFirst", "Default", "None", "ClusterFirstWithHostNet")),
    some(addresses), some(words), st.just(()), times,
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 99) | words | addresses,
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(("podSelector", "matchLabels", "matchExpressions", "from", "to", "ports",
                         "port", "endPort", "ipBlock", "cidr", "except", "namespaceSelector",
                         "key", "operator", "values", "protocol")),
        inner, max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
policies = st.builds(
    known.PolicyFact, words, words,
    st.dictionaries(
        st.sampled_from(("podSelector", "policyTypes", "ingress", "egress")), json_values
    ),
)  # fmt: skip


@st.composite
def facts(draw: st.DrawFn) -> known.Facts:
    spaces = draw(some(words, 4))
    found = draw(some(services, 4))
    kinds = st.sampled_from(("services", "slices", "pods", "namespaces", "policies", "selectors"))
    return known.Facts(
        zones=draw(st.sampled_from((("cluster.local.",), ("corp.example.", "x."), (), (".",)))),
        now=draw(times),
        namespaces={one: known.NamespaceFact(one, {}, draw(st.booleans())) for one in spaces},
        services={f"{one.namespace}/{one.name}": one for one in found},
        slices={f"{one.namespace}/{one.name}": draw(some(slices, 2)) for one in found},
        pods={one: draw(some(pods, 3)) for one in spaces},
        policies={one: draw(some(policies, 2)) for one in spaces},
        unknown=draw(st.dictionaries(kinds, words, max_size=3)),
        server=known.ServerFact(
            draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from((0.0, 9.5))),
            draw(st.booleans()), draw(words), draw(st.booleans()),
            {f"{one.namespace}/{one.name}": (draw(times), draw(times)) for one in found[:1]},
            chosen=draw(some(words, 1)),
        ),
    )  # fmt: skip


@st.composite
def replies(draw: st.DrawFn) -> bytes | None:
    if draw(st.booleans()):
        return draw(st.none() | st.binary(max_size=40))
    query = dns.message.make_query("web.shop.svc.cluster.local", "A", use_edns=0, id=1)
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.Rcode(draw(st.sampled_from((0, 0, 2, 3, 5)))))
    if draw(st.booleans()):
        reply.answer = [
            dns.rrset.from_text("web.shop.svc.cluster.local.", 5, "IN", "A", "10.1.1.1")
        ]
    codes = draw(some(st.sampled_from((0, 3, 15, 18, 22, 23)), 2))
    said = [dns.edns.EDEOption(code, "\x1b[31mred") for code in codes]
    reply.use_edns(0, options=said)
    return reply.to_wire()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    name = draw(typed)
    asked = tuple(
        Asked(
            f"{name}.{end}", draw(st.sampled_from((1, 28, 33))),
            (draw(addresses), 53), Heard(draw(replies()), draw(words)), draw(words), draw(words),
        )
        for end in draw(some(st.sampled_from(("shop.svc.cluster.local.", "cluster.local.", ""))))
    )  # fmt: skip
    outcomes = st.sampled_from(("answered", "no data", "no such name", "failed"))
    walks = tuple(
        Walk(libc, asked, draw(outcomes), draw(words), asked[0].name if asked else "")
        for libc in draw(st.sampled_from(((), ("glibc",), ("glibc", "musl"))))
    )
    trace = Trace(
        ".:53",
        (Visit("rewrite", 0, draw(words), "A", "x", ("\x1b]0;x\x07",)),),
        draw(st.sampled_from(("", "kubernetes", "hosts", "acl", "forward", "cache", "rewrite"))),
        draw(words),
        ((3, "old"),),
    )
    return Case(
        name, draw(st.sampled_from(("", "A", "SRV", "PTR"))), draw(facts()), walks,
        {(one.name, one.type): trace for one in asked[:1]},
        draw(some(st.builds(Connection, addresses, st.just(80), st.just("TCP"), words, st.booleans()))),
        draw(st.none() | pods), draw(words),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(1, 200))
def test_there_is_always_a_reason_and_its_text_is_plain(case: Case, width: int) -> None:
    reasons = diagnose(case)
    assert reasons
    assert all(one.id and one.says for one in reasons)
    assert len({one.id for one in reasons}) == len(reasons)
    found = Explanation(
        case.name, case.type, case.walks, reasons, dict(case.traces), case.connections,
        ("pods: \x9b31m",), case.namespace,
    )  # fmt: skip
    text = render(found, width=width)
    assert all(" " <= one <= "~" or one == "\n" for one in text)
    assert json.loads(encode(found))["reasons"][0]["id"] == reasons[0].id
