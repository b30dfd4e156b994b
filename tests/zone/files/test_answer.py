"""Answers from a zone, each with the rule it keeps; Knot said the same (tests/conformance)."""

import pytest

from kdns.wire import names, rare, types
from kdns.wire.message import Answer
from kdns.zone.files.answer import Alias, ended, find
from kdns.zone.files.parse import parse
from kdns.zone.files.zone import Zone, compiled, is_newer

APEX = names.parse_key("example.")
TEXT = """$ORIGIN example.
$TTL 300
@ 3600 SOA ns1 host 10 7200 900 86400 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.1
mail A 192.0.2.2
www CNAME web
web A 192.0.2.3
web TXT "w"
c1 CNAME c2
c2 CNAME web
cnx CNAME missing
cout CNAME outside.test.
cself CNAME cself
ca CNAME cb
cb CNAME ca
cent CNAME ent
cdel CNAME host.sub
cdn CNAME x.dn
*.wild TXT "wild"
a.wild A 192.0.2.10
b.c.wild A 192.0.2.11
*.wc CNAME web
deep.ent A 192.0.2.20
*.ws CNAME x.ws
sub NS ns.sub
sub NS ns.beside
ns.sub A 192.0.2.30
host.sub A 192.0.2.31
deeper.sub NS ns.deeper.sub
ns.beside A 192.0.2.32
signed NS ns1
signed DS 1 8 2 abababababababababababababababababababababababababababababababab
dn DNAME target.dn2
dn TXT "d"
hidden.dn A 192.0.2.40
x.target.dn2 A 192.0.2.41
dnout DNAME outside.test.
dnself DNAME dnself
dnlong DNAME {long}
*.star.ent2 A 192.0.2.53
_s._tcp SRV 1 2 80 web
*.del NS ns1
""".replace("{long}", ".".join(["x" * 63] * 3))
ZONE = compiled(APEX, parse("db", APEX, lambda _: TEXT))


def row(rrset) -> str:
    head = f"{names.format(rrset.owner).replace('.example.', '')} {types.type_name(rrset.type)}"
    rdata = " ".join(rare.format_rdata(rrset.type, one) for one in rrset.rdatas)
    return f"{head} {rdata.replace('.example.', '')}"


