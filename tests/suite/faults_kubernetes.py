"""A fault for each clause of the Kubernetes specification, and of look-ups as pods make them."""

import dns.message
import dns.name
import dns.rcode
import dns.rrset

from kdns.conformance.wanted import LONG
from kdns.wire import types
from tests.suite.edits import (
    Change,
    When,
    bits,
    changed,
    edns,
    every,
    flags,
    name,
    plain,
    rcode,
    tcp,
    type_,
    where,
    without,
)
from tests.suite.planted import Edit, Fault, Said

SPACE = "kdns-conformance.svc.cluster.local."
WEB, BARE, HEAD, MANY = name("web.kdns"), name("bare."), name("head."), name("many.")
A, AAAA, SRV, PTR = type_("A"), type_("AAAA"), type_("SRV"), type_("PTR")
NXDOMAIN, EXISTS = rcode(types.NXDOMAIN), rcode(types.NOERROR)


def within(text: str) -> When:
    """The name asked for has this in it."""
    return lambda said: text in said.name.lower()


def exactly(text: str) -> When:
    """The name asked for is this one."""
    return lambda said: said.name == text


def says(*starts: str) -> When:
    """The right answer has a PTR record that begins so."""
    return lambda said: (
        said.message is not None
        and any(str(record[0]).startswith(starts) for record in said.message.answer)
    )


def titled(said: Said) -> bool:
    """The name asked for has each word's first letter in upper case, and no other."""
    return said.name == said.name.title() != said.name.lower()


desired = bits(types.RD)


def outside(labels: int) -> When:
    """A name of so many labels in no zone of the server."""
    return lambda said: said.name.endswith(".test.") and said.name.count(".") == labels


def dropped(values: str) -> Change:
    """No record that says this."""

    def change(message: dns.message.Message) -> None:
        message.answer[:] = [one for one in message.answer if values not in str(one[0])]

    return change


def added(kind: str, value: str) -> Edit:
    """A record of the name asked for, more; it exists then."""

    def change(message: dns.message.Message) -> None:
        owner = message.question[0].name
        message.answer.append(dns.rrset.from_text(owner, 5, "IN", kind, value))
        message.set_rcode(dns.rcode.NOERROR)

    return changed(change)


def doubled(message: dns.message.Message) -> None:
    """The first record once more."""
    message.answer.append(message.answer[0])


def shortened(message: dns.message.Message) -> None:
    """The last record is lost."""
    del message.answer[-1]


def renamed(message: dns.message.Message) -> None:
    """The endpoint alpha under another name in SRV records."""
    for place, record in enumerate(message.answer):
        if "alpha" in str(record[0]):
            stranger = dns.name.from_text(f"stranger.head.{SPACE}")
            message.answer[place] = dns.rrset.from_rdata(
                record.name, record.ttl, record[0].replace(target=stranger)
            )


def misported(message: dns.message.Message) -> None:
    """SRV records with the next port."""
    for place, record in enumerate(message.answer):
        other = record[0].replace(port=record[0].port + 1)
        message.answer[place] = dns.rrset.from_rdata(record.name, record.ttl, other)


def long_denied(message: dns.message.Message) -> None:
    """The SOA of a denial, to be kept for an hour."""
    for place, record in enumerate(message.authority):
        other = record[0].replace(minimum=3600)
        message.authority[place] = dns.rrset.from_rdata(record.name, 3600, other)


def strange_glue(message: dns.message.Message) -> None:
    """An address beside the SRV record that is not the service's."""
    owner = dns.name.from_text(f"web.{SPACE}")
    message.additional.append(dns.rrset.from_text(owner, 5, "IN", "A", "203.0.113.9"))


def without_question(said: Said) -> bytes:
    """The reply without the question, which glibc takes for no reply to it, and musl for one."""
    end = said.query.index(b"\0", 12) + 5
    owner = said.query[12 : end - 4]
    rest = said.reply[end:].replace(b"\xc0\x0c", owner)
    return said.reply[:4] + b"\0\0" + said.reply[6:12] + rest


def rule(clause: str, when: When, edit: Edit) -> Fault:
    """What is done to some replies."""
    return Fault(clause, edit=where(when, edit))


