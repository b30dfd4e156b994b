"""What a name as typed means, by where it leads and by what there is."""

import pytest

from kdns.client.search import Walk
from kdns.explain.facts import Facts, NamespaceFact, ServiceFact
from kdns.explain.reasons.subject import subject
from kdns.explain.reasons.words import (
    between,
    counted,
    distance,
    lasting,
    listed,
    moment,
    nearest,
    since,
)  # fmt: skip

FACTS = Facts(
    namespaces={"shop": NamespaceFact("shop"), "com": NamespaceFact("com")},
    services={
        "shop/web": ServiceFact("shop", "web"),
        "data/mysql": ServiceFact("data", "mysql"),
        "com/yahoo": ServiceFact("com", "yahoo"),
    },
)


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("web", ("service", "shop/web")),
        ("nope", ("service", "shop/nope")),
        ("web.shop", ("service", "shop/web")),
        ("WEB.Shop", ("service", "shop/web")),
        ("nope.shop", ("service", "shop/nope")),
        ("web.shpo", ("service", "shpo/web")),
        ("a.b", ("service", "b/a")),
        ("web.shop.svc", ("service", "shop/web")),
        ("web.shop.svc.cluster.local", ("service", "shop/web")),
        ("web.nope.svc.cluster.local.", ("service", "nope/web")),
        ("mysql-0.mysql.data", ("endpoint", "data/mysql")),
        ("mysql-0.nope.data.svc", ("endpoint", "data/nope")),
        ("_http._tcp.web", ("port", "shop/web")),
        ("_http.web.shop.svc", ("port", "shop/web")),
        ("10-244-1-5.shop.pod", ("pod", "shop/")),
        ("shop.svc", ("namespace", "shop/")),
        ("svc.cluster.local", ("zone", "/")),
        ("cluster.local", ("zone", "/")),
        ("cluster.local.", ("zone", "/")),
        ("a.b.c.d.svc.cluster.local", ("shapeless", "/")),
        ("example.com", ("external", "/")),
        ("web.com", ("external", "/")),
        ("yahoo.com", ("service", "com/yahoo")),
        ("www.example.org", ("external", "/")),
        ("web.shop.svc.other.zone", ("foreign", "shop/web")),
        ("5.1.244.10.in-addr.arpa", ("reverse", "/")),
        (".", ("external", "/")),
    ],
)
def test_names(name: str, means: tuple[str, str]) -> None:
    found = subject(name, "shop", FACTS, ())
    assert (found.kind, found.key) == means


def test_what_was_answered_counts() -> None:
    walk = Walk("glibc", (), "answered", "", "yahoo.com.")
    assert subject("yahoo.com", "shop", FACTS, (walk,)).kind == "external"


def test_the_zone_may_be_another() -> None:
    facts = Facts(zones=("corp.example.",), services=FACTS.services)
    assert subject("web.shop.svc.corp.example", "x", facts, ()).key == "shop/web"
    assert subject("web.shop.svc.cluster.local", "x", facts, ()).kind == "foreign"


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("web", "web", 0), ("web", "wbe", 1), ("web", "webs", 1), ("payemnts", "payments", 1),
     ("mysql", "pgsql", 2), ("", "ab", 2)],
)  # fmt: skip
def test_distances(one: str, other: str, apart: int) -> None:
    assert distance(one, other, 5) == distance(other, one, 5) == apart


def test_nearest_names() -> None:
    known = ["payments", "payment", "web", "pay", "orders"]
    assert nearest("paymets", known) == ["payments", "pay", "payment"]
    assert nearest("w", known) == []
    assert nearest("nothing-like-it", known) == []


def test_words() -> None:
    assert listed("abcdefg") == "a, b, c, d and 3 more"
    assert listed("abcde") == "a, b, c, d, e"
    assert (counted(1, "pod"), counted(2, "pod"), counted(0, "pod")) == (
        "1 pod",
        "2 pods",
        "0 pods",
    )
    assert [lasting(s) for s in (0.0003, 0.04, 1.5, 5, 90, 3600, 9000, 1e6)] == [
        "0.3 ms", "40 ms", "1.5 s", "5 s", "90 s", "60 min", "2 h", "12 days",
    ]  # fmt: skip
    assert moment("x") is None
    assert moment("2026-11-20T10:00:00") == moment("2026-11-20T12:00:00+02:00")
    assert between("2026-11-20T10:00:00Z", "") is None
    assert since("2026-11-20T10:00:00Z", "2026-11-20T13:00:00Z").endswith("Z (3 h)")
    assert since("2026-11-20T10:00:00Z", "") == " since 2026-11-20T10:00:00Z"
