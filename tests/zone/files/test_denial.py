"""Proofs of absence in small zones whose signatures are made up; Knot judged whole zones
(tests/conformance).
"""

import dns.dnssec
import pytest

from kdns.wire import names, types
from kdns.zone.files.answer import find
from kdns.zone.files.parse import parse
from kdns.zone.files.zone import Zone, compiled

APEX = names.parse_key("example.")
SIG = "RRSIG {} 8 1 60 20301231000000 20201231000000 1 example. AQIDBAUG"
BASE = (
    "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\ndel NS ns.del\nns.del A 192.0.2.2\n"
)
BASE += "@ " + SIG.format("SOA") + "\nns " + SIG.format("A") + "\n"


def hashed(name: str) -> str:
    return dns.dnssec.nsec3_hash(name, "ab", 5, 1).lower()


def zone(text: str) -> Zone:
    return compiled(APEX, parse("db", APEX, lambda _: BASE + text))


def nsec3(*owners: str, rounds: int = 5) -> Zone:
    hashes = sorted(map(hashed, owners))
    lines = [f"@ NSEC3PARAM 1 0 {rounds} ab"]
    for at, one in enumerate(hashes):
        after = hashes[(at + 1) % len(hashes)]
        lines += [f"{one} NSEC3 1 1 {rounds} ab {after} A", f"{one} {SIG.format('NSEC3')}"]
    return zone("\n".join(lines) + "\n")


def proofs(made: Zone, name: str, type_: int = types.A) -> set[str]:
    found = find(made, names.parse_key(name), type_, do=True)
    return {
        names.format(one.owner).removesuffix(".example.")
        for one in found.authority
        if one.type in {types.NSEC, types.NSEC3}
    }


def test_a_delegation_that_was_left_out_is_denied_by_what_encloses_it() -> None:
    made = nsec3("example.", "ns.example.")
    assert proofs(made, "x.del.example.") == {hashed("example."), covering(made, "del.example.")}
    assert proofs(nsec3("example.", "del.example."), "del.example.") == {hashed("del.example.")}


def covering(made: Zone, name: str) -> str:
    """The owner that stands before a hash, the last one before the first."""
    before = [label for label, _ in made.nsec3 if label < hashed(name).encode()]
    return (before or [made.nsec3[-1][0]])[-1].decode()


def test_a_name_that_does_not_exist_needs_three_proofs() -> None:
    made = nsec3("example.", "ns.example.")
    wanted = {covering(made, "a.example."), covering(made, "*.example."), hashed("example.")}
    assert proofs(made, "b.a.example.") == wanted


def test_no_records_of_a_type_are_denied_by_the_name_itself() -> None:
    assert proofs(nsec3("example.", "ns.example."), "ns.example.", types.MX) == {
        hashed("ns.example.")
    }
    made = zone(f"@ NSEC ns NS SOA\nns NSEC @ A\nns {SIG.format('NSEC')}\n")
    assert proofs(made, "ns.example.", types.MX) == {"ns"}
    assert proofs(made, "nx.example.") == {"ns", "example."}


@pytest.mark.parametrize("made", [nsec3("example.", rounds=151), zone("")], ids=["rounds", "none"])
def test_where_nothing_can_be_proved_nothing_is(made: Zone) -> None:
    assert proofs(made, "nx.example.") == set()
    assert find(made, names.parse_key("nx.example."), types.A, do=True).rcode == types.NXDOMAIN


def test_signatures_are_given_to_who_asks_for_them() -> None:
    made = zone("")
    key = names.parse_key("ns.example.")
    assert [one.type for one in find(made, key, types.A, do=True).answer] == [1, types.RRSIG]
    assert [one.type for one in find(made, key, types.A).answer] == [1]
    assert [one.type for one in find(made, key, types.RRSIG).answer] == [types.RRSIG]


def test_the_owner_of_a_hash_is_no_name() -> None:
    made = nsec3("example.", "ns.example.")
    assert find(made, names.parse_key(f"{hashed('example.')}.example."), types.A).rcode == 3
    assert any(one.type == types.NSEC3 for one in made.rrsets())
