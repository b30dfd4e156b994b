"""What each kind of answer depends on, whatever was found: the table of design.md §3."""

import pytest

from tests.zone.worlds import ask, endpoint, pod, service, slice_, store, view

V4, V6, OWN = b"\x0a\0\0\1", bytes.fromhex("fd" + "00" * 14 + "01"), b"\xc0\0\x02\x02"
A1 = b"\1\1\1\1"

CLUSTER = (
    service("web", "10.0.0.1", "fd00::1"),
    slice_("web", endpoint("1.1.1.1"), endpoint("192.0.2.2", ready=False)),
    service("ext", external="web.b.svc.cluster.local"),
    service("out", external="example.org"),
    service("ghost", "10.0.0.4", ns="b"),
    pod("p", "5.5.5.5"),
)

TABLE = [
    ("web.a.svc.cluster.local", "A", {}, {"a/web", "a"}),
    ("web.a.svc.cluster.local", "TXT", {}, {"a/web", "a"}),
    ("nope.a.svc.cluster.local", "A", {}, {"a/nope", "a"}),
    ("web.zz.svc.cluster.local", "A", {}, {"zz/web", "zz"}),
    ("ghost.b.svc.cluster.local", "A", {"namespaces": frozenset("a")}, {"b/ghost", "b"}),
    ("1-1-1-1.web.a.svc.cluster.local", "A", {}, {"a/web", "a"}),
    ("_http._tcp.web.a.svc.cluster.local", "SRV", {}, {"a/web", "a"}),
    ("z.pin._zone.web.a.svc.cluster.local", "A", {"zonal": True}, {"a/web", "a"}),
    ("x.y.z.web.a.svc.cluster.local", "A", {}, set()),
    ("ext.a.svc.cluster.local", "A", {}, {"a/ext", "a", "b/web", "b"}),
    ("ext.a.svc.cluster.local", "CNAME", {}, {"a/ext", "a"}),
    ("out.a.svc.cluster.local", "A", {}, {"a/out", "a"}),
    ("a.svc.cluster.local", "A", {}, {"a"}),
    ("zz.svc.cluster.local", "A", {}, {"zz"}),
    ("a.pod.cluster.local", "A", {"pods": "insecure"}, {"a"}),
    ("a.pod.cluster.local", "A", {}, set()),
    ("5-5-5-5.a.pod.cluster.local", "A", {}, set()),
    ("5-5-5-5.a.pod.cluster.local", "A", {"pods": "insecure"}, {"a"}),
    ("5-5-5-5.a.pod.cluster.local", "A", {"pods": "verified"}, {"a", b"\5\5\5\5"}),
    ("5-5-5-6.a.pod.cluster.local", "A", {"pods": "verified"}, {"a", b"\5\5\5\6"}),
    ("fd00--1.a.pod.cluster.local", "A", {"pods": "verified"}, {"a", V6}),
    ("x.a.pod.cluster.local", "A", {"pods": "verified"}, set()),
    ("1.0.0.10.in-addr.arpa", "PTR", {}, {V4}),
    ("1.0.0.10.in-addr.arpa", "TXT", {}, {V4}),
    ("9.0.0.10.in-addr.arpa", "PTR", {}, {b"\x0a\0\0\x09"}),
    ("1.1.1.1.in-addr.arpa", "PTR", {}, {A1}),
    ("1.1.1.1.in-addr.arpa", "PTR", {"namespaces": frozenset("a")}, {A1, "a"}),
    ("1.1.1.1.in-addr.arpa", "PTR", {"namespaces": frozenset("b")}, {A1, "a"}),
    ("4.0.0.10.in-addr.arpa", "PTR", {"namespaces": frozenset("a")}, {b"\x0a\0\0\4", "b"}),
    ("0.0.10.in-addr.arpa", "PTR", {}, set()),
    ("cluster.local", "NS", {"own": (OWN, A1)}, {OWN, A1, "a/web"}),
    ("ns.dns.cluster.local", "A", {"own": (OWN,)}, {OWN, "a/web"}),
    ("ns.dns.cluster.local", "A", {"own": (V4,)}, {V4}),
    ("ns.dns.cluster.local", "MX", {"own": (OWN,)}, set()),
    ("cluster.local", "SOA", {}, set()),
    ("cluster.local", "A", {}, set()),
    ("nope.a.svc.cluster.local", "SOA", {}, set()),
    ("dns-version.cluster.local", "TXT", {}, set()),
    ("x.cluster.local", "A", {}, set()),
    ("svc.cluster.local", "A", {}, set()),
]


@pytest.mark.parametrize(
    ("name", "type_", "options", "facts"),
    TABLE,
    ids=[f"{row[0]}-{row[1]}-{'-'.join(row[2])}" for row in TABLE],
)
def test_an_answer_touches_exactly_what_it_depends_on(name, type_, options, facts):
    touched = []
    ask(view(store(*CLUSTER), **options), name, type_, touched)
    assert set(touched) == facts


def test_a_fact_is_touched_before_it_is_looked_at():
    """A Change that falls between touch and look only forgets too much; after the look, too little."""
    known = store(*CLUSTER)

    class Watched(dict):
        def __contains__(self, key):
            assert key in touched
            return super().__contains__(key)

        def get(self, key, default=None):
            assert key in touched
            return super().get(key, default)

    touched = []
    known.services, known.namespaces = Watched(known.services), Watched(known.namespaces)
    for name in ("web.a.svc", "a.svc", "5-5-5-5.a.pod", "ext.a.svc"):
        touched.clear()
        ask(view(known, pods="insecure"), f"{name}.cluster.local", "A", touched)
        assert touched