SPECIFICATION = [
    rule("k8s-schema-version", name("dns-version."), without("answer", "TXT")),
    rule("k8s-no-such-service", within(f".{SPACE}"), where(name("missing-"), EXISTS)),
    rule("k8s-no-such-namespace", name("web.missing-"), EXISTS),
    rule("k8s-negative-ttl", name("web.missing-"), changed(long_denied)),
    rule("k8s-empty-svc", every(name("svc.cluster."), A, desired), NXDOMAIN),
    rule("k8s-empty-namespace", every(name(SPACE), A, desired), NXDOMAIN),
    rule("k8s-empty-protocol", every(name("_tcp.web."), A), NXDOMAIN),
    rule("k8s-case", every(titled, A), without("answer", "A")),
    rule("k8s-pod-record", name("198-18-0-9."), without("answer", "A")),
    rule("k8s-service-a", every(BARE, A), without("answer", "A")),
    rule("k8s-service-aaaa", every(WEB, AAAA), without("answer", "AAAA")),
    rule("k8s-service-other-family", every(BARE, AAAA), NXDOMAIN),
    rule("k8s-service-long-name", every(name(LONG), A), without("answer", "A")),
    rule("k8s-service-srv", name("_metrics._tcp.web."), changed(misported)),
    rule("k8s-service-srv-additional", name("_http._tcp.web."), changed(strange_glue)),
    rule("k8s-service-srv-unnamed", name("_80._tcp.bare."), added("SRV", f"0 100 80 bare.{SPACE}")),
    rule("k8s-service-srv-protocol", name("_http._udp.web."), added("SRV", f"0 9 80 web.{SPACE}")),
    rule("k8s-service-ptr", every(PTR, says("bare.")), without("answer", "PTR")),
    rule("k8s-service-ptr6", every(PTR, says("web."), within("ip6")), without("answer", "PTR")),
    rule("k8s-headless-a", every(HEAD, A), changed(dropped("198.18.0.3"))),
    rule("k8s-headless-aaaa", every(HEAD, AAAA), changed(dropped("::3"))),
    rule("k8s-headless-unready", every(HEAD, A), added("A", "198.18.0.4")),
    rule("k8s-headless-no-duplicates", every(MANY, A, edns, tcp), changed(doubled)),
    rule("k8s-headless-hostname-a", every(name("alpha.head."), A), without("answer", "A")),
    rule("k8s-headless-hostname-aaaa", every(name("alpha.head."), AAAA), without("answer", "AAAA")),
    rule("k8s-headless-hostname-shared", name("twin.head."), changed(dropped("198.18.0.5"))),
    rule("k8s-headless-hostname-unready", every(name("gamma."), A), added("A", "198.18.0.4")),
    rule("k8s-headless-idle", name("idle."), EXISTS),
    rule("k8s-headless-void", name("void."), EXISTS),
    rule("k8s-headless-srv", name("_peer._udp.head."), changed(dropped("beta"))),
    rule("k8s-headless-srv-hostname", name("_http._tcp.head."), changed(renamed)),
    rule("k8s-headless-srv-targets", name("_peer._udp.head."), changed(renamed)),
    rule("k8s-headless-srv-unnamed", name("_80._tcp.plain."), added("SRV", f"0 9 80 x.{SPACE}")),
    rule("k8s-headless-ptr", every(within("in-addr"), says("alpha.")), without("answer", "PTR")),
    rule("k8s-headless-ptr6", every(within("ip6"), says("alpha.")), without("answer", "PTR")),
    rule("k8s-headless-ptr-unnamed", every(PTR, says("198-18-0-3.")), without("answer", "PTR")),
    rule("k8s-headless-ptr-unready", name("4.0.18.198."), added("PTR", f"gamma.head.{SPACE}")),
    rule("k8s-external-cname", every(name("outside."), type_("CNAME")), without("answer", "CNAME")),
    rule("k8s-external-address", every(name("outside."), AAAA), without("answer", "CNAME")),
    rule(
        "k8s-external-other-type", every(name("outside."), type_("TXT")), without("answer", "CNAME")
    ),
    rule("k8s-external-inside", every(name("alias."), A), without("answer", "A")),
    rule("k8s-search-glibc", name("found."), without_question),
    rule("k8s-search-musl", within("found.kdns-conformance.kdns-conf"), rcode(types.SERVFAIL)),
    rule("k8s-stub-tcp", every(MANY, A, tcp, plain), changed(shortened)),
    rule("k8s-outside", outside(2), flags(put=types.AA)),
    rule("k8s-second-nameserver", outside(3), NXDOMAIN),
]
"""Of a server without recursion."""

RECURSING = [
    rule("k8s-ra", name("dns-version."), flags(take=types.RA)),
    rule("k8s-search-long", within(".aaaaaaaaaa"), rcode(types.SERVFAIL)),
    rule("k8s-search-odd", within("_sip._tcp."), rcode(types.SERVFAIL)),
    rule(
        "k8s-search-ndots",
        every(exactly("found.kdns-conformance.svc."), A),
        added("A", "203.0.113.9"),
    ),
    rule("k8s-search-miss", every(outside(3), name("missing-")), rcode(types.SERVFAIL)),
]
