"""Every kind of change shows at once, and a Change names what the changed answers touched.

The rows say what A, AAAA, SRV and PTR are before and after; the property says for any cluster and
any change that an answer which differs had touched a fact that the Change names.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.wire.message import Answer
from tests.zone.worlds import (
    Document,
    View,
    apply,
    as_list,
    as_watch,
    ask,
    endpoint,
    endpoints,
    namespace,
    objects,
    pod,
    say,
    service,
    service_import,
    slice_,
    store,
    view,
)

BASE = (namespace("a"), namespace("b"))
WEB = service("web", "10.0.0.1", app="web")
BARE = service("web", app="web")
SRV = "_http._tcp.web.a.svc.cluster.local"
A1, A2 = "1.0.1.10.in-addr.arpa", "2.0.1.10.in-addr.arpa"
VIP = "1.0.0.10.in-addr.arpa"
X1 = "10-1-0-1.web.a.svc.cluster.local."


def one(**fields: object) -> Document:
    return pod("web-1", fields.pop("ip", "10.1.0.1"), **({"app": "web"} | fields))


def two(**fields: object) -> Document:
    return pod("web-2", "10.1.0.2", **({"app": "web"} | fields))


def srv(target: str = "web.a.svc.cluster.local.", port: int = 80, weight: int = 100) -> str:
    return f"0 {weight} {port} {target}"


NX = "NXDOMAIN"
MANUAL = endpoints("web", "1.1.1.1", "2.2.2.2")
M1, M2 = "1.1.1.1.in-addr.arpa", "2.2.2.2.in-addr.arpa"

# what happens; documents before and after; (name, type) → before, after
ROWS = {
    "pod created": (
        [BARE, one()],
        [BARE, one(), two()],
        {
            ("web.a.svc", "A"): ("10.1.0.1", "10.1.0.1 | 10.1.0.2"),
            ("web.a.svc", "AAAA"): ("NODATA", "NODATA"),
            (SRV, "SRV"): (
                srv(X1),
                f"{srv(X1, weight=50)} | {srv(X1.replace('1.w', '2.w'), 80, 50)}",
            ),
            (A2, "PTR"): (NX, X1.replace("1.w", "2.w")),
            (A1, "PTR"): (X1, X1),
        },
    ),
    "pod deleted": (
        [BARE, one(), two()],
        [BARE, one()],
        {
            ("web.a.svc", "A"): ("10.1.0.1 | 10.1.0.2", "10.1.0.1"),
            (A2, "PTR"): (X1.replace("1.w", "2.w"), NX),
        },
    ),
    "pod relabelled": (
        [BARE, one()],
        [BARE, one(app="other")],
        {
            ("web.a.svc", "A"): ("10.1.0.1", NX),
            (SRV, "SRV"): (srv(X1), NX),
            (A1, "PTR"): (X1, NX),
        },
    ),
    "pod unready": (
        [BARE, one()],
        [BARE, one(ready=False)],
        {
            ("web.a.svc", "A"): ("10.1.0.1", NX),
            (SRV, "SRV"): (srv(X1), NX),
            (X1, "A"): ("10.1.0.1", NX),
            (A1, "PTR"): (X1, NX),
        },
    ),
    "pod ready again": (
        [WEB, one(ready=False)],
        [WEB, one()],
        {
            ("web.a.svc", "A"): ("10.0.0.1", "10.0.0.1"),
            (X1, "A"): (NX, "10.1.0.1"),
            (VIP, "PTR"): ("web.a.svc.cluster.local.",) * 2,
            (A1, "PTR"): (NX, X1),
        },
    ),
    "pod restarted with a new address": (
        [BARE, one()],
        [BARE, one(ip="10.1.0.2")],
        {
            ("web.a.svc", "A"): ("10.1.0.1", "10.1.0.2"),
            (A1, "PTR"): (X1, NX),
            (A2, "PTR"): (NX, X1.replace("1.w", "2.w")),
        },
    ),
    "pod named by hostname": (
        [BARE, one()],
        [BARE, one(hostname="h", subdomain="web")],
        {
            ("h.web.a.svc", "A"): (NX, "10.1.0.1"),
            (X1, "A"): ("10.1.0.1", NX),
            (SRV, "SRV"): (srv(X1), srv("h.web.a.svc.cluster.local.")),
            (A1, "PTR"): (X1, "h.web.a.svc.cluster.local."),
        },
    ),
    "scaled from three to nothing": (
        [BARE, one(), two(), pod("web-3", "10.1.0.3", app="web")],
        [BARE],
        {
            ("web.a.svc", "A"): ("10.1.0.1 | 10.1.0.2 | 10.1.0.3", NX),
            ("web.a.svc", "AAAA"): ("NODATA", NX),
            (A1, "PTR"): (X1, NX),
        },
    ),
    "scaled from nothing to three": (
        [BARE],
        [BARE, one(), two(), pod("web-3", "10.1.0.3", app="web")],
        {
            ("web.a.svc", "A"): (NX, "10.1.0.1 | 10.1.0.2 | 10.1.0.3"),
            (A1, "PTR"): (NX, X1),
        },
    ),
    "selector edited": (
        [BARE, one(), two(app="new")],
        [service("web", app="new"), one(), two(app="new")],
        {
            ("web.a.svc", "A"): ("10.1.0.1", "10.1.0.2"),
            (A1, "PTR"): (X1, NX),
            (A2, "PTR"): (NX, X1.replace("1.w", "2.w")),
        },
    ),
    "service created": (
        [one()],
        [WEB, one()],
        {
            ("web.a.svc", "A"): (NX, "10.0.0.1"),
            ("web.a.svc", "AAAA"): (NX, "NODATA"),
            (SRV, "SRV"): (NX, srv()),
            (VIP, "PTR"): (NX, "web.a.svc.cluster.local."),
            (A1, "PTR"): (NX, X1),
        },
    ),
    "service deleted": (
        [WEB, one()],
        [one()],
        {
            ("web.a.svc", "A"): ("10.0.0.1", NX),
            (SRV, "SRV"): (srv(), NX),
            (VIP, "PTR"): ("web.a.svc.cluster.local.", NX),
            (A1, "PTR"): (X1, NX),
        },
    ),
    "second family added": (
        [WEB],
        [service("web", "10.0.0.1", "fd00::1", app="web")],
        {
            ("web.a.svc", "AAAA"): ("NODATA", "fd00::1"),
            (SRV, "SRV"): (srv(), srv(weight=50)),
        },
    ),
    "ClusterIP made headless": (
        [WEB, one()],
        [BARE, one()],
        {
            ("web.a.svc", "A"): ("10.0.0.1", "10.1.0.1"),
            (SRV, "SRV"): (srv(), srv(X1)),
            (VIP, "PTR"): ("web.a.svc.cluster.local.", NX),
            (A1, "PTR"): (X1, X1),
        },
    ),
    "headless made ClusterIP": (
        [BARE, one()],
        [WEB, one()],
        {
            ("web.a.svc", "A"): ("10.1.0.1", "10.0.0.1"),
            (SRV, "SRV"): (srv(X1), srv()),
            (VIP, "PTR"): (NX, "web.a.svc.cluster.local."),
        },
    ),
    "ClusterIP made ExternalName": (
        [WEB],
        [service("web", external="example.org")],
        {
            ("web.a.svc", "A"): ("10.0.0.1", "outside example.org."),
            ("web.a.svc", "CNAME"): ("NODATA", "example.org."),
            (SRV, "SRV"): (srv(), NX),
            (VIP, "PTR"): ("web.a.svc.cluster.local.", NX),
        },
    ),
    "ExternalName made headless": (
        [service("web", external="example.org"), one()],
        [BARE, one()],
        {
            ("web.a.svc", "A"): ("outside example.org.", "10.1.0.1"),
            ("web.a.svc", "AAAA"): ("outside example.org.", "NODATA"),
            (SRV, "SRV"): (NX, srv(X1)),
            (A1, "PTR"): (NX, X1),
        },
    ),
    "target of an ExternalName changed": (
        [
            service("web", external="other.b.svc.cluster.local"),
            service("other", "10.0.0.9", ns="b"),
        ],
        [
            service("web", external="other.b.svc.cluster.local"),
            service("other", "10.0.0.8", ns="b"),
        ],
        {
            ("web.a.svc", "A"): (
                "10.0.0.9 | other.b.svc.cluster.local.",
                "10.0.0.8 | other.b.svc.cluster.local.",
            ),
        },
    ),
    "port renamed": (
        [WEB],
        [service("web", "10.0.0.1", ports=["www:80"], app="web")],
        {
            (SRV, "SRV"): (srv(), NX),
            (SRV.replace("http", "www"), "SRV"): (NX, srv()),
            ("web.a.svc", "SRV"): (srv(), srv()),
            ("web.a.svc", "A"): ("10.0.0.1", "10.0.0.1"),
        },
    ),
    "port renamed on a headless service": (
        [BARE, one()],
        [service("web", ports=["www:80"], app="web"), one()],
        {
            (SRV, "SRV"): (srv(X1), NX),
            (SRV.replace("http", "www"), "SRV"): (NX, srv(X1)),
            ("web.a.svc", "A"): ("10.1.0.1", "10.1.0.1"),
        },
    ),
    "manual endpoints of a ClusterIP": (
        [service("web", "10.0.0.1")],
        [service("web", "10.0.0.1"), MANUAL],
        {
            ("web.a.svc", "A"): ("10.0.0.1", "10.0.0.1"),
            ("1-1-1-1.web.a.svc", "A"): (NX, "1.1.1.1"),
            (M1, "PTR"): (NX, "1-1-1-1.web.a.svc.cluster.local."),
        },
    ),
    "manual endpoints made headless": (
        [service("web", "10.0.0.1"), MANUAL],
        [service("web"), MANUAL],
        {
            ("web.a.svc", "A"): ("10.0.0.1", "1.1.1.1 | 2.2.2.2"),
            (M2, "PTR"): ("2-2-2-2.web.a.svc.cluster.local.",) * 2,
        },
    ),
    "manual endpoints turned ExternalName": (
        [service("web"), MANUAL],
        [service("web", external="example.org")],
        {
            ("web.a.svc", "A"): ("1.1.1.1 | 2.2.2.2", "outside example.org."),
            (M1, "PTR"): ("1-1-1-1.web.a.svc.cluster.local.", NX),
        },
    ),
    "ExternalName turned back to manual endpoints": (
        [service("web", external="example.org")],
        [service("web"), MANUAL],
        {
            ("web.a.svc", "A"): ("outside example.org.", "1.1.1.1 | 2.2.2.2"),
            (M1, "PTR"): (NX, "1-1-1-1.web.a.svc.cluster.local."),
        },
    ),
}


def full(name: str) -> str:
    return name if name.endswith((".local", ".local.", ".arpa")) else f"{name}.cluster.local"


def steps(before, after):
    """A change as a watch shows it, and as a fresh list does."""
    return {"watch": as_watch(before, after), "list": as_list(after)}


@pytest.mark.parametrize("way", ["watch", "list"])
@pytest.mark.parametrize("row", ROWS)
def test_a_change_shows_at_once_and_names_what_was_touched(row, way):
    before, after, asked = ROWS[row]
    old, new = objects([*BASE, *before]), objects([*BASE, *after])
    known = store(*before)
    where = view(known)
    touched = {}
    for (name, type_), (was, _) in asked.items():
        ask(where, full(name), type_, touched.setdefault((name, type_), []))
        assert say(where, full(name), type_) == was, f"{name} {type_} before"
    change = apply(known, steps(old, new)[way], 2000)
    for (name, type_), (was, now) in asked.items():
        assert say(where, full(name), type_) == now, f"{name} {type_} after"
        if was != now:
            assert change.keys & set(touched[name, type_]), f"{name} {type_} would be remembered"


@pytest.mark.parametrize("way", ["watch", "list"])
def test_a_deleted_namespace_takes_its_names_along(way):
    before, after = objects([*BASE, WEB]), objects(BASE)
    known = store(WEB)
    where = view(known, pods="insecure")
    questions = {
        "web.a.svc.cluster.local": "10.0.0.1",
        "a.svc.cluster.local": "NODATA",
        "1-2-3-4.a.pod.cluster.local": "1.2.3.4",
    }
    touched = {name: [] for name in questions}
    for name, was in questions.items():
        ask(where, name, "A", touched[name])
        assert say(where, name) == was
    gone = [thing for thing in after if thing.name != "a"]
    change = apply(known, steps(before, gone)[way], 2000)
    for name in questions:
        assert say(where, name) == "NXDOMAIN"
        assert change.keys & set(touched[name])


# Soundness: what differs was touched

names_ = st.sampled_from(["web", "db"])
spaces = st.sampled_from(["a", "b"])
addresses = st.sampled_from(["10.1.0.1", "10.1.0.2", "fd00::1", "fd00::2", "192.0.2.2"])
vips = st.sampled_from([(), ("10.0.0.1",), ("10.0.0.2", "fd00::a"), ("fd00::b",)])
targets = st.sampled_from(
    ["", "", "", "web.a.svc.cluster.local", "db.b.svc.cluster.local", "example.org", "192.0.2.1"]
)
some_ports = st.sampled_from([["http:80"], ["http:81"], ["www:80", "dns:53/UDP"], [":80"], []])
flags = st.booleans()


@st.composite
def services(draw: st.DrawFn) -> Document:
    return service(
        draw(names_),
        *draw(vips),
        ns=draw(spaces),
        ports=draw(some_ports),
        external=draw(targets),
        app="x",
    )


@st.composite
def slices(draw: st.DrawFn) -> Document:
    family = draw(st.sampled_from([["10.1.0.1", "10.1.0.2", "192.0.2.2"], ["fd00::1", "fd00::2"]]))
    those = [
        endpoint(
            draw(st.sampled_from(family)),
            ready=draw(flags),
            hostname=draw(st.sampled_from(["", "h"])),
            pod=draw(st.sampled_from(["", "p"])),
            zone=draw(st.sampled_from(["", "z"])),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    return slice_(
        draw(names_),
        *those,
        name=draw(st.sampled_from(["one", "two"])),
        ns=draw(spaces),
        ports=draw(some_ports),
        cluster=draw(st.sampled_from(["", "", "c1"])),
    )


pods_ = st.builds(
    lambda name, ip, ns: pod(name, ip, ns=ns), st.sampled_from(["p", "q"]), addresses, spaces
)
imports = st.builds(service_import, names_, st.sampled_from(["", "10.0.0.9"]).filter(bool))
worlds = st.lists(
    st.one_of(services(), slices(), pods_, imports, spaces.map(namespace)), max_size=8
)

OWN = (b"\xc0\0\x02\x02",)
ZONES = ("cluster.local", "in-addr.arpa", "ip6.arpa", "far.set")
OPTIONS: Sequence[dict[str, object]] = (
    {"pods": "insecure"},
    {"pods": "verified", "zonal": True, "own": OWN},
    {"pod_names": True, "ignore_empty": True, "own": OWN},
    {"namespaces": frozenset({"a"}), "pods": "verified"},
)
QUESTIONS = [
    *(
        f"{before}{name}.{space}.svc.{zone}"
        for before in (
            "", "h.", "p.", "10-1-0-1.", "fd00--1.", "_http._tcp.", "_tcp.", "z.pin._zone.", "h.c1.",
        )
        for name in ("web", "db")
        for space in ("a", "b")
        for zone in ("cluster.local", "far.set")
    ),
    "a.svc.cluster.local",
    "10-1-0-1.a.pod.cluster.local",
    "fd00--1.b.pod.cluster.local",
    "cluster.local",
    "in-addr.arpa",
    "ns.dns.cluster.local",
    "1.0.1.10.in-addr.arpa",
    "1.0.0.10.in-addr.arpa",
    "2.2.0.192.in-addr.arpa",
    "1." + "0." * 29 + "d.f.ip6.arpa",
]  # fmt: skip
TYPES = ("A", "AAAA", "SRV", "PTR", "NS", "TXT")


def everything(where: View) -> dict[tuple[str, str], tuple[object, set[object]]]:
    """Every question's outcome, its serial left out, and what it touched."""
    found = {}
    for name in QUESTIONS:
        for type_ in TYPES:
            touched: list[object] = []
            outcome = ask(where, name, type_, touched)
            if isinstance(outcome, Answer):
                outcome = (outcome.rcode, outcome.answer, outcome.additional)
            found[name, type_] = (outcome, set(touched))
    return found


