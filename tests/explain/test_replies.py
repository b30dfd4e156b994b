"""Replies are read for what reasons and rows say of them."""

import dns.message
import dns.rrset
import pytest

from kdns.client.search import Asked, Heard
from kdns.explain.reasons.replies import Step, read

NAME = "web.shop.svc.cluster.local."


def step(kind: str, *records: tuple[str, str]) -> Step:
    query = dns.message.make_query(NAME, kind, id=1)
    reply = dns.message.make_response(query)
    for type_, value in records:
        reply.answer.append(dns.rrset.from_text(NAME, 5, "IN", type_, value))
    type_number = int(query.question[0].rdtype)
    heard = Heard(reply.to_wire())
    return read(Asked(NAME, type_number, ("10.96.0.10", 53), heard, "", ""))


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("A", "10.96.0.20", "10.96.0.20"),
        ("AAAA", "fd00::5", "fd00::5"),
        ("SRV", "0 100 80 a.example.", "a.example. port 80"),
        ("PTR", "a.example.", "a.example."),
        ("TXT", '"dns-version"', "12 octets"),
    ],
)
def test_values(kind: str, value: str, said: str) -> None:
    found = step(kind, (kind, value))
    assert (found.said, found.rcode) == (said, "NOERROR")
    assert found.question == f"{NAME} {kind}"


def test_of_many_values_some_are_shown() -> None:
    found = step("A", *[("A", f"10.0.0.{number}") for number in range(9)])
    assert found.said == "10.0.0.0, 10.0.0.1, 10.0.0.2 and 6 more"


def test_an_alias_that_leads_nowhere() -> None:
    found = step("A", ("CNAME", "a.example."))
    assert found.said == "CNAME a.example. alone"
    assert found.aliases == ("a.example.",)


def test_nothing() -> None:
    assert step("A").said == "no data"
    silent = Asked(NAME, 1, ("::1", 53), Heard(None, "no answer within 5 s"), "", "")
    assert read(silent).said == "no answer within 5 s"
    broken = Asked(NAME, 1, ("::1", 53), Heard(b"\0"), "", "")
    assert read(broken).said == "the reply cannot be read"
