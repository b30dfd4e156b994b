"""The differences from CoreDNS that we mean: each with its reason, and the cases it explains.

An entry explains fields of a reply, and only in cases where its predicate holds. Every entry must
be seen in a full run; one that is never seen is dead and is reported.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.differential import packets
from tests.differential.clusters import ADDRESSES
from tests.differential.compare import SECTIONS, Case
from tests.differential.questions import dashed


@dataclass(frozen=True)
class Expected:
    """A difference we mean."""

    name: str
    reason: str
    covers: frozenset[str]
    """The fields it explains; empty for all."""
    holds: Callable[[Case], bool]


NEGATIVE = frozenset({"rcode", "AA", "answer", "authority", "additional"})
"""What differs where one finds a name and the other does not, or asks the next plugin."""


def _flags(case: Case) -> int:
    return int.from_bytes(case.asked.packet[2:4], "big")


def _recursion(case: Case) -> bool:
    """We set RA exactly for RD=1 where the listener forwards the root."""
    wants = bool(_flags(case) & packets.RD) and case.config.has_root_forward
    return bool(case.our_fields.get("RA")) == wants


def _only_case(case: Case) -> bool:
    """The records are the same but for letters' case in names."""
    return all(
        _folded(case.their_fields.get(name)) == _folded(case.our_fields.get(name))
        for name in SECTIONS
    )


def _folded(records: Any) -> Any:  # Any: a list of records, or None without a reply
    if not isinstance(records, list):
        return records
    return sorted(
        (owner.lower(), ttl, cls, type_, data if type_ == "TXT" else data.lower())
        for owner, ttl, cls, type_, data in records
    )


def _name(case: Case) -> str:
    return case.asked.text.split()[0].rstrip(".").lower()


def _type(case: Case) -> str:
    return [*case.asked.text.split(), ""][1]


def _class(case: Case) -> int | None:
    words = case.asked.text.split()
    return int(words[3]) if len(words) > 3 else None


def _becomes_nodata(case: Case) -> bool:
    """CoreDNS says NXDOMAIN, or has fallen through; we say NODATA."""
    if case.our_fields.get("rcode") != "NOERROR" or case.our_fields["answer"]:
        return False
    return case.their_fields.get("rcode") == "NXDOMAIN" or "fallthrough" in case.config.words


def _is_above(case: Case) -> bool:
    """An apex, ns.dns, svc, pod, or a namespace below those."""
    left = next((_name(case)[: -len(z)] for z in case.config.zones if _name(case).endswith(z)), "x")
    labels = left.strip(".").split(".") if left else []
    is_ent = not labels or labels == ["ns", "dns"] or labels[-1] in ("svc", "pod", "")
    return _becomes_nodata(case) and len(labels) <= 2 and is_ent


def _slices(case: Case) -> list[dict[str, Any]]:
    return case.cluster.of("EndpointSlice") if case.cluster else []


def _has_fqdn_slice(case: Case) -> bool:
    """The service asked for has a slice of type FQDN."""
    labels = _name(case).split(".")
    return any(
        each["addressType"] == "FQDN"
        and each["metadata"]["namespace"] in labels
        and labels_name(each["metadata"]) in labels
        for each in _slices(case)
    )


def labels_name(meta: dict[str, Any]) -> str:
    """The service a slice says it belongs to, of this cluster or of the set."""
    labels = meta.get("labels") or {}
    return next((v for k, v in labels.items() if k.endswith("/service-name")), "")


def _is_ede(case: Case) -> bool:
    """Acl or template had something to say."""
    ours = case.our_fields.get("edns")
    codes = [code for code, _ in ours["options"]] if ours else []
    return (not ours or codes == [15]) and any(
        word in case.config.text for word in ("block", "filter", "ederror")
    )


def _is_uncached(case: Case) -> bool:
    """The same records of a cluster zone, but for what a cache does to TTLs and letters."""
    return "cache" in case.config.words and all(
        _untimed(case.their_fields.get(name)) == _untimed(case.our_fields.get(name))
        for name in SECTIONS
    ) and bool(case.our_fields.get("AA")) and case.cluster is not None  # fmt: skip


def _untimed(records: Any) -> Any:  # Any: as in _folded
    folded = _folded(records)
    return sorted((r[0], *r[2:]) for r in folded) if folded is not None else None


def _is_loopback_ns(case: Case) -> bool:
    answers = f"{case.our_fields.get('answer')} {case.our_fields.get('additional')}"
    return "'127.0.0.1'" in answers and _name(case).removeprefix("ns.dns.") in case.config.zones


def _is_ghostly(case: Case) -> bool:
    """A namespace that has no object of its own is asked for, or answered with."""
    names = f".{_name(case)}. {case.our_fields.get('answer')}"
    return case.cluster is not None and any(f".{ghost}." in names for ghost in case.cluster.ghosts)


