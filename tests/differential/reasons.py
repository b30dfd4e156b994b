"""Questions one can ask about a case, in which expected.py says what it expects."""

import ipaddress
from typing import Any

from tests.differential import packets
from tests.differential.clusters import ADDRESSES
from tests.differential.compare import SECTIONS, Case
from tests.differential.questions import dashed


def flags_of(case: Case) -> int:
    return int.from_bytes(case.asked.packet[2:4], "big")


def recursion(case: Case) -> bool:
    """We set RA exactly for RD=1 where the listener forwards the root."""
    wants = bool(flags_of(case) & packets.RD) and case.config.has_root_forward
    return bool(case.our_fields.get("RA")) == wants


def only_case(case: Case) -> bool:
    """The records are the same but for letters' case in names, and a second of age in a cache."""
    slack = 1 if "cache" in case.config.words else 0
    return all(
        _is_alike(case.their_fields.get(name), case.our_fields.get(name), slack)
        for name in SECTIONS
    )


def _is_alike(theirs: Any, ours: Any, slack: int) -> bool:  # Any: as in folded
    if not isinstance(theirs, list) or not isinstance(ours, list):
        return bool(theirs == ours)
    ages = zip(sorted(r[1] for r in theirs), sorted(r[1] for r in ours), strict=False)
    return untimed(theirs) == untimed(ours) and all(abs(a - b) <= slack for a, b in ages)


def folded(records: Any) -> Any:  # Any: a list of records, or None without a reply
    if not isinstance(records, list):
        return records
    return sorted(
        (owner.lower(), ttl, cls, type_, data if type_ == "TXT" else data.lower())
        for owner, ttl, cls, type_, data in records
    )


def name_of(case: Case) -> str:
    return case.asked.text.split()[0].rstrip(".").lower()


def type_of(case: Case) -> str:
    return [*case.asked.text.split(), ""][1]


def class_of(case: Case) -> int | None:
    words = case.asked.text.split()
    return int(words[3]) if len(words) > 3 else None


def becomes_nodata(case: Case) -> bool:
    """CoreDNS says NXDOMAIN, or has fallen through; we say NODATA."""
    if case.our_fields.get("rcode") != "NOERROR" or case.our_fields["answer"]:
        return False
    return case.their_fields.get("rcode") == "NXDOMAIN" or "fallthrough" in case.config.words


def is_above(case: Case) -> bool:
    """An apex, ns.dns, svc, pod, or a namespace below those."""
    left = next(
        (name_of(case)[: -len(z)] for z in case.config.zones if name_of(case).endswith(z)), "x"
    )
    labels = left.strip(".").split(".") if left else []
    is_ent = not labels or labels == ["ns", "dns"] or labels[-1] in ("svc", "pod", "")
    return becomes_nodata(case) and len(labels) <= 2 and is_ent


def slices_of(case: Case) -> list[dict[str, Any]]:
    return case.cluster.of("EndpointSlice") if case.cluster else []


def has_fqdn_slice(case: Case) -> bool:
    """The service asked for has a slice of type FQDN."""
    labels = name_of(case).split(".")
    return any(
        each["addressType"] == "FQDN"
        and each["metadata"]["namespace"] in labels
        and labels_name(each["metadata"]) in labels
        for each in slices_of(case)
    )


def labels_name(meta: dict[str, Any]) -> str:
    """The service a slice says it belongs to, of this cluster or of the set."""
    labels = meta.get("labels") or {}
    return next((v for k, v in labels.items() if k.endswith("/service-name")), "")


def is_ede(case: Case) -> bool:
    """Acl or template had something to say."""
    ours = case.our_fields.get("edns")
    codes = [code for code, _ in ours["options"]] if ours else []
    return (not ours or codes == [15]) and any(
        word in case.config.text for word in ("block", "filter", "ederror")
    )


def is_uncached(case: Case) -> bool:
    """The same records of a cluster zone, but for what a cache does to TTLs and letters."""
    return "cache" in case.config.words and all(
        untimed(case.their_fields.get(name)) == untimed(case.our_fields.get(name))
        for name in SECTIONS
    ) and bool(case.our_fields.get("AA")) and case.cluster is not None  # fmt: skip


