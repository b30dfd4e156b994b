"""Real clients find every kind of name, with one nameserver in resolv.conf and with two.

Each row is what a person types and the lines that must be printed; beside them the client may say
nothing that worries him, and it ends with status 0.
"""

import re
from collections.abc import Iterable

import pytest

from tests.clients.conftest import Printed, Room

ZONE = "shop.svc.cluster.local"
NAMESERVERS = pytest.mark.parametrize("nameservers", ["one", "two"])
MDNS = (
    ";; WARNING: .local is reserved for Multicast DNS",
    ";; You are currently testing what happens when an mDNS query is leaked to DNS",
)
"""What dig says of every name in .local, whoever answers."""
TTL = re.compile(r" \d+ IN ")
"""A cached TTL may have counted down."""

DIG = {
    "cluster-ip": (f"web.{ZONE}", [f"web.{ZONE}. IN A 10.96.0.20"]),
    "headless": (f"db.{ZONE}", [f"db.{ZONE}. IN A 10.244.1.1", f"db.{ZONE}. IN A 10.244.1.2"]),
    "hostname": (f"db-0.db.{ZONE}", [f"db-0.db.{ZONE}. IN A 10.244.1.1"]),
    "hostname-aaaa": (f"db-0.db.{ZONE} AAAA", [f"db-0.db.{ZONE}. IN AAAA fd00:10:244::1"]),
    "dual-a": (f"dual.{ZONE}", [f"dual.{ZONE}. IN A 10.96.0.21"]),
    "dual-aaaa": (f"dual.{ZONE} AAAA", [f"dual.{ZONE}. IN AAAA fd00:10:96::21"]),
    "srv": (
        f"_http._tcp.web.{ZONE} SRV",
        [f"_http._tcp.web.{ZONE}. IN SRV 0 100 80 web.{ZONE}.", f"web.{ZONE}. IN A 10.96.0.20"],
    ),
    "srv-headless": (
        f"_sql._tcp.db.{ZONE} SRV",
        [f"_sql._tcp.db.{ZONE}. IN SRV 0 33 5432 db-{at}.db.{ZONE}." for at in (0, 1)],
    ),
    "ptr-v4": ("-x 10.96.0.20", [f"20.0.96.10.in-addr.arpa. IN PTR web.{ZONE}."]),
    "ptr-endpoint": ("-x 10.244.1.2", [f"2.1.244.10.in-addr.arpa. IN PTR db-1.db.{ZONE}."]),
    "ptr-v6": (
        "-x fd00:10:96::21",
        [
            "1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa. "
            f"IN PTR dual.{ZONE}."
        ],
    ),
    "external-inside": (
        f"store.{ZONE}",
        [f"store.{ZONE}. IN CNAME web.{ZONE}.", f"web.{ZONE}. IN A 10.96.0.20"],
    ),
    "external-outside": (f"pay.{ZONE}", [f"pay.{ZONE}. IN CNAME www.outside.test."]),
    "pod": (
        "10-244-1-1.shop.pod.cluster.local",
        ["10-244-1-1.shop.pod.cluster.local. IN A 10.244.1.1"],
    ),
    "short": ("+search web", [f"web.{ZONE}. IN A 10.96.0.20"]),
    "short-namespace": ("+search web.shop", [f"web.{ZONE}. IN A 10.96.0.20"]),
    "short-svc": ("+search web.shop.svc", [f"web.{ZONE}. IN A 10.96.0.20"]),
    "tcp": (f"+tcp web.{ZONE}", [f"web.{ZONE}. IN A 10.96.0.20"]),
    "cookie": (f"+cookie web.{ZONE}", [f"web.{ZONE}. IN A 10.96.0.20"]),
    "nsid-do": (f"+nsid +dnssec web.{ZONE}", [f"web.{ZONE}. IN A 10.96.0.20"]),
}
HOST = {
    "cluster-ip": (f"web.{ZONE}", [f"web.{ZONE} has address 10.96.0.20"]),
    "headless": (
        f"db.{ZONE}",
        [
            f"db.{ZONE} has address 10.244.1.1",
            f"db.{ZONE} has address 10.244.1.2",
            f"db.{ZONE} has IPv6 address fd00:10:244::1",
        ],
    ),
    "hostname": (f"db-1.db.{ZONE}", [f"db-1.db.{ZONE} has address 10.244.1.2"]),
    "dual": (
        f"dual.{ZONE}",
        [f"dual.{ZONE} has address 10.96.0.21", f"dual.{ZONE} has IPv6 address fd00:10:96::21"],
    ),
    "srv": (
        f"-t SRV _http._tcp.web.{ZONE}",
        [f"_http._tcp.web.{ZONE} has SRV record 0 100 80 web.{ZONE}."],
    ),
    "ptr-v4": ("10.96.0.20", [f"20.0.96.10.in-addr.arpa domain name pointer web.{ZONE}."]),
    "ptr-endpoint": (
        "10.244.1.1",
        [f"1.1.244.10.in-addr.arpa domain name pointer db-0.db.{ZONE}."],
    ),
    "ptr-v6": (
        "fd00:10:96::21",
        [
            "1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa "
            f"domain name pointer dual.{ZONE}."
        ],
    ),
    "external-inside": (
        f"store.{ZONE}",
        [f"store.{ZONE} is an alias for web.{ZONE}.", f"web.{ZONE} has address 10.96.0.20"],
    ),
    "external-outside": (
        f"pay.{ZONE}",
        [
            f"pay.{ZONE} is an alias for www.outside.test.",
            "www.outside.test has address 192.0.2.80",
        ],
    ),
    "outside": ("www.outside.test", ["www.outside.test has address 192.0.2.80"]),
    "pod": (
        "10-244-1-1.shop.pod.cluster.local",
        ["10-244-1-1.shop.pod.cluster.local has address 10.244.1.1"],
    ),
    "short": ("web", [f"web.{ZONE} has address 10.96.0.20"]),
    "short-namespace": ("web.shop", [f"web.{ZONE} has address 10.96.0.20"]),
    "short-svc": ("web.shop.svc", [f"web.{ZONE} has address 10.96.0.20"]),
    "short-hostname": ("db-0.db", [f"db-0.db.{ZONE} has address 10.244.1.1"]),
}
NSLOOKUP = {
    "cluster-ip": (f"web.{ZONE}", [f"Name: web.{ZONE}", "Address: 10.96.0.20"]),
    "headless": (f"db.{ZONE}", ["Address: 10.244.1.1", "Address: 10.244.1.2"]),
    "hostname": (f"db-1.db.{ZONE}", [f"Name: db-1.db.{ZONE}", "Address: 10.244.1.2"]),
    "dual": (f"dual.{ZONE}", ["Address: 10.96.0.21", "Address: fd00:10:96::21"]),
    "srv": (
        f"-type=srv _http._tcp.web.{ZONE}",
        [f"_http._tcp.web.{ZONE} service = 0 100 80 web.{ZONE}"],
    ),
    "ptr-v4": ("10.96.0.20", [f"20.0.96.10.in-addr.arpa name = web.{ZONE}"]),
    "ptr-endpoint": ("10.244.1.1", [f"1.1.244.10.in-addr.arpa name = db-0.db.{ZONE}"]),
    "ptr-v6": (
        "fd00:10:96::21",
        [
            "1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa "
            f"name = dual.{ZONE}"
        ],
    ),
    "external-inside": (
        f"store.{ZONE}",
        [f"store.{ZONE} canonical name = web.{ZONE}", f"Name: web.{ZONE}", "Address: 10.96.0.20"],
    ),
    "external-outside": (
        f"pay.{ZONE}",
        [f"pay.{ZONE} canonical name = www.outside.test", "Address: 192.0.2.80"],
    ),
    "outside": ("www.outside.test", ["Name: www.outside.test", "Address: 192.0.2.80"]),
    "pod": ("10-244-1-1.shop.pod.cluster.local", ["Address: 10.244.1.1"]),
}
"""For both kinds of nslookup; BIND's ends names with a dot, which is taken off here."""
SHORT = {"short": "web", "short-namespace": "web.shop", "short-svc": "web.shop.svc"}
GETENT = {
    "cluster-ip": (f"web.{ZONE}", [f"10.96.0.20 web.{ZONE}"]),
    "headless-v6": (f"db.{ZONE}", [f"fd00:10:244::1 db.{ZONE}"]),
    "hostname": (f"db-1.db.{ZONE}", [f"10.244.1.2 db-1.db.{ZONE}"]),
    "dual-v6": (f"dual.{ZONE}", [f"fd00:10:96::21 dual.{ZONE}"]),
    "ptr-v4": ("10.96.0.20", [f"10.96.0.20 web.{ZONE}"]),
    "ptr-endpoint": ("10.244.1.2", [f"10.244.1.2 db-1.db.{ZONE}"]),
    "ptr-v6": ("fd00:10:96::21", [f"fd00:10:96::21 dual.{ZONE}"]),
    "ptr-outside": ("192.0.2.80", ["192.0.2.80 www.outside.test"]),
    "external-inside": (f"store.{ZONE}", [f"10.96.0.20 web.{ZONE} store.{ZONE}"]),
    "external-outside": (f"pay.{ZONE}", [f"2001:db8::80 www.outside.test pay.{ZONE}"]),
    "pod": (
        "10-244-1-1.shop.pod.cluster.local",
        ["10.244.1.1 10-244-1-1.shop.pod.cluster.local"],
    ),
    "short": ("web", [f"10.96.0.20 web.{ZONE}"]),
    "short-namespace": ("web.shop", [f"10.96.0.20 web.{ZONE}"]),
    "short-svc": ("web.shop.svc", [f"10.96.0.20 web.{ZONE}"]),
    "short-external": ("store", [f"10.96.0.20 web.{ZONE} store.{ZONE}"]),
}
AHOSTS = {
    "cluster-ip": (f"web.{ZONE}", {"10.96.0.20"}),
    "headless": (f"db.{ZONE}", {"10.244.1.1", "10.244.1.2", "fd00:10:244::1"}),
    "hostname": (f"db-0.db.{ZONE}", {"10.244.1.1", "fd00:10:244::1"}),
    "dual": (f"dual.{ZONE}", {"10.96.0.21", "fd00:10:96::21"}),
    "external-inside": (f"store.{ZONE}", {"10.96.0.20"}),
    "external-outside": (f"pay.{ZONE}", {"192.0.2.80", "2001:db8::80"}),
    "pod": ("10-244-1-1.shop.pod.cluster.local", {"10.244.1.1"}),
    "short": ("web", {"10.96.0.20"}),
    "short-namespace": ("web.shop", {"10.96.0.20"}),
    "short-svc": ("web.shop.svc", {"10.96.0.20"}),
    "short-dual": ("dual", {"10.96.0.21", "fd00:10:96::21"}),
}