def _is_portless_import(case: Case) -> bool:
    """A ServiceImport without ports is asked for."""
    labels = _name(case).split(".")
    return any(
        not each["spec"].get("ports")
        and each["metadata"]["name"] in labels
        and each["metadata"]["namespace"] in labels
        for each in (case.cluster.of("ServiceImport") if case.cluster else [])
    ) and _name(case).endswith(".set.local")


def _is_orphan(case: Case) -> bool:
    """Some slice without the service label has the address that is asked for."""
    if case.theirs is not None or _type(case) != "PTR":
        return False
    return any(
        ipaddress.ip_address(address).reverse_pointer == _name(case)
        for each in _slices(case)
        if each["addressType"] != "FQDN"
        and "kubernetes.io/service-name" not in (each["metadata"].get("labels") or {})
        for endpoint in each["endpoints"]
        for address in endpoint["addresses"]
    )


_ODD = [a for a in ADDRESSES["IPv6"] if str(ipaddress.ip_address(a)) != a]
_RESPELT = [
    *(dashed(a) for a in _ODD),
    *(dashed(str(ipaddress.ip_address(a))) for a in _ODD),
    *(ipaddress.ip_address(a).reverse_pointer for a in _ODD),
]


def _is_respelt(case: Case) -> bool:
    """An address that an object spells in its own way is asked for, or answered with."""
    text = f"{_name(case)} {case.their_fields.get('answer')} {case.our_fields.get('answer')}"
    return any(word in text for word in _RESPELT)


def _packet(name: str, reason: str, *packets_: str) -> Expected:
    """A difference in whole replies to some of the hand-made packets."""
    return Expected(name, reason, frozenset(), lambda case: case.asked.text in packets_)


