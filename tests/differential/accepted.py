"""The Corefiles on which we mean to differ from CoreDNS, each sort with its reason.

Those of the hand-written lists stand here one by one. Of the generated stanzas there are too many,
so a sort is known by what the server that refuses says.
"""

import re
from dataclasses import dataclass

from tests.differential import acceptance

ACCEPTANCE: dict[str, tuple[str, ...]] = {
    "ignored-words: what CoreDNS takes and does nothing with is an error that says so": (
        "kubernetes cluster.local { | URL_ | ttl 5 6 | }",
        "kubernetes cluster.local { | URL_ | ignore | }",
        "kubernetes cluster.local { | URL_ | labels b in () | }",
        "hosts { | no_reverse x | }",
        "k8s_external example.org { | ttl 5 6 | } | kubernetes cluster.local { | URL_ | }",
        "k8s_external example.org { | apex a b | } | kubernetes cluster.local { | URL_ | }",
        'template IN A { | answer "{{ .Nme }} IN A 1.2.3.4" | }',
        "forward . 127.0.0.1:99999",
        "forward . 127.0.0.1:x",
        "cache { | success -1 | }",
        "cache { | success 1000 30 10 5 | }",
        "rewrite name regex (.*) {2}",
        "errors { | stacktrace } | whoami",
    ),
    "more-selectors: every label selector that Kubernetes has": (
        "kubernetes cluster.local { | URL_ | labels b!=c | }",
        "kubernetes cluster.local { | URL_ | namespace_labels b!=c | }",
        "kubernetes cluster.local { | URL_ | labels a > 1 | }",
    ),
    "rcode-case: the names of codes in either letter case": (
        "template IN A { | rcode nxdomain | }",
    ),
    "in-cluster: a check does not ask whether it runs in a cluster": (
        "kubernetes",
        "kubernetes cluster.local",
        "kubernetes .",
        "kubernetes in-addr.arpa",
        "kubernetes cluster.local 10.0.0.0/33",
    ),
    "odd-zones: what CoreDNS takes for k8s_external, and then has no names or two sorts of them": (
        "k8s_external example..org | kubernetes cluster.local { | URL_ | }",
        "k8s_external example.org { | apex a.b | } | kubernetes cluster.local { | URL_ | }",
        "k8s_external example.org | k8s_external example.net | kubernetes cluster.local "
        "{ | URL_ | }",
    ),
    "zone-words: words of zone options that CoreDNS drops, and places that are none": (
        "file x y..z",
        "file x { | reload 5s 6s | }",
        "auto { | directory x | reload 5s 6s | }",
        "secondary { | transfer from 127.0.0.1:x | }",
    ),
}  # fmt: skip
"""Corefiles (the inside of a block, as acceptance.py writes them) on which we mean to differ."""


@dataclass(frozen=True)
class Sort:
    """Stanzas that one of the servers refuses for one reason."""

    name: str
    reason: str
    ours: str = "$^"
    """What kdns says of those that it alone refuses."""
    theirs: str = "$^"
    """What CoreDNS says of those that it alone refuses."""


SORTS = (
    Sort("odd-names", "a zone that is no domain name: an empty label, one over 63 octets, nothing",
         ours=r"expected a zone|has a label of (0|64) octets"),
    Sort("ignored-words", "what CoreDNS takes and does nothing with is an error that says so",
         ours=r"unexpected '(extra|x|5s|a|b)' at the end|unexpected `\{`|after the block of|takes no block"
         r"|expected empty_service|may stand once|is no zone \(the zones come first"),
    Sort("braces", "`{` ends its line, and every block is closed",
         ours=r"must end the line of|is never closed", theirs=r"cancel: (invalid duration|Corefile)|line ending after 'b'"),
    Sort("bounds", "negative times and capacities, ports that are none, listeners that cannot be",
         ours=r"expected a (whole number|duration such as \S+|number), (at least|found)|expected a port from"
         r"|expected an address with a port|expected a number from|expected a host and a port|Port (could not|out of range)"),
    Sort("one-label", "apex is one label", ours=r"apex is one label"),
    Sort("more-types", "types and classes in any letter case, and by number; None and Reserved are none",
         ours=r"expected a record type|is no type", theirs=r"expect legal QTYPE|invalid (type|class|RR class|query class)"),
    Sort("rcode-case", "codes in any letter case, and BADVERS", theirs=r"unknown rcode|is not a valid rcode|RCODE \S+ for a rcode rule"),
    Sort("in-cluster", "a check does not ask whether it runs in a cluster",
         theirs=r"in-cluster configuration|no configuration has been provided"),
    Sort("kubeconfigs", "a check sees that a kubeconfig can be read, and leaves its words to the start",
         theirs=r"into Go value of type struct"),
    Sort("look-ups", "a check asks no name server: the start does",
         theirs=r"failed to resolve|no such host|no valid upstream addresses|no nameservers found"),
    Sort("panics", "CoreDNS ends with a stack trace", theirs=r"coremain/run.go|in goroutine|zipkin-go"),
    Sort("signs", "a sign before a number that has none", theirs=r"ParseUint: parsing"),
    Sort("files", "a directory is no file to read", ours=r"Is a directory"),
    Sort("languages", "what of Go's expressions and templates cannot come before a DNS name: \\p{…}, define, js",
         ours=r"means nothing here, or is not supported|(define|js) is not supported"),
    Sort("no-values", "a list of values has one at least", ours=r"needs at least one value"),
    Sort("serial-zero", "a serial may be 0 (RFC 1982)", theirs=r"no change in SOA serial"),
    Sort("zoned", "the zone of an interface behind an address: never served, refused, or dropped",
         ours=r"found 'fe80::1%lo'", theirs=r"fe80::|invalid IP address|invalid source address|invalid URL escape"),
    Sort("old-ends", "`}` does not stand on the line of a rule of rewrite",
         ours=r"expected answer auto, name or value|expected two words, what is asked"),
    Sort("wildcards", "a name with `*` is rewritten to as it stands", theirs=r"invalid regex matching pattern"),
    Sort("mapped", "an IPv4 address is written as one", ours=r"expected an IPv4 address, found '::ffff"),
    Sort("grpc-paths", "sockets of the file system are no upstreams", ours=r"expected a server as dns://"),
    Sort("update-types", "types of dynupdate by number", ours=r"is no type that updates may have"),
    Sort("kinds", "collectors are called zipkin and datadog", ours=r"is no kind of collector"),
    Sort("empty-keys", "a CA file without a certificate, and a key without a name",
         theirs=r"could not read root certs|invalid TSIG key"),
)  # fmt: skip
"""The sorts, of which the first counts."""


def accepts(corefile: str, theirs: str, ours: str) -> str:
    """The name of the reason why kdns judges a Corefile otherwise than CoreDNS; empty for none.

    What each says is given where it refuses, and is empty where it does not.
    """
    for reason, lines in ACCEPTANCE.items():
        if corefile in map(acceptance.block, lines):
            return reason.partition(":")[0]
    for sort in SORTS:
        if re.search(sort.theirs if theirs else sort.ours, theirs or ours):
            return sort.name
    return ""


def named() -> dict[str, str]:
    """Every reason by its name."""
    given = (reason.partition(": ") for reason in ACCEPTANCE)
    return {name: why for name, _, why in given} | {one.name: one.reason for one in SORTS}