def said(name: str, type_: str, zone: Zone = ZONE) -> str:
    """Code or AA, then the sections: answer, authority (`ns`, `soa` for the zone's), glue."""
    found = find(
        zone, names.parse_key(f"{name}.example." if name else "example."), types.parse_type(type_)
    )
    if isinstance(found, Alias):
        return "; ".join(map(row, found.answer)) + f" -> {names.format(found.target)}"
    code = types.rcode_name(found.rcode) + ("" if found.flags & types.AA else " no AA")
    authority = [
        "soa" if one.type == types.SOA else "ns" if one.owner == APEX else row(one)
        for one in found.authority
    ]
    sections = (map(row, found.answer), authority, map(row, found.additional))
    return " | ".join((code, *("; ".join(section) for section in sections)))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param("web A", "NOERROR | web A 192.0.2.3 | ns | ", id="exact"),
        pytest.param("web MX", "NOERROR |  | soa | ", id="no such records"),
        pytest.param("nx A", "NXDOMAIN |  | soa | ", id="no such name"),
        pytest.param("a.nx A", "NXDOMAIN |  | soa | ", id="below no such name"),
        pytest.param("a.web A", "NXDOMAIN |  | soa | ", id="below a name"),
        pytest.param("ent A", "NOERROR |  | soa | ", id="a name that only has names below"),
        pytest.param("web ANY", 'NOERROR | web A 192.0.2.3; web TXT "w" | ns | ', id="ANY"),
        pytest.param("www A", "NOERROR | www CNAME web; web A 192.0.2.3 | ns | ", id="CNAME"),
        pytest.param("www CNAME", "NOERROR | www CNAME web | ns | ", id="CNAME asked"),
        pytest.param("www ANY", "NOERROR | www CNAME web | ns | ", id="CNAME and ANY"),
        pytest.param("www MX", "NOERROR | www CNAME web | soa | ", id="CNAME without the type"),
        pytest.param("cnx A", "NXDOMAIN | cnx CNAME missing | soa | ", id="CNAME to nothing"),
        pytest.param("cent A", "NOERROR | cent CNAME ent | soa | ", id="CNAME to a name between"),
        pytest.param("cout A", "cout CNAME outside.test. -> outside.test.", id="CNAME out"),
        pytest.param("cself A", "SERVFAIL no AA |  |  | ", id="CNAME to itself"),
        pytest.param("y.ws A", "SERVFAIL no AA |  |  | ", id="CNAME to what leads to itself"),
        pytest.param("ca A", "NOERROR | ca CNAME cb; cb CNAME ca | ns | ", id="CNAME in a ring"),
        pytest.param(
            "cdel A", "NOERROR | cdel CNAME host.sub | sub NS ns.sub ns.beside |"
            " ns.sub A 192.0.2.30; ns.beside A 192.0.2.32", id="CNAME into a delegation",
        ),
        pytest.param("x.wild TXT", 'NOERROR | x.wild TXT "wild" | ns | ', id="wildcard"),
        pytest.param("x.y.wild TXT", 'NOERROR | x.y.wild TXT "wild" | ns | ', id="wildcard, deep"),
        pytest.param("x.wild A", "NOERROR |  | soa | ", id="wildcard without the type"),
        pytest.param("a.wild TXT", "NOERROR |  | soa | ", id="a name beside a wildcard"),
        pytest.param("c.wild TXT", "NOERROR |  | soa | ", id="a name between beside a wildcard"),
        pytest.param("x.c.wild TXT", "NXDOMAIN |  | soa | ", id="below that: no wildcard there"),
        pytest.param("x.a.wild TXT", "NXDOMAIN |  | soa | ", id="below a name: no wildcard there"),
        pytest.param("*.wild TXT", 'NOERROR | *.wild TXT "wild" | ns | ', id="the wildcard itself"),
        pytest.param("x.wc A", "NOERROR | x.wc CNAME web; web A 192.0.2.3 | ns | ", id="CNAME of a wildcard"),
        pytest.param("x.star.ent2 A", "NOERROR | x.star.ent2 A 192.0.2.53 | ns | ", id="below names between"),
        pytest.param(
            "sub A", "NOERROR no AA |  | sub NS ns.sub ns.beside |"
            " ns.sub A 192.0.2.30; ns.beside A 192.0.2.32", id="delegation",
        ),
        pytest.param(
            "ns.deeper.sub A", "NOERROR no AA |  | sub NS ns.sub ns.beside |"
            " ns.sub A 192.0.2.30; ns.beside A 192.0.2.32", id="the highest delegation counts",
        ),
        pytest.param("sub DS", "NOERROR |  | soa | ", id="DS of a delegation that has none"),
        pytest.param("signed DS", "NOERROR | signed DS 1 8 2 " + "ab" * 32 + " | ns | ", id="DS"),
        pytest.param("x.del A", "NOERROR no AA |  | *.del NS ns1 | ns1 A 192.0.2.1", id="delegation by wildcard"),
        pytest.param("dn TXT", 'NOERROR | dn TXT "d" | ns | ', id="beside a DNAME"),
        pytest.param("dn A", "NOERROR |  | soa | ", id="a DNAME does not cover its own name"),
        pytest.param(
            "x.dn A", "NOERROR | dn DNAME target.dn2; x.dn CNAME x.target.dn2; x.target.dn2 A 192.0.2.41"
            " | ns | ", id="DNAME",
        ),
        pytest.param(
            "hidden.dn A", "NXDOMAIN | dn DNAME target.dn2; hidden.dn CNAME hidden.target.dn2 | soa | ",
            id="what a DNAME hides",
        ),
        pytest.param(
            "cdn A", "NOERROR | cdn CNAME x.dn; dn DNAME target.dn2; x.dn CNAME x.target.dn2;"
            " x.target.dn2 A 192.0.2.41 | ns | ", id="CNAME to below a DNAME",
        ),
        pytest.param("x.dn CNAME", "NOERROR | dn DNAME target.dn2; x.dn CNAME x.target.dn2 | ns | ", id="DNAME, CNAME asked"),
        pytest.param(
            "x.dnout A", "dnout DNAME outside.test.; x.dnout CNAME x.outside.test. -> x.outside.test.",
            id="DNAME out",
        ),
        pytest.param("x.dnself A", "SERVFAIL no AA |  |  | ", id="DNAME to itself"),
        pytest.param(
            "y" * 63 + ".dnlong A", "YXDOMAIN | dnlong DNAME " + ".".join(["x" * 63] * 3) + " |  | ",
            id="a name that gets too long",
        ),
        pytest.param(" MX", "NOERROR | example. MX 10 mail | ns | mail A 192.0.2.2", id="MX with glue"),
        pytest.param(" NS", "NOERROR | example. NS ns1 |  | ns1 A 192.0.2.1", id="NS with glue"),
        pytest.param("_s._tcp SRV", "NOERROR | _s._tcp SRV 1 2 80 web | ns | web A 192.0.2.3", id="SRV with glue"),
        pytest.param(" DS", "NOERROR |  | soa | ", id="DS of the zone itself"),
    ],
)  # fmt: skip
def test_every_rule(asked: str, expected: str) -> None:
    assert said(*asked.split(" ")) == expected