EXPECTED = (
    Expected(
        "ra",
        "RA tells whether this listener recurses for the asker, on every reply alike: without it "
        "BIND's nslookup warns and goes on to the next server (issue 1)",
        frozenset({"RA"}),
        _recursion,
    ),
    Expected(
        "case",
        "a name that ends like the question is a pointer into it and so repeats its letters; "
        "names are equal in any case (RFC 4343 §4.1)",
        frozenset(SECTIONS),
        _only_case,
    ),
    Expected(
        "notify-rd",
        "RD and CD are copied for QUERY only, whoever made the reply; CoreDNS hands on what an "
        "upstream said to a NOTIFY",
        frozenset({"RD", "CD"}),
        lambda case: _opcode(case) == 4,
    ),
    Expected(
        "refusal-flags",
        "FORMERR and NOTIMP carry QR, opcode, RD and CD; CoreDNS copies TC, RA and AD too, and "
        "turns the opcode of a FORMERR to QUERY",
        frozenset({"TC", "RA", "AD", "opcode"}),
        lambda case: case.our_fields.get("rcode") in ("FORMERR", "NOTIMP"),
    ),
    Expected(
        "ent",
        "dns.<zone> exists, since ns.dns.<zone> does: NODATA (RFC 8020 §2)",
        NEGATIVE,
        lambda case: _name(case) in [f"dns.{zone}" for zone in case.config.zones]
        and _becomes_nodata(case),
    ),
    Expected(
        "dns-version",
        "dns-version.<zone> has a TXT record, so for other types it is NODATA and falls through "
        "to nobody",
        NEGATIVE,
        lambda case: _name(case) in [f"dns-version.{zone}" for zone in case.config.zones]
        and _becomes_nodata(case),
    ),
    Expected(
        "ent-txt",
        "a name that exists without records is NODATA for TXT as for every other type",
        NEGATIVE,
        lambda case: _type(case) == "TXT" and _is_above(case),
    ),
    Expected(
        "reverse-nodata",
        "an address name that has a PTR exists, so for other types it is NODATA (RFC 2308 §2.2)",
        NEGATIVE,
        lambda case: case.asked.kind == "reverse" and _type(case) != "PTR" and _becomes_nodata(case),
    ),
    Expected(
        "reverse-junk",
        "labels before a whole address name are no address: NXDOMAIN; CoreDNS passes over what is "
        "before 32 nibbles",
        NEGATIVE,
        lambda case: _name(case).endswith("ip6.arpa") and _name(case).count(".") > 33,
    ),
    Expected(
        "primary-zone",
        "PTRs name the first zone that is no reverse zone; CoreDNS the first, so services of "
        "in-addr.arpa where that is written before cluster.local",
        frozenset({"answer"}),
        lambda case: str(case.our_fields.get("answer")).lower()
        == str(case.their_fields.get("answer")).lower().replace("svc.in-addr.arpa.", "svc.cluster.local."),
    ),
    Expected(
        "ns-case",
        "NS at the apex and ns.dns are found in any letter case (RFC 4343 §3)",
        NEGATIVE,
        lambda case: case.asked.text.split()[0] != _name(case)
        and _name(case).removeprefix("ns.dns.") in case.config.zones,
    ),
    Expected(
        "fqdn-slices",
        "slices of address type FQDN, which Kubernetes deprecates, answer nothing; CoreDNS makes "
        "a CNAME of each",
        NEGATIVE,
        _has_fqdn_slice,
    ),
    Expected(
        "portless-imports",
        "a ServiceImport without ports answers like a Service without ports; CoreDNS says NXDOMAIN",
        NEGATIVE,
        _is_portless_import,
    ),
    Expected(
        "orphan-slices",
        "a slice without a service name has no names; CoreDNS makes a PTR with an empty label, "
        "cannot pack it and stays silent",
        frozenset(),
        _is_orphan,
    ),
    Expected(
        "spelling",
        "an IPv6 address is the same however an object spells it (RFC 5952); CoreDNS compares and "
        "dashes the text",
        NEGATIVE,
        _is_respelt,
    ),
    Expected(
        "ghosts",
        "a namespace that only its objects name exists in manifests",
        NEGATIVE,
        _is_ghostly,
    ),
    _packet("edns-z", "unknown EDNS flags are zero in replies (RFC 6891 §6.1.4)", "edns-z"),
    Expected(
        "badvers-size",
        "the OPT of a BADVERS has our size and the asker's DO; CoreDNS says size 0",
        frozenset({"edns"}),
        lambda case: case.our_fields.get("rcode") == "BADVERS",
    ),
    _packet(
        "two-opts",
        "a second OPT, or one not owned by the root, is a FORMERR (RFC 6891 §6.1.1, §6.1.2)",
        "edns-twice", "edns-twice-versions", "edns-owner-not-root",
    ),
    _packet(
        "cut-question",
        "a question without type or class, and one promised but missing, is a FORMERR; CoreDNS "
        "reads zeros",
        "qd-1-none-there", "type-missing", "class-missing", "class-missing-opt-promised",
        "nothing-but-promises",
    ),
    _packet(
        "question-pointer",
        "a compressed question is a FORMERR: there is nothing before it to point to",
        "pointer-into-header",
    ),
    _packet(
        "unread-rdata",
        "records of a query that nobody reads are not taken apart",
        "soa-rdlength-3", "a-rdlength-3", "txt-beyond",
    ),
    _packet(
        "unread-options",
        "EDNS options that nobody reads are not taken apart (RFC 6891 §6.1.2: ignored)",
        "edns-subnet-bad", "ecs-v4-mask-33", "ecs-short", "keepalive-1-octet", "expire-1-octet",
        "ede-short", "llq-short", "ul-short", "report-channel-bad", "zoneversion-empty",
    ),
    _packet(
        "whoami-long",
        "where no SRV owner fits, whoami still gives the address; CoreDNS sends a broken reply",
        "name-255",
    ),
    Expected(
        "ede-opt",
        "an extended error goes to askers with EDNS, under their own DO (RFC 6891 §6.1.1); CoreDNS "
        "sends it to everybody with DO set, and loses it in its cache",
        frozenset({"edns"}),
        _is_ede,
    ),
    Expected(
        "cluster-uncached",
        "cluster answers are never kept by cache, and their TTLs are left as they are",
        frozenset(SECTIONS),
        _is_uncached,
    ),
    Expected(
        "loopback-ns",
        "a server bound to loopback is its own name server there; CoreDNS names none",
        NEGATIVE,
        _is_loopback_ns,
    ),
    Expected(
        "whoami-uncached",
        "what tells the asker's address is not cached for others",
        frozenset({"additional"}),
        lambda case: "cache" in case.config.text and "whoami" in case.config.text,
    ),
    Expected(
        "class-per-block",
        "a class other than IN goes to blocks that forward; CoreDNS lets it into every block of "
        "a listener where any block forwards",
        frozenset(),
        lambda case: _class(case) not in (None, 1)
        and case.our_fields.get("rcode") == "REFUSED"
        and "forward" in case.config.text,
    ),
    _packet(
        "long-queries",
        "queries over 512 octets are read whole over UDP too; CoreDNS cuts them and says FORMERR",
        "513-octets", "1400-octets",
    ),
)  # fmt: skip


def _opcode(case: Case) -> int:
    return _flags(case) >> 11 & 15


def explain(case: Case) -> tuple[set[str], list[str]]:
    """The differing fields that nothing explains, and the names of what explained the others."""
    left, names = set(case.differing), []
    for expected in EXPECTED:
        mine = left & (expected.covers or left)
        if mine and expected.holds(case):
            left -= mine
            names.append(expected.name)
    return left, names


def accepts(corefile: str, theirs: bool) -> str:
    """The name of the reason why kdns judges a Corefile otherwise than CoreDNS; empty for none."""
    return ""