def untimed(records: Any) -> Any:  # Any: as in folded
    if not isinstance(records, list):
        return records
    return sorted((r[0], *r[2:]) for r in folded(records))


def is_other_primary(case: Case) -> bool:
    """The same PTRs but for the zone they are in (and TTLs, which a cache behind differs in)."""
    view = untimed if "cache" in case.config.words else folded
    theirs = [
        (*record[:4], record[4].replace("svc.in-addr.arpa.", "svc.cluster.local."))
        for record in case.their_fields.get("answer", ())
    ]
    return bool(view(theirs) == view(case.our_fields.get("answer")))


def is_nsid(case: Case) -> bool:
    """Only DO differs, or a reply that no plugin of CoreDNS wrote has an NSID."""
    ours, theirs = case.our_fields.get("edns"), case.their_fields.get("edns")
    if not (isinstance(ours, dict) and isinstance(theirs, dict)) or "(3, " not in str(ours):
        return False
    is_unwritten = case.our_fields.get("rcode") in ("SERVFAIL", "REFUSED") and not theirs["options"]
    return is_unwritten or {**ours, "flags": 0} == {**theirs, "flags": 0}


def is_loopback_ns(case: Case) -> bool:
    """Our own address is given, or left out by `minimal` beside the name that has it."""
    answers = f"{case.our_fields.get('answer')} {case.our_fields.get('additional')}"
    is_told = "'127.0.0.1'" in answers or ("minimal" in case.config.words and "'ns.dns." in answers)
    zone = name_of(case).removeprefix("ns.dns.")
    return is_told and (zone in case.config.zones or zone.endswith(("in-addr.arpa", "ip6.arpa")))


def is_ghostly(case: Case) -> bool:
    """A namespace that has no object of its own is asked for, or answered with."""
    names = f".{name_of(case)}. {case.our_fields.get('answer')}"
    return case.cluster is not None and any(
        f".{ghost}.{kind}." in names for ghost in case.cluster.ghosts for kind in ("svc", "pod")
    )


def is_portless_import(case: Case) -> bool:
    """A ServiceImport without ports is asked for."""
    labels = name_of(case).split(".")
    return any(
        not each["spec"].get("ports")
        and each["metadata"]["name"] in labels
        and each["metadata"]["namespace"] in labels
        for each in (case.cluster.of("ServiceImport") if case.cluster else [])
    ) and name_of(case).endswith(".set.local")


def is_orphan(case: Case) -> bool:
    """Some slice without the service label has the address asked for, more labels before it or not."""
    if case.theirs is not None or type_of(case) != "PTR":
        return False
    return any(
        name_of(case).endswith(ipaddress.ip_address(address).reverse_pointer)
        for each in slices_of(case)
        if each["addressType"] != "FQDN"
        and "kubernetes.io/service-name" not in (each["metadata"].get("labels") or {})
        for endpoint in each["endpoints"]
        for address in endpoint["addresses"]
    )


ODD = [a for a in ADDRESSES["IPv6"] if str(ipaddress.ip_address(a)) != a]
RESPELT = [
    *(dashed(a) for a in ODD),
    *(dashed(str(ipaddress.ip_address(a))) for a in ODD),
    *(a.replace(".", "-") for a in ODD),  # CoreDNS leaves the colons where there are dots
    *(ipaddress.ip_address(a).reverse_pointer for a in ODD),
]


def is_respelt(case: Case) -> bool:
    """An address that an object spells in its own way is asked for, or answered with."""
    text = f"{name_of(case)} {case.their_fields.get('answer')} {case.our_fields.get('answer')}"
    return any(word in text for word in RESPELT)


def opcode_of(case: Case) -> int:
    return flags_of(case) >> 11 & 15


def is_of_file(case: Case) -> bool:
    """The name is, or leads, into the zone that comes from a file."""
    return (
        bool({"file", "auto", "dynupdate"} & case.config.words)
        and "zone.test" in f"{name_of(case)} {case.our_fields}"
    )
