"""The differences from CoreDNS that we mean: each with its reason, and the cases it explains.

An entry explains fields of a reply, and only in cases where its predicate holds. Every entry must
be seen in a full run; one that is never seen is dead and is reported.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.differential import reasons
from tests.differential.compare import SECTIONS, Case


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


def _packet(name: str, reason: str, *packets_: str) -> Expected:
    """A difference in whole replies to some of the hand-made packets."""
    return Expected(name, reason, frozenset(), lambda case: case.asked.text in packets_)


EXPECTED = (
    Expected(
        "ra",
        "RA tells whether this listener recurses for the asker, on every reply alike: without it "
        "BIND's nslookup warns and goes on to the next server (issue 1)",
        frozenset({"RA"}),
        reasons.recursion,
    ),
    Expected(
        "case",
        "a name that ends like the question is a pointer into it and so repeats its letters; "
        "names are equal in any case (RFC 4343 §4.1)",
        frozenset(SECTIONS),
        reasons.only_case,
    ),
    Expected(
        "notify-rd",
        "RD and CD are copied for QUERY only, whoever made the reply; CoreDNS hands on what an "
        "upstream said to a NOTIFY",
        frozenset({"RD", "CD"}),
        lambda case: reasons.opcode_of(case) == 4,
    ),
    Expected(
        "notify-ds",
        "DS is a question for the parent whatever the opcode; CoreDNS asks the child of a NOTIFY",
        frozenset(),
        lambda case: reasons.opcode_of(case) == 4 and reasons.type_of(case) == "DS",
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
        "ns.dns.<zone> exists, and so dns.<zone> does: NODATA for other types (RFC 8020 §2)",
        NEGATIVE,
        lambda case: reasons.name_of(case).removeprefix("ns.")
        in [f"dns.{zone}" for zone in case.config.zones]
        and reasons.becomes_nodata(case),
    ),
    Expected(
        "ent-below",
        "_tcp.<service> exists where _http._tcp.<service> does, and so does the name of a cluster "
        "of the set: NODATA (RFC 8020 §2)",
        NEGATIVE,
        lambda case: reasons.name_of(case).split(".")[0] in ("_tcp", "_udp", "tcp", "one")
        and reasons.becomes_nodata(case),
    ),
    Expected(
        "dns-version",
        "dns-version.<zone> has a TXT record, so for other types it is NODATA and falls through "
        "to nobody",
        NEGATIVE,
        lambda case: reasons.name_of(case) in [f"dns-version.{zone}" for zone in case.config.zones]
        and reasons.becomes_nodata(case),
    ),
    Expected(
        "ent-txt",
        "a name that exists without records is NODATA for TXT as for every other type",
        NEGATIVE,
        lambda case: reasons.type_of(case) == "TXT" and reasons.is_above(case),
    ),
    Expected(
        "reverse-nodata",
        "an address name that has a PTR exists, so for other types it is NODATA (RFC 2308 §2.2)",
        NEGATIVE,
        lambda case: case.asked.kind == "reverse" and reasons.type_of(case) != "PTR" and reasons.becomes_nodata(case),
    ),
    Expected(
        "reverse-junk",
        "labels before a whole address name are no address: NXDOMAIN; CoreDNS passes over what is "
        "before 32 nibbles",
        NEGATIVE,
        lambda case: reasons.name_of(case).endswith("ip6.arpa") and reasons.name_of(case).count(".") > 33,
    ),
    Expected(
        "primary-zone",
        "PTRs name the first zone that is no reverse zone; CoreDNS the first, so services of "
        "in-addr.arpa where that is written before cluster.local",
        frozenset({"answer"}),
        reasons.is_other_primary,
    ),
    Expected(
        "ns-case",
        "NS at the apex and ns.dns are found in any letter case (RFC 4343 §3)",
        NEGATIVE,
        lambda case: case.asked.text.split()[0] != reasons.name_of(case)
        and reasons.name_of(case).removeprefix("ns.dns.") in case.config.zones,
    ),
    Expected(
        "fqdn-slices",
        "slices of address type FQDN, which Kubernetes deprecates, answer nothing; CoreDNS makes "
        "a CNAME of each",
        NEGATIVE,
        reasons.has_fqdn_slice,
    ),
    Expected(
        "import-labels",
        "namespace_labels is about namespaces; CoreDNS holds ServiceImports to it by labels of "
        "their own",
        NEGATIVE,
        lambda case: {"namespace_labels", "multicluster"} <= case.config.words
        and reasons.name_of(case).endswith(".set.local")
        and case.their_fields.get("rcode") != "NOERROR",
    ),
    Expected(
        "portless-imports",
        "a ServiceImport without ports answers like a Service without ports; CoreDNS says NXDOMAIN",
        NEGATIVE,
        reasons.is_portless_import,
    ),
    Expected(
        "orphan-slices",
        "a slice without a service name has no names; CoreDNS makes a PTR with an empty label, "
        "cannot pack it and stays silent",
        frozenset(),
        reasons.is_orphan,
    ),
    Expected(
        "spelling",
        "an IPv6 address is the same however an object spells it (RFC 5952); CoreDNS compares and "
        "dashes the text",
        NEGATIVE,
        reasons.is_respelt,
    ),
    Expected(
        "ghosts",
        "a namespace that only its objects name exists in manifests",
        NEGATIVE,
        reasons.is_ghostly,
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
        reasons.is_ede,
    ),
    Expected(
        "nsid-do",
        "DO is the asker's (RFC 3225 §3), and failures have an NSID, too; CoreDNS sets DO in every reply "
        "with an NSID",
        frozenset({"edns"}),
        reasons.is_nsid,
    ),
    Expected(
        "local-soa",
        "the SOA of a negative answer is owned by the zone (RFC 2308 §3); that of CoreDNS's local by "
        "the name that was asked",
        frozenset({"authority"}),
        lambda case: "local" in case.config.words and "root.localhost" in str(case.their_fields),
    ),
    Expected(
        "header-all",
        "header is for every reply of its block; CoreDNS leaves out those that no plugin wrote, such "
        "as a refused transfer",
        frozenset({"AA", "RA", "RD"}),
        lambda case: "header" in case.config.words
        and case.our_fields.get("rcode") in ("REFUSED", "SERVFAIL", "NOTIMP", "FORMERR"),
    ),
    Expected(
        "external-serial",
        "one serial for all zones of a cluster; that of CoreDNS's k8s_external stays 0 until a "
        "service with an address outside changes",
        frozenset({"authority", "answer"}),
        lambda case: "k8s_external" in case.config.words
        and " 0 7200 1800 86400 " in str(case.their_fields),
    ),
    Expected(
        "file-soa-ttl",
        "the SOA of a negative answer has the lesser of its TTL and minimum (RFC 2308 §3), and what "
        "dns64 makes of it; CoreDNS's file sends the TTL of the record",
        frozenset({"authority", "answer"}),
        reasons.is_of_file,
    ),
    Expected(
        "file-glue",
        "a referral has the glue of all its name servers in the zone (RFC 9471 §2), CoreDNS only "
        "that below the cut",
        frozenset({"additional", "authority"}),
        lambda case: reasons.is_of_file(case) and ".sub.zone.test." in f".{reasons.name_of(case)}.",
    ),
    Expected(
        "rewrite-opt",
        "who asked without EDNS gets none (RFC 6891 §7); CoreDNS answers what rewrite made of the question",
        frozenset({"edns"}),
        lambda case: "rewrite edns0" in case.config.text and case.our_fields.get("edns") is None,
    ),
    Expected(
        "erratic-transfers",
        "erratic transfers nothing",
        frozenset(),
        lambda case: "erratic" in case.config.words
        and reasons.type_of(case) in ("AXFR", "IXFR"),
    ),
    Expected(
        "transfer-others",
        "a transfer of what is no zone here goes to the next plugin, as every question does; CoreDNS "
        "says SERVFAIL, or gives the zone of the cluster under the name that was asked",
        frozenset(),
        lambda case: reasons.type_of(case) in ("AXFR", "IXFR")
        and " transfer" in case.config.text
        and (
            case.their_fields.get("rcode") == "SERVFAIL"
            or reasons.name_of(case) not in [*case.config.zones, "zone.test", "ext.test"]
        ),
    ),
    Expected(
        "file-above",
        "a name that only has names below it exists (RFC 4592 §2.2.2); CoreDNS lets it fall through",
        frozenset(),
        lambda case: reasons.is_of_file(case)
        and "fallthrough" in case.config.text
        and (case.their_fields.get("rcode"), case.our_fields.get("rcode"))
        == ("NXDOMAIN", "NOERROR"),
    ),
    Expected(
        "acl-opt",
        "the OPT of what acl refuses has DO if the asker's had; CoreDNS sets it, and its option first",
        frozenset({"edns"}),
        lambda case: "acl" in case.config.words and "(15, " in str(case.their_fields.get("edns")),
    ),
    Expected(
        "external-cname",
        "beside the addresses of a service there is no CNAME (RFC 1034 §3.6.2); CoreDNS gives both",
        frozenset({"answer", "authority"}),
        lambda case: "k8s_external" in case.config.words
        and "'CNAME'" in str(case.their_fields.get("answer")),
    ),
    Expected(
        "external-name-types",
        "an ExternalName answers its CNAME to every type (RFC 1034 §3.6.2); CoreDNS has no data but "
        "for A, AAAA and CNAME",
        frozenset({"answer", "authority"}),
        lambda case: reasons.type_of(case) not in ("A", "AAAA", "CNAME")
        and "'CNAME'" in str(case.our_fields.get("answer"))
        and not case.their_fields.get("answer"),
    ),
    Expected(
        "dns64-question",
        "the question is repeated as it was asked; CoreDNS's dns64 and siit above rewrite repeat it as "
        "rewritten",
        frozenset({"question", "answer"}),
        lambda case: "rewrite" in case.config.words and bool({"dns64", "siit"} & case.config.words),
    ),
    Expected(
        "autopath-blocks",
        "a step of the search path below another server block is asked there; CoreDNS stays in its "
        "own block",
        frozenset(),
        lambda case: "autopath" in case.config.words and case.config.text.count(" bind ") > 1,
    ),
    Expected(
        "autopath-ran-out",
        "where no plugin has the name as it was asked, the search path ends in the NXDOMAIN of its "
        "first step; CoreDNS says SERVFAIL",
        frozenset(),
        lambda case: "autopath" in case.config.words
        and case.their_fields.get("rcode") == "SERVFAIL"
        and "default.svc.cluster.local" in reasons.name_of(case),
    ),
    Expected(
        "autopath-question",
        "the question is repeated as it was asked; CoreDNS's autopath writes its path into it",
        frozenset({"question"}),
        lambda case: "autopath" in case.config.words,
    ),
    Expected(
        "cluster-uncached",
        "cluster answers are never kept by cache, and their TTLs are left as they are",
        frozenset(SECTIONS),
        reasons.is_uncached,
    ),
    Expected(
        "loopback-ns",
        "a server bound to loopback is its own name server there; CoreDNS names none",
        NEGATIVE,
        reasons.is_loopback_ns,
    ),
    Expected(
        "whoami-uncached",
        "what tells the asker's address is not cached for others",
        frozenset({"additional"}),
        lambda case: "cache" in case.config.text and "whoami" in case.config.text,
    ),
    Expected(
        "class-per-block",
        "other classes than IN go to blocks with forward or chaos; CoreDNS lets it into every block of "
        "a listener where any block has forward or chaos",
        frozenset(),
        lambda case: reasons.class_of(case) not in (None, 1)
        and case.our_fields.get("rcode") == "REFUSED"
        and ("forward" in case.config.text or "chaos" in case.config.text),
    ),
    Expected(
        "class-of-its-own",
        "what is of class IN (the cluster, hosts, zones) is not asked for other classes; CoreDNS gives "
        "its records, of class IN, to questions of any class",
        frozenset(),
        lambda case: reasons.class_of(case) not in (None, 1, 255)
        and ("forward" in case.config.text or "chaos" in case.config.text),
    ),
    Expected(
        "template-family",
        "where template answers SERVFAIL, dns64 and siit ask for the other family, as for SERVFAIL "
        "from elsewhere (RFC 6147 §5.1.2); CoreDNS passes this one on",
        frozenset(),
        lambda case: "template" in case.config.words
        and bool({"dns64", "siit"} & case.config.words)
        and case.their_fields.get("rcode") == "SERVFAIL",
    ),
    _packet(
        "long-queries",
        "queries over 512 octets are read whole over UDP too; CoreDNS cuts them and says FORMERR",
        "513-octets", "1400-octets",
    ),
)  # fmt: skip


def explain(case: Case) -> tuple[set[str], list[str]]:
    """The differing fields that nothing explains, and the names of what explained the others."""
    left, names = set(case.differing), []
    for expected in EXPECTED:
        mine = left & (expected.covers or left)
        if mine and expected.holds(case):
            left -= mine
            names.append(expected.name)
    return left, names
