"""Client addresses to namespaces and search paths."""

import pytest

from kdns.cluster.objects import Pod
from kdns.cluster.store import Delete, Put
from kdns.wire import names
from kdns.zone.clients import Clients, parse_search, search_path
from tests.zone.worlds import pod, store

HERE = bytes((10, 1, 0, 1))


def test_a_pod_is_in_its_namespace_at_each_of_its_addresses():
    known = store(pod("p", "10.1.0.1", "fd00::1", ns="b"))
    clients = Clients(known)
    assert clients.classify(HERE) == "b"
    assert clients.classify(bytes.fromhex("fd" + "00" * 14 + "01")) == "b"
    assert clients.classify(bytes(4)) == ""


def test_an_address_of_two_namespaces_is_of_none():
    """One that is gone, of which the watch does not know yet, must not lend its namespace."""
    known = store(pod("old", "10.1.0.1", ns="a"))
    clients = Clients(known)
    touched = []
    assert clients.namespace(touched.append, HERE) == "a"
    change = known.apply(Put(Pod("b", "new", (HERE,))), 1001)
    assert touched == [HERE]
    assert HERE in change.keys
    assert clients.classify(HERE) == ""
    assert HERE in known.apply(Delete(Pod, "a", "old"), 1002).keys
    assert clients.classify(HERE) == "b"


def test_pods_of_one_namespace_may_share_an_address():
    known = store(pod("one", "10.1.0.1"), pod("two", "10.1.0.1"))
    assert Clients(known).classify(HERE) == "a"


def test_the_search_path_of_a_pod_ends_in_the_name_itself():
    zone, rest = names.parse_key("cluster.local"), (names.parse_key("corp.example"),)
    assert [names.format(key) for key in search_path(zone, "a", rest)] == [
        "a.svc.cluster.local.", "svc.cluster.local.", "cluster.local.", "corp.example.", ".",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("nameserver 10.0.0.1\n", []),
        ("search a.example B.example\n", ["a.example.", "b.example."]),
        ("search a\nsearch b c", ["b.", "c."]),
        ("domain d.example extra", ["d.example."]),
        ("search . ok x..y", ["ok."]),
        ("search", []),
    ],
)
def test_search_domains_of_a_resolv_conf(text, expected):
    assert [names.format(key) for key in parse_search(text)] == expected
