"""Names beyond the cluster: an answer that differs had touched what the Change names.

And the history of a Store does not show in them.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.objects import Namespace
from kdns.cluster.store import Delete, Put, Replace, Store
from kdns.wire import names, types
from kdns.wire.message import Answer
from kdns.zone import hosts, nearby, nodeports, outside, outside_listing
from kdns.zone.outer import OuterSerial, Pending
from kdns.zone.outside import Names, OutsideZone
from tests.cluster.test_order import ADDRESSES, OBJECTS, name, unique
from tests.cluster.things import ALL, gateway, ips, listed, node, route, slice_, wanting
from tests.zone.worlds import view

EXTERNAL = (
    "s.a.test",
    "t.b.test",
    "a.test",
    "x.s.a.test",
    "_http._tcp.s.a.test",
    "test",
    "ns1.dns.test",
)
HOSTS = (
    "x.y.test", "q.y.test", "w.q.y.test", "y.test", "*.y.test", "a.z.test", "b.a.z.test", "z.test", "no.test",
    "_http._tcp.x.y.test", "test",
)  # fmt: skip
PORTS = ("s.a.test", "t.b.test", "_http._tcp.s.a.test", "_tcp.s.a.test", "b.test", "test")
REVERSE = ("9.0.0.10.in-addr.arpa", "1.0.0.10.in-addr.arpa")
TYPES = (types.A, types.AAAA, types.CNAME, types.SRV, types.NS)
BASE = (
    Namespace("a"),
    Namespace("b"),
    wanting("s", "q.y.test"),
    slice_("x", "1", nodes=("s",), zones=("z1",)),
    node("s", "1", zone="z1"),
    gateway("s", at="1"),
    route("t", "a.z.test", to="a/s"),
)
"""What there is before anything happens, so that little must come together for something to."""
HEADLESS = Names(names.parse_key("test"), 5, True)


class World:
    """A Store and all that is asked of it."""

    def __init__(self) -> None:
        self.store = Store(ALL)
        self.view = view(self.store, own=ips("1", "2"))
        serial = OuterSerial()
        self.zone, self.reverse = (
            OutsideZone(names.parse_key(text), 5, serial, "test")
            for text in ("test", "in-addr.arpa")
        )

    def answers(self) -> dict[object, tuple[object, set[object]]]:
        """What every question is answered, and what it touched."""
        found: dict[object, tuple[object, set[object]]] = {}
        v, zone = self.view, self.zone
        for type_ in TYPES:
            asked = [
                *(("external", text, zone, self._external) for text in EXTERNAL),
                *(("ptr", text, self.reverse, self._external) for text in REVERSE),
                *(("ingress", text, zone, hosts.in_ingress) for text in HOSTS),
                *(("hostnames", text, zone, hosts.in_services) for text in HOSTS),
                *(("nodeport", text, zone, nodeports.answer) for text in PORTS),
            ]
            for kind, text, where, ask in asked:
                touched: set[object] = set()
                outcome = ask(v, where, names.parse_key(text), type_, touched.add, 5)
                found[kind, text, type_] = (said(outcome), touched)
        for text in ("s.a.svc.cluster.local", "t.a.svc.cluster.local"):
            for where in ADDRESSES:
                touched = set()
                found["near", text, where] = (self._near(text, where, touched), touched)
        return found

    def _external(self, v, where, key, type_, touch, _):
        type_ = types.PTR if where is self.reverse and type_ == types.A else type_
        return outside.answer(HEADLESS, v, where, key, type_, touch)

    def _near(self, text, where, touched):
        key = names.parse_key(text)
        zone, parts = self.view.find(key)
        service = nearby.service(self.view, zone, parts, types.A, touched.add)
        if service is None:
            return None
        touched.add("/zones")
        here = self.store.nodes.zone_of(where)
        return said(nearby.answer(self.view, zone, key, service, types.A, here) if here else None)


def said(outcome: object) -> object:
    """An outcome without its SOA."""
    if isinstance(outcome, Pending):
        return said(outcome.answer), outcome.wanted
    if isinstance(outcome, Answer):
        return outcome.rcode, outcome.answer, outcome.additional
    return outcome


STEPS = st.sampled_from(["put", "put", "put", "delete", "list"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(OBJECTS, STEPS), max_size=10))
def test_an_answer_that_differs_had_touched_what_the_change_names(steps):
    world, wall = World(), 10.0
    world.store.apply_all(map(Put, BASE), wall)
    before = world.answers()
    for thing, what in steps:
        wall += 0.4
        event = {
            "put": Put(thing),
            "delete": Delete(*name(thing)),
            "list": Replace(type(thing), (thing,)),
        }[what]
        change = world.store.apply(event, wall)
        after = world.answers()
        for question, (was, touched) in before.items():
            if was != after[question][0]:
                assert touched & change.keys, (question, was, after[question][0])
        before = after


@settings(max_examples=40, deadline=None)
@given(st.lists(OBJECTS, max_size=10), st.lists(OBJECTS, max_size=10), st.data())
def test_how_a_state_was_reached_does_not_show(before, after, data):
    after = unique(after)
    world, fresh = World(), World()
    for thing in before:
        world.store.apply(Put(thing), 10.0)
    world.store.apply_all(data.draw(st.permutations(listed(after))), 10.0)
    fresh.store.apply_all(listed(after), 10.0)
    world.store.settle(1e9)
    fresh.store.settle(1e9)
    answers = [{q: a for q, (a, _) in one.answers().items()} for one in (world, fresh)]
    assert answers[0] == answers[1]


@settings(max_examples=40, deadline=None)
@given(st.lists(OBJECTS, max_size=12))
def test_a_transfer_says_what_the_names_answer(objects):
    world = World()
    world.store.apply_all(listed(unique(objects)), 10.0)
    rrsets = list(outside_listing.records(HEADLESS, world.view, world.zone))
    assert [rrset.type for rrset in rrsets[:2]] == [types.SOA, types.NS]
    seen = set()
    for rrset in rrsets[2:]:
        key = names.fold(rrset.owner)
        outcome = outside.answer(HEADLESS, world.view, world.zone, key, rrset.type, seen.add)
        answer = outcome.answer if isinstance(outcome, Pending) else outcome
        assert isinstance(answer, Answer), rrset
        assert set(rrset.rdatas) <= {rdata for one in answer.answer for rdata in one.rdatas}