def rows(table: dict) -> pytest.MarkDecorator:
    """A parameter row for each kind of name."""
    return pytest.mark.parametrize("kind", table)


def assert_printed(printed: Printed, expected: Iterable[str]) -> None:
    """Every line is there, nothing worries, the status is 0."""
    lines = [TTL.sub(" IN ", line).removesuffix(".") for line in printed.lines if line not in MDNS]
    for line in expected:
        assert line.removesuffix(".") in lines, printed
    assert Printed(0, "\n".join(lines), printed.err).is_calm, printed
    assert printed.code == 0, printed


@rows(DIG)
def test_dig_finds(room: Room, kind: str) -> None:
    words, expected = DIG[kind]
    printed = room.run("dig", *words.split(), nameservers="two")
    assert_printed(printed, expected)
    assert "status: NOERROR" in printed.out


@rows(HOST)
@NAMESERVERS
def test_host_finds(room: Room, kind: str, nameservers: str) -> None:
    words, expected = HOST[kind]
    assert_printed(room.run("host", *words.split(), nameservers=nameservers), expected)


@rows(NSLOOKUP)
@NAMESERVERS
def test_nslookup_finds(room: Room, kind: str, nameservers: str) -> None:
    words, expected = NSLOOKUP[kind]
    printed = room.run("nslookup", *words.split(), nameservers=nameservers)
    assert_printed(printed, expected)
    assert "127.0.0.54" not in printed.out  # it does not go on to the second