def test_negative_answers_have_the_lesser_ttl() -> None:
    found = find(ZONE, names.parse_key("nx.example."), types.A)
    assert [one.ttl for one in found.authority] == [60]
    assert find(ZONE, APEX, types.SOA).answer[0].ttl == 3600


def test_a_chain_that_left_has_the_code_of_its_end() -> None:
    alias = find(ZONE, names.parse_key("cout.example."), types.A)
    soa = find(ZONE, names.parse_key("nx.example."), types.A).authority
    there = Answer(types.NXDOMAIN, authority=soa)
    assert ended(alias, there).rcode == types.NXDOMAIN
    assert ended(alias, there).authority == soa
    for nobody in (None, Answer(types.REFUSED)):
        found = ended(alias, nobody)
        assert (found.rcode, found.answer, found.flags) == (0, alias.answer, types.AA)


def test_what_is_odd_in_a_zone_is_served_with_a_warning() -> None:
    text = TEXT + (
        "web 60 A 192.0.2.99\nother.test. A 1.1.1.1\nwww CNAME ent\nwww A 1.1.1.1\n"
        "web CH TXT x\nweb A 192.0.2.3\n"
    )
    zone = compiled(APEX, parse("db", APEX, lambda _: text))
    assert said("web", "A", zone) == "NOERROR | web A 192.0.2.3 192.0.2.99 | ns | "
    assert said("www", "A", zone).startswith("NOERROR | www CNAME web; web A")
    assert [
        warning.removeprefix("db:").lstrip("0123456789:").strip() for warning in zone.warnings
    ] == [
        "web.example. A has another TTL than its like: all get 60",
        "other.test. A lies outside example. and is left out",
        "www.example. CNAME is a second one at its name and left out",
        "web.example. TXT is of class CH and left out",
        "web.example. A has another TTL than its like: all get 60",
        "www.example. has a CNAME and other records: the CNAME answers",
    ]


def test_a_large_set_holds_each_record_once() -> None:
    many = "".join(f"many A 10.0.{n >> 8}.{n & 255}\n" for n in range(500)) * 2
    zone = compiled(APEX, parse("db", APEX, lambda _: TEXT + many))
    assert len(zone.nodes[names.parse_key("many.example.")].sets[0].rdatas) == 500


@pytest.mark.parametrize(
    ("serial", "than", "expected"),
    [(2, 1, True), (1, 2, False), (1, 1, False), (0, 0xFFFFFFFF, True), (0xFFFFFFFF, 0, False)],
)
def test_serials_are_compared_in_a_ring(serial, than, expected) -> None:
    assert is_newer(serial, than) is expected
