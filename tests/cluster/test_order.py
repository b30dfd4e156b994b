"""Order does not matter: whatever happens to events on their way, a Store ends as one list says."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.nodes import MACHINES, ZONES
from kdns.cluster.objects import Namespace, Object
from kdns.cluster.store import Change, Delete, Event, Put, Replace, Store
from tests.cluster.things import (
    ALL,
    HOSTS,
    KINDS,
    gateway,
    hosts_of,
    imported,
    ingress,
    ips,
    listed,
    node,
    pod,
    route,
    seen,
    service,
    slice_,
    wanting,
)

NUMBERS = st.sampled_from(["1", "2", "3", "fd00::1"])
SOME = st.lists(NUMBERS, max_size=3)
VERSIONS = st.sampled_from(["", "2"])
SPACES = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["s", "t"])
WISHES = st.lists(st.sampled_from(["x.y.test", "*.y.test", "y.test", "a.z.test"]), max_size=2)
AT = st.sampled_from(["", "1", "2"])


def _slice(
    name: str, of: str, ns: str, addresses: list[str], cluster: str, bad: bool, named: bool
) -> Object:
    family = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    hosts = tuple(f"h{a[-1]}" for a in family) if named and family else None
    unready = frozenset({0}) if bad and family else frozenset()
    return slice_(name, *family, of=of, ns=ns, cluster=cluster, hostnames=hosts, unready=unready)


OBJECTS = st.one_of(
    st.builds(lambda n, team: Namespace(n, (("team", team),)), SPACES, NAMES),
    st.builds(lambda n, a, ns, v: service(n, *dict.fromkeys(a), ns=ns, version=v), NAMES, SOME, SPACES, VERSIONS),
    st.builds(_slice, st.sampled_from("vwxyz"), NAMES, SPACES, SOME, st.sampled_from(["", "c"]), st.booleans(), st.booleans()),
    st.builds(lambda n, a, ns: pod(n, *dict.fromkeys(a), ns=ns), NAMES, SOME, SPACES),
    st.builds(lambda n, a, ns: imported(n, *dict.fromkeys(a), ns=ns), NAMES, SOME, SPACES),
    st.builds(lambda n, h, ns: wanting(n, *h, ns=ns), NAMES, WISHES, SPACES),
    st.builds(lambda n, a, z, r, t: node(n, *dict.fromkeys(a), zone=z, ready=r, net=t), NAMES, SOME, st.sampled_from(["", "z1", "z2"]), st.booleans(), st.sampled_from([0, 0, 9])),
    st.builds(lambda n, h, a, ns: ingress(n, *h, at=a, ns=ns), NAMES, WISHES, AT, SPACES),
    st.builds(lambda n, h, a, ns: gateway(n, *h, at=a, ns=ns), NAMES, WISHES, AT, SPACES),
    st.builds(lambda n, h, to, ns: route(n, *h, to=to, ns=ns), NAMES, WISHES, st.sampled_from(["a/s", "b/t"]), SPACES),
)  # fmt: skip
ADDRESSES = ips("1", "2", "3", "fd00::1", "9", "10.9.0.1")
KEYS = ["a/s", "a/t", "b/s", "b/t"]

Name = tuple[type[Object], str, str]


def name(thing: Object) -> Name:
    return type(thing), getattr(thing, "namespace", ""), thing.name


def unique(objects: Iterable[Object]) -> list[Object]:
    return list({name(thing): thing for thing in objects}.values())


def fresh(objects: Iterable[Object]) -> dict[str, object]:
    store = Store(ALL)
    store.apply_all(listed(objects), 1.0)
    return seen(store, ADDRESSES, KEYS)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_lost_repeated_and_reordered_events_end_as_one_fresh_list(data):
    """Histories of objects: each object's own events keep their order, as in a watch; some are
    repeated, and where one is lost a list of that kind follows."""
    truth: dict[Name, Object] = {}
    streams: dict[Name, list[Event]] = {}
    for thing in data.draw(st.lists(OBJECTS, max_size=14), label="history"):
        at = name(thing)
        gone = at in truth and data.draw(st.booleans(), label="deleted")
        if gone:
            del truth[at]
        else:
            truth[at] = thing
        streams.setdefault(at, []).append(Delete(*at) if gone else Put(thing))
    lost = {kind for kind in KINDS if data.draw(st.booleans(), label=f"{kind.__name__} loses")}
    todo = [at for at, events in streams.items() for _ in events]
    store, wall = Store(ALL), 10.0
    for at in data.draw(st.permutations(todo), label="order"):
        event = streams[at].pop(0)
        wall += data.draw(st.sampled_from([0.0, 0.3, 2.0]), label="pause")
        for _ in range(data.draw(st.integers(0 if at[0] in lost else 1, 2), label="copies")):
            store.apply(event, wall)
    for kind in data.draw(st.permutations(sorted(lost, key=str)), label="relists"):
        known = tuple(thing for thing in truth.values() if type(thing) is kind)
        store.apply(Replace(kind, known), wall)
    store.settle(wall + 60)
    assert seen(store, ADDRESSES, KEYS) == fresh(truth.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(OBJECTS, max_size=12), st.lists(OBJECTS, max_size=12), st.data())
def test_whatever_a_store_knew_a_list_is_the_truth(before, after, data):
    store = Store(ALL)
    for event in data.draw(st.permutations([*map(Put, before)])):
        store.apply(event, 10.0)
    after = unique(after)
    store.apply_all(data.draw(st.permutations(listed(after))), 10.5)
    assert seen(store, ADDRESSES, KEYS) == fresh(after)


def _facts(store: Store) -> dict[object, object]:
    """What each key of a Change stands for."""
    facts: dict[object, object] = {}
    for key in KEYS:
        strip = [service_facts(store.services.get(key)), service_facts(store.imports.get(key))]
        facts[key] = (strip, bare(store.slices(key)), bare(store.import_slices(key)))
    for address in ADDRESSES:
        facts[address] = (
            [s.key for s in store.services_at(address)],
            [(s.key, s.is_ready(at), s.hostname(at), s.pod(at)) for s, at in store.endpoints_at(address)],
            [(p.namespace, p.name) for p in store.pods_at(address)],
            [s.key for s in store.external_at(address)],
        )  # fmt: skip
    facts |= {host: hosts_of(store, host) for host in HOSTS}
    facts[MACHINES] = [(one.addresses, one.is_ready) for one in store.nodes.ready()]
    facts[ZONES] = [store.nodes.zone_of(address) for address in ADDRESSES]
    return facts | {ns: store.namespaces.get(ns) for ns in ("a", "b")}


def service_facts(thing: object) -> object:
    return thing and (thing.addresses, thing.is_headless, thing.ports)


def bare(slices: Iterable[object]) -> list[object]:
    return [(s.name, s.addresses, s.unready, s.hostnames, s.pods, s.ports) for s in slices]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(OBJECTS, st.sampled_from(["put", "delete", "list", "settle"])), max_size=14)
)
def test_a_change_names_every_fact_that_moved(steps):
    store, wall = Store(ALL), 10.0
    for thing, what in steps:
        before = _facts(store)
        wall += 0.4
        match what:
            case "put":
                change = store.apply(Put(thing), wall)
            case "delete":
                change = store.apply(Delete(*name(thing)), wall)
            case "list":
                change = store.apply(Replace(type(thing), (thing,)), wall)
            case _:
                change = store.settle(wall + 0.5)
        after = _facts(store)
        moved = {key for key in before if before[key] != after[key]}
        assert moved <= change.keys
        assert isinstance(change, Change)