@rows(SHORT)
@NAMESERVERS
def test_nslookup_finds_short_names(room: Room, kind: str, nameservers: str) -> None:
    printed = room.run("nslookup", SHORT[kind], nameservers=nameservers)
    assert_printed(printed, [f"Name: web.{ZONE}", "Address: 10.96.0.20"])
    assert "127.0.0.54" not in printed.out


@rows(NSLOOKUP)
@NAMESERVERS
def test_busybox_nslookup_finds(room: Room, kind: str, nameservers: str) -> None:
    words, expected = NSLOOKUP[kind]
    printed = room.run("busybox", "nslookup", *words.split(), nameservers=nameservers)
    assert_printed(printed, expected)


@NAMESERVERS
def test_busybox_nslookup_finds_a_short_name_among_what_it_misses(
    room: Room, nameservers: str
) -> None:
    """It asks every domain of the search list and ends with 1 unless all have the name."""
    printed = room.run("busybox", "nslookup", "web", nameservers=nameservers)
    assert [f"Name: web.{ZONE}", "Address: 10.96.0.20"] == printed.lines[2:4]
    assert "** server can't find web.svc.cluster.local: NXDOMAIN" in printed.lines
    assert printed.code == 1


@rows(GETENT)
@NAMESERVERS
def test_getent_hosts_finds(room: Room, kind: str, nameservers: str) -> None:
    words, expected = GETENT[kind]
    assert_printed(room.run("getent", "hosts", words, nameservers=nameservers), expected)