@settings(max_examples=40, deadline=None)
@given(worlds, worlds, st.sampled_from(OPTIONS), st.sampled_from(["watch", "list"]))
def test_an_answer_that_differs_had_touched_what_the_change_names(before, after, options, way):
    old, new = objects(before), objects(after)
    known = store()
    known.apply_all(as_list(old), 1000)
    where = view(known, *ZONES, imported="far.set.", **options)
    was = everything(where)
    for event in steps(old, new)[way]:
        change = apply(known, [event], 2000)
        now = everything(where)
        for asked, (outcome, touched) in was.items():
            if now[asked][0] != outcome:
                assert change.keys & touched, f"{asked} changed unnoticed by {event}"
        was = now


@settings(max_examples=40, deadline=None)
@given(worlds, worlds, st.sampled_from(OPTIONS))
def test_how_a_state_was_reached_does_not_show(before, after, options):
    old, new = objects(before), objects(after)
    known, fresh = store(), store()
    apply(known, as_list(old), 1000)
    apply(known, as_watch(old, new), 2000)
    apply(known, [*as_list(new)], 3000)
    apply(fresh, as_list(new), 3000)
    one, other = (view(s, *ZONES, imported="far.set.", **options) for s in (known, fresh))
    assert everything(one) == everything(other)