@rows(AHOSTS)
@NAMESERVERS
def test_getent_ahosts_finds(room: Room, kind: str, nameservers: str) -> None:
    name, expected = AHOSTS[kind]
    printed = room.run("getent", "ahosts", name, nameservers=nameservers)
    assert {line.split()[0] for line in printed.lines if " STREAM" in line} == expected
    assert printed.code == 0
    assert printed.is_calm


MISSING = {
    "dig": (["dig", f"nope.{ZONE}"], "status: NXDOMAIN", 0),
    "dig-short": (["dig", "+search", "nope"], "status: NXDOMAIN", 0),
    "host": (["host", f"nope.{ZONE}"], f"Host nope.{ZONE} not found: 3(NXDOMAIN)", 1),
    "host-short": (["host", "nope"], "Host nope not found: 3(NXDOMAIN)", 1),
    "host-ptr": (["host", "10.96.0.99"], "Host 99.0.96.10.in-addr.arpa. not found: 3(NXDOMAIN)", 1),
    "nslookup": (["nslookup", f"nope.{ZONE}"], f"** server can't find nope.{ZONE}: NXDOMAIN", 1),
    "nslookup-short": (["nslookup", "nope"], "** server can't find nope: NXDOMAIN", 1),
    "busybox": (
        ["busybox", "nslookup", f"nope.{ZONE}"],
        f"** server can't find nope.{ZONE}: NXDOMAIN",
        1,
    ),
    "getent-hosts": (["getent", "hosts", f"nope.{ZONE}"], "", 2),
    "getent-short": (["getent", "hosts", "nope"], "", 2),
    "getent-ahosts": (["getent", "ahosts", "nope"], "", 2),
    "getent-ptr": (["getent", "hosts", "10.96.0.99"], "", 2),
}


@rows(MISSING)
@NAMESERVERS
def test_a_missing_name_is_missing_for(room: Room, kind: str, nameservers: str) -> None:
    argv, expected, code = MISSING[kind]
    printed = room.run(*argv, nameservers=nameservers)
    assert expected in printed.out
    assert printed.code == code
    assert "timed out" not in printed.out + printed.err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["nslookup", "web"], ";; Got recursion not available from 127.0.0.55"),
        (["dig", f"web.{ZONE}"], ";; WARNING: recursion requested but not available"),
    ],
    ids=["nslookup", "dig"],
)
def test_without_a_forwarder_these_clients_would_warn(
    room: Room, argv: list[str], expected: str
) -> None:
    """So the calm above is kdns's RA, and not that nobody would have noticed."""
    printed = room.run(*argv, nameservers="no-ra")
    assert expected in printed.lines
    assert not printed.is_calm
