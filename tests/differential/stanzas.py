"""A table of what CoreDNS's pages promise becomes stanzas: every option, with right and wrong arguments.

The table is written by hand from the documentation of CoreDNS, never from our code, or the test would
agree with itself. It need not say which argument is right: CoreDNS tells. The first try of a kind is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

LONG = "x" * 64 + ".b"
KINDS: dict[str, tuple[str, ...]] = {
    "DURATION": (
        "5s", "0", "0s", "-1s", "5", "2.5h", "1h30m", "100ms", "1us", "1µs", "1ns", "99999h", "9999999h", "x", "s",
        ".5s", "5.s", "5S", "1d", "+5s", '""', '"5s"', '" 5s"', "00", "1e3s", "5s5", "1s1s",
    ),
    "NUMBER": (
        "5", "0", "-1", "+5", "1.5", "0x10", "05", "1_000", "5s", "65535", "65536", "4294967295", "4294967296",
        "9223372036854775807", "9223372036854775808", "x", '""', '"5"', '" 5"', "٣",
    ),
    "NET": (
        "10.0.0.0/8", "10.0.0.1/8", "10.0.0.1", "2001:db8::/32", "::1", "::ffff:10.0.0.0/104", "10.0.0.0/33",
        "10.0.0.0/", "10.0.0/8", "010.0.0.0/8", "10.0.0.0/08", "10.0.0.0/-1", "*", "fe80::1%lo", "fe80::%lo/64",
        "x", '""', "2001:db8::/129", "[::1]", "10.0.0.0/8,",
    ),
    "IP": (
        "127.0.0.1", "::1", "127.0.0.1:53", "[::1]:53", "[::1]", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:99999",
        "127.0.0", "127.0.0.256", "0127.0.0.1", "fe80::1%lo", "x", '""', "dns://127.0.0.1", "127.0.0.1/32", "127.0.0.1:", "*",
    ),
    "TO": (
        "127.0.0.1", "::1", "127.0.0.1:5300", "[::1]:5300", "[::1]", "127.0.0.256", "tls://127.0.0.1", "tls://127.0.0.1%a.b",
        "tls://127.0.0.1%", "quic://127.0.0.1", "https://127.0.0.1", "https://127.0.0.1/x", "https://127.0.0.1:8443",
        "dns://127.0.0.1", "dns://127.0.0.1%a", "grpc://127.0.0.1", "foo://127.0.0.1", "DNS://127.0.0.1", "dns://",
        "FOLDER/resolv.conf", "/nowhere", "127.0.0.1/", '""', "127.0.0.1%lo", "fe80::1%lo", "tls://[::1]:853%a.b",
        "tls://::1", "127.0.0.1:5300:5", "::1:5300", "unix:///x", "FOLDER/hosts", "127.0.0.1:0",
    ),
    "ZONE": (
        "example.org", "Example.ORG.", ".", "10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/15", "10.0.0.0/25", "10.0.0.0/33", "10.0.0.0", "a..b",
        "a_b.c", "*.b", "*", "dns://a.b", "tls://a.b", "foo://a.b", "a.b:53", "a.b:x", '""', '"a b"', LONG, "2001:db8::/32",
        "2001:db8::/33", "-a.b", "a@b", r"\097.b", r"a\.b.c", "ü.b", ".a", "a..", "in-addr.arpa", "10.0.0.0/8.", "a.b/c", "..",
    ),
    "NAME": ("a.b", "A.B.", ".", "a..b", "a_b", '""', '"a b"', LONG, "*.b", "ü.b", r"\.", "a.b:53", "-"),
    "REGEX": (
        ".*", "(.*)", "[", "(?P<n>a)", "(?<n>a)", "a{2}", "a{1001}", "(?i)a", "(?=a)", r"\d", r"\p{L}", r"\Q", '""', "^a$", "a**", r"\1", "x*+",
        "(?i:a)", "(?x)a", r"\z", r"\Z", r"\C", "[[:alpha:]]", "[[:nope:]]", "(", ")", "{", "a|b",
    ),
    "TYPE": ("A", "a", "ANY", "TYPE5", "TYPE65280", "type5", "*", "FOO", "5", '""', "HTTPS", "OPT", "AXFR", "None", "RESERVED", "Aaaa"),
    "CLASS": ("IN", "in", "CH", "ANY", "HS", "NONE", "CS", "FOO", "CLASS1", "1", '""', "*"),
    "RCODE": (
        "NXDOMAIN", "nxdomain", "NOERROR", "SERVFAIL", "REFUSED", "3", "BADVERS", "NOTZONE", "FOO", '""', "FormErr", "BADSIG", "YXDOMAIN",
        "4096", "NoError", "NOTIMPL", "NOTIMP", "BADCOOKIE",
    ),
    "OPCODE": ("QUERY", "query", "UPDATE", "NOTIFY", "IQUERY", "STATUS", "5", "FOO", '""', "*"),
    "WORD": ("a", '""', '"a b"', "ü", "a#b", "{x}", "-", "0", '"a\\"b"'),
    "FILE": ("FOLDER/hosts", "FOLDER/absent", "/nowhere/x", "FOLDER", '""', "hosts", "/dev/null"),
    "ADDR": (
        "127.0.0.1:0", "127.0.0.1", "0", "[::1]:0", "::1", "127.0.0.1:x", "127.0.0.1:99999", "x:0", '""', "localhost:0",
        "127.0.0.1:-1", "127.0.0.1:", "127.0.0.1:http0", "1.2.3:0",
    ),
    "CAPACITY": ("9984", "0", "-1", "100", "x", "1.5", '""', "99999999999999999999", "+5", "1000000"),
    "PERCENT": ("10%", "9%", "90%", "91%", "0%", "-1%", "10", "x%", "%", "10.5%", '""', "100%", "+20%"),
}  # fmt: skip
"""What is tried where an argument of a kind belongs."""


@dataclass(frozen=True)
class Grammar:
    """What one plugin takes."""

    args: tuple[str, ...] = ("",)
    """Its arguments, each form a line of kinds and words; `a/b` is a choice, the rest is itself."""
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The same for each option of its block."""
    needs: str = ""
    """Lines of its block without which it takes nothing, tried without them, too."""
    given: str = ""
    """The arguments it has while its options are tried."""
    beside: str = "whoami"
    """What stands in the server block with it."""


CLUSTER = "kubernetes cluster.local { | URL_ | }"
KEY = "tsig { | secret k. pRZgBrBvI4NAHZYhxmhs/Q== | require_opcode UPDATE | }"
PAIR = "FOLDER/cert.pem FOLDER/key.pem"
MATCHES = "exact/prefix/suffix/substring/regex/foo"
TABLE: dict[str, Grammar] = {
    "acl": Grammar(("ZONE", "ZONE ZONE"), {"block": ("", "net NET", "type TYPE", "type TYPE net NET", "net NET type TYPE", "net NET NET", "type TYPE TYPE", "foo", "NET", "net", "type", "net net NET", "type A type MX")} | dict.fromkeys(("allow", "filter", "drop", "deny", "BLOCK"), ("", "type A net NET", "type TYPE")), "block"),
    "any": Grammar(("", "WORD")),
    "auto": Grammar(("ZONE", "ZONE ZONE"), {
        "directory": ("FOLDER REGEX WORD", "FILE", "FOLDER .* {1}", "FOLDER (.*) {2}", "FOLDER db[.](.*) {1} DURATION", "FOLDER (.*) {n}", "FOLDER (.*)"),
        "reload": ("DURATION",), "no_reload": ("",), "upstream": ("", "IP"), "transfer": ("to IP",)}, "directory FOLDER"),
    "autopath": Grammar(("FOLDER/resolv.conf", "FILE", "ZONE FOLDER/resolv.conf", "@kubernetes", "@", "@foo", "@KUBERNETES", "ZONE @kubernetes",
                         "@kubernetes ZONE", "@erratic", "FOLDER/resolv.conf ZONE")),
    "bind": Grammar(("IP", "IP IP", "lo", "127.0.0.2", "lo 127.0.0.1", "lo lo"), {"except": ("IP", "::1", "lo")}, "", "lo"),
    "bufsize": Grammar(("", "NUMBER", "512", "511", "1232", "4096", "4097", "1232 x")),
    "cache": Grammar(("", "NUMBER", "NUMBER ZONE", "ZONE", "ZONE ZONE", "DURATION"), {
        "success": ("CAPACITY", "CAPACITY NUMBER", "100 NUMBER NUMBER", "100 30 10"), "denial": ("CAPACITY", "100 NUMBER", "100 NUMBER NUMBER"),
        "prefetch": ("NUMBER", "5 DURATION", "5 1m PERCENT", "NUMBER DURATION PERCENT"),
        "serve_stale": ("", "DURATION", "1h immediate/verify/foo/IMMEDIATE", "1h immediate DURATION", "1h verify DURATION", "1h verify 1s DURATION",
                        "1h immediate 1s DURATION", "1h verify 1s 5s DURATION", "immediate", "verify 1s"),
        "serve_stale_policy": ("prefer_positive/foo/PREFER_POSITIVE/default",), "servfail": ("DURATION", "5m", "5m1s", "301s", "300"),
        "disable": ("success/denial/foo/SUCCESS", "success ZONE", "denial ZONE ZONE", "success denial"), "keepttl": ("",)}),
    "cancel": Grammar(("", "DURATION", "DURATION x")),
    "chaos": Grammar(("", "WORD", "WORD WORD WORD", "v a"), {"foo": ("",)}),
    "debug": Grammar(("", "WORD"), {"foo": ("",)}),
    "dns64": Grammar(("", "NET", "64:ff9b::/96", "2001:db8::/32", "2001:db8::/33", "2001:db8::/40", "2001:db8::/64", "2001:db8::/72", "2001:db8::1/96"), {
        "prefix": ("NET", "64:ff9b::/96", "2001:db8::/48", "2001:db8::/56", "2001:db8::/128", "64:ff9b:0:0:1::/96", "64:ff9b::1/96"),
        "translate_all": ("",), "allow_ipv4": ("",)}),
    "dnstap": Grammar(("/nowhere/x.sock", "ADDR", "unix:///nowhere/x", "tcp://127.0.0.1:9", "tls://127.0.0.1:9", "tcp://x", "tcp://127.0.0.1", "udp://127.0.0.1:9",
                       "/x full", "/x full NUMBER", "/x full 1 NUMBER", "/x foo", "/x FULL", "full /x", "/x full 1025 4097", "/x full 1024 4096", "unix://",
                       "tcp://127.0.0.1:9 full", "listen unix:///nowhere/x", "listen tcp://127.0.0.1:0", "listen"), {
        "identity": ("WORD", "a b"), "version": ("WORD", "a b"), "extra": ("WORD", "a b", "{/forward/upstream}"), "skipverify": ("",)}, "", "/nowhere/x.sock"),
    "dynupdate": Grammar(("example.org", "ZONE", "ZONE ZONE"), {
        "file": ("FOLDER/example.zone", "FILE", "FOLDER/zero.zone"), "database": ("FOLDER/absent/x",),
        "allow": ("k. NAME A", "k. * TYPE", "NAME * A", "k. @ A AAAA", "k. *", "k.", "k. * A A", "k. * A *", "k. www.example.org A", "k. www A", "* * A", "@ * A"),
        "max_records": ("NUMBER",), "max_bytes": ("NUMBER",), "max_update_records": ("NUMBER",)},
        "file FOLDER/example.zone | allow k. * A", "example.org", KEY),
    "erratic": Grammar(("", "WORD"), {
        "drop": ("", "NUMBER"), "truncate": ("", "NUMBER"), "delay": ("", "NUMBER", "5 DURATION"), "large": ("", "NUMBER")}, "", "", ""),
    "errors": Grammar(("", "stdout/stderr/STDOUT/visible", "FILE"), {
        "consolidate": ("DURATION .*", "5m REGEX", "5m .* warning/error/info/debug/foo/WARNING", "5m .* warning show_first", "5m .* show_first",
                        "5m .* show_first warning", "5m .* foo show_first", "5m .* warning foo"), "stacktrace": ("",)}),
    "file": Grammar(("FOLDER/example.zone example.org", "FOLDER/example.zone ZONE", "FILE example.org", "FOLDER/example.zone", "FOLDER/zero.zone example.org",
                     "FOLDER/example.zone example.org ZONE"), {
        "reload": ("DURATION", "0 5s"), "fallthrough": ("", "ZONE", "ZONE ZONE"), "no_reload": ("",), "upstream": ("", "IP"), "transfer": ("to IP",),
        "reload_by_mtime": ("",)}, "", "FOLDER/example.zone example.org"),
    "forward": Grammar((". TO", "ZONE 127.0.0.1", ". 127.0.0.1 TO", "127.0.0.1", ".", ". localhost", ". " + "127.0.0.1 " * 16,
                        ". " + " ".join(f"127.0.0.{i}" for i in range(1, 16)), ". " + " ".join(f"127.0.0.{i}" for i in range(1, 17))), {
        "except": ("ZONE", "ZONE ZONE"), "force_tcp": ("",), "prefer_udp": ("",), "expire": ("DURATION",), "max_age": ("DURATION", "9s", "10s", "1h"), "max_idle_conns": ("NUMBER",),
        "read_timeout": ("DURATION",), "max_fails": ("NUMBER",), "max_connect_attempts": ("NUMBER",), "policy": ("random/round_robin/sequential/foo/RANDOM",),
        "health_check": ("DURATION", "1s no_rec", "1s domain NAME", "1s no_rec domain NAME", "1s domain", "1s domain a.b no_rec", "no_rec", "1s foo", "1s NO_REC", "1s no_rec no_rec",
                         "1s domain ZONE"),
        "max_concurrent": ("NUMBER",), "tls": ("", PAIR, "FILE", PAIR + " FILE", PAIR + " FOLDER/cert.pem", "FOLDER/cert.pem", "FOLDER/key.pem FOLDER/cert.pem"),
        "tls_servername": ("NAME",), "doh_method": ("GET/POST/get/post/PUT/Get",), "next": ("RCODE", "NXDOMAIN REFUSED"), "next_on_nodata": ("",),
        "failover": ("RCODE", "SERVFAIL REFUSED"), "failfast_all_unhealthy_upstreams": ("",), "source_address": ("IP",), "resolver": ("IP", "IP IP"), "alternate": ("RCODE",)},
        "", ". 127.0.0.1", ""),
    "geoip": Grammar(("FILE", "FOLDER/hosts x"), {"edns-subnet": ("",)}, "", "FOLDER/absent"),
    "grpc": Grammar((". TO", "ZONE 127.0.0.1", ". 127.0.0.1 127.0.0.2", "127.0.0.1", "."), {
        "except": ("ZONE", "ZONE ZONE"), "tls": ("", PAIR, "FILE", PAIR + " FOLDER/cert.pem"), "tls_servername": ("NAME",), "fallthrough": ("", "ZONE"),
        "policy": ("random/round_robin/sequential/foo/RANDOM",)}, "", ". 127.0.0.1", ""),
    "grpc_server": Grammar(("", "WORD"), {"max_streams": ("NUMBER",), "max_connections": ("NUMBER",)}),
    "header": Grammar(("", "WORD"), {
        "response": ("set aa/ra/rd/ad/AA/foo", "clear aa/ra/rd/cd", "set aa ra", "set", "foo aa", "SET aa", "set aa clear", "set aa aa"),
        "query": ("set aa/ra/rd/ad/foo", "clear rd", "set", "foo aa"), "set": ("aa",), "foo": ("set aa",)}, "response set aa"),
    "health": Grammar(("ADDR", "127.0.0.1:0 x"), {"lameduck": ("DURATION",), "foo": ("",)}, "", "127.0.0.1:0"),
    "hosts": Grammar(("", "FILE", "FOLDER/hosts ZONE", "FOLDER/hosts ZONE ZONE", "ZONE"), {
        "ttl": ("NUMBER",), "no_reverse": ("",), "reload": ("DURATION",), "fallthrough": ("", "ZONE", "ZONE ZONE"), "fallthrough_unsupported": ("",),
        "10.0.0.1": ("", "NAME", "a b c", "a # b"), "2001:db8::1": ("NAME",), "10.0.0.256": ("a",), "fe80::1%lo": ("a",), "010.0.0.1": ("a",), "10.0.0.1/8": ("a",)}),
    "https": Grammar(("", "WORD"), {"max_streams": ("NUMBER",), "max_connections": ("NUMBER",), "max_request_size": ("NUMBER",)}),
    "https3": Grammar(("", "WORD"), {"max_streams": ("NUMBER",), "max_connections": ("NUMBER",)}),
    "k8s_external": Grammar(("example.org", "ZONE", "ZONE ZONE", ""), {
        "apex": ("NAME",), "ttl": ("NUMBER", "DURATION", "3600", "3601"), "headless": ("",), "fallthrough": ("", "ZONE")}, "", "example.org", CLUSTER),
    "kubernetes": Grammar(("cluster.local",), {
        "ttl": ("NUMBER", "3600", "3601"), "pods": ("disabled/insecure/verified/foo/VERIFIED", "insecure verified"), "namespaces": ("WORD", "a b", "a a", ""),
        "namespace_labels": ("WORD", "a=b", "a in (b, c)", "a==b", "!a", "a in", "a,", ",a", "a=b=c", "a in (b"),
        "labels": ("WORD", "a=b", "a in (b)", "a=b,c=d", "a notin ()", "=b", "A/B/c=d", "a.b/c=d"), "endpoint_pod_names": ("",),
        "fallthrough": ("", "ZONE", "ZONE ZONE"), "ignore": ("empty_service/foo/EMPTY_SERVICE", "empty_service foo"), "noendpoints": ("",), "zonal": ("",),
        "multicluster": ("ZONE", "cluster.local", "cluster.local ZONE"), "apiserver_qps": ("NUMBER",), "apiserver_burst": ("NUMBER",), "apiserver_max_inflight": ("NUMBER",),
        "startup_timeout": ("DURATION",), "kubeconfig": ("FILE", "FOLDER/hosts x"), "tls": ("FILE", PAIR, PAIR + " FOLDER/cert.pem", PAIR + " FILE"), "upstream": ("", "IP"),
        "transfer": ("to *",), "resyncperiod": ("DURATION",), "foo": ("",)}, "URL_", "cluster.local"),
    "loadbalance": Grammar(("", "round_robin/random/foo/ROUND_ROBIN", "weighted FILE", "weighted", "round_robin x", "weighted FOLDER/weights x", "weighted FOLDER/weights"), {
        "reload": ("DURATION",), "prefer": ("NET", "NET NET")}, "", "weighted FOLDER/weights"),
    "local": Grammar(("", "WORD"), {"localhost_prefix": ("on/off/ON/foo", "")}),
    "log": Grammar(("", "ZONE", '. "{name} {type}"', '. "{common}"', '. "{combined}"', '"{name}"', '. "{foo}"', '. ""', "ZONE {common}", "ZONE ZONE {combined}", '. "{>id} {/a/b} {nope"',
                    ". common", ". combined"), {"class": ("success/denial/error/all/foo/ALL", "success denial", "all all", "success foo", "")}),
    "loop": Grammar(("", "WORD"), {"foo": ("",)}),
    "metadata": Grammar(("", "ZONE", "ZONE ZONE"), {"foo": ("",)}),
    "minimal": Grammar(("", "WORD")),
    "multisocket": Grammar(("", "NUMBER", "1", "2", "1024", "1025", "2 2")),
    "nsid": Grammar(("", "WORD", "WORD WORD")),
    "on": Grammar(("startup true", "startup", "shutdown true x", "STARTUP true", "foo true", "startup true &", "")),
    "pprof": Grammar(("ADDR", "127.0.0.1:0 x"), {"block": ("", "NUMBER"), "mutex": ("",)}, "", "127.0.0.1:0"),
    "prometheus": Grammar(("ADDR", "127.0.0.1:0 x"), {"runtime_metrics": ("",), "tls": ("FILE", "")}, "", "127.0.0.1:0"),
    "proxyproto": Grammar(("", "WORD"), {
        "allow": ("NET", "NET NET"), "default": ("use/ignore/reject/skip/foo/USE/require",), "udp_session_tracking": ("DURATION", "5s NUMBER"), "tlv_metadata": ("",)}),
    "quic": Grammar(("", "WORD"), {"max_streams": ("NUMBER",), "worker_pool_size": ("NUMBER",), "max_connections": ("NUMBER",)}),
    "ready": Grammar(("ADDR", "127.0.0.1:0 x"), {"monitor": ("until-ready/continuously/foo/UNTIL-READY", "until-ready x")}, "", "127.0.0.1:0"),
    "reload": Grammar(("", "DURATION", "30s DURATION", "2s", "1999ms", "2s 1s", "30s 999ms", "30s 15s x", "off")),
    "rewrite": Grammar((
        "name NAME a.b", "name a.b NAME", f"name {MATCHES} a.b c.d", "name regex REGEX a", "name regex (.*)a {1}b", "name regex (.*)a {2}b", "name exact a.b", "name prefix a",
        "stop/continue/foo/STOP name exact a.b c.d", "name a.b c.d answer auto", "name a.b c.d answer auto foo", "name a.b c.d answer", "name exact a.b c.d answer name",
        "name regex (.*)[.]a {1}.b answer name (.*)[.]b {1}.a", "name regex (.*)[.]a {1}.b answer value (.*)[.]b {1}.a", "name regex (.*)[.]a {1}.b answer name REGEX a",
        "name regex (.*)[.]a {1}.b answer foo x y", "name regex (.*)[.]a {1}.b answer name (.*)[.]b {1}.a answer value (.*)[.]b {1}.a", "name suffix .a .b answer auto",
        "name suffix a b answer auto", "name suffix .a .b answer name x y", "name substring a b answer auto", "name prefix a b answer auto", "name regex (.*) {1} answer auto",
        "name regex (.*)[.]a {1}.b metadata", "name regex (.*)[.]a {forward/upstream}.b metadata", "name exact a b metadata", "name suffix a b c", "name a b c", "name regex a b c",
        "type TYPE A", "type A TYPE", "type A AAAA MX", "type A", "class CLASS CH", "class IN CLASS", "class IN CH IN", "type", "class",
        "edns0 local set NUMBER a", "edns0 local set/append/replace/unset/foo/SET 0xffee abc", "edns0 local set 0xffee WORD", "edns0 local set 0xffee 0x616", "edns0 local set 0xffee 0x6162",
        "edns0 local set 0xffee {client_ip}", "edns0 local set 0xffee {foo}", "edns0 local set 0xffee {qname/qtype}", "edns0 local unset 0xffee", "edns0 local set 0xffee {/a/b}", "edns0 local set",
        "edns0 local replace 0x10000 a", "edns0 nsid set/append/replace/unset/foo", "edns0 nsid set x", "edns0 nsid", "edns0 subnet set NUMBER 56", "edns0 subnet set 24 NUMBER",
        "edns0 subnet set 24 56", "edns0 subnet append/replace/foo 24 56", "edns0 subnet unset", "edns0 subnet set 33 129", "edns0 subnet set 24", "edns0 local set 0xffee a revert", "edns0 nsid set revert",
        "edns0 subnet set 24 56 revert", "edns0 foo set", "edns0", "edns0 local unset 0xffee revert", "edns0 local set 0xffee a foo", "edns0 subnet set 24 56 foo",
        "ttl a.b NUMBER", "ttl a.b 5-10", "ttl a.b 10-5", "ttl a.b -10", "ttl a.b 10-", "ttl a.b 2147483648", "ttl a.b 1-2-3", f"ttl {MATCHES} a.b 5", "ttl a.b", "ttl", "ttl regex REGEX 5",
        "ttl exact NAME 5", "ttl exact a.b 5 6", f"cname {MATCHES} a.b c.d", "cname a.b c.d", "cname regex (.*)a {1}b", "cname exact NAME c.d", "cname exact a.b NAME", "cname", "cname exact a.b c.d e",
        f"rcode {MATCHES} a.b NXDOMAIN NOERROR", "rcode a.b RCODE NOERROR", "rcode a.b NXDOMAIN RCODE", "rcode a.b", "rcode regex REGEX NXDOMAIN NOERROR", "rcode exact a.b NXDOMAIN NOERROR x",
        "rcode NAME NXDOMAIN NOERROR", "foo a b", "NAME", "Name a b", "continue", "stop", "stop stop name a b"), {
        "name": ("exact a.b c.d", "regex (.*)a {1}b", "NAME c.d"), "answer": ("name (.*)b {1}a", "value (.*)b {1}a", "auto", "foo"), "type": ("A AAAA",)}, "", "stop"),
    "root": Grammar(("FILE", "FOLDER x", "FOLDER", "FOLDER/absent", ".")),
    "secondary": Grammar(("ZONE", "ZONE ZONE", ""), {"transfer": ("from IP", "from IP IP", "to IP", "from", "", "FROM 127.0.0.1"), "fallthrough": ("", "ZONE"), "upstream": ("", "IP")},
                         "transfer from 127.0.0.1:1", "example.org"),
    "shed": Grammar(("", "NUMBER", "WORD"), {"foo": ("",), "max": ("NUMBER",)}),
    "siit": Grammar(("", "NET"), {
        "ipv6_prefix": ("NET", "64:ff9b::/96", "2001:db8::/33", "2001:db8::/32", "2001:db8::/64", "64:ff9b::1/96", "64:ff9b:0:0:1::/96"),
        "eam": ("IP ::1", "10.0.0.1 IP", "10.0.0.1 2001:db8::1", "10.0.0.1", "2001:db8::1 10.0.0.1", "10.0.0.0/24 2001:db8::/120", "::ffff:10.0.0.1 2001:db8::1")}),
    "template": Grammar(("CLASS A", "IN TYPE", "IN A ZONE", "IN A ZONE ZONE", "IN", "", "ANY ANY"), {
        "match": ("REGEX", "REGEX REGEX", "(?P<x>.*)"), "answer": ("NOW", '"{{ .Name }} 60 IN A 1.2.3.4"', '"{{ .Name }} 60 IN A 1.2.3.4" "{{ .Name }} 60 IN A 1.2.3.5"', '"{{ .Name"', '"{{ foo }}"', '"{{ .Name | printf }}"',
                   '"{{ if .Name }}x{{ end }}"', '"{{ if .Name }}x"', '"{{ .Group.x }}"', '"{{ parseInt .Group.x 10 64 }}"', '"{{ index .Match 0 }}"', '"{{ define `x` }}{{ end }}"', '"{{/* c */}}"', '"{{ range }}"',
                   '"{{ $x := 1 }}{{ $x }}"', '"{{ $y }}"', '"{{ len .Name }}"', '"{{ .Meta `a/b` }}"', '"{{ .Remote }}"', '"{{ js .Name }}"', '"{{ 1 }}"', '"{{ nil }}"', '"{{}}"', '"{{ . }}"', '"}}"'),
        "additional": ('"{{ .Name }} 60 IN A 1.2.3.4"', '"{{"'), "authority": ('"{{ .Zone }} 60 IN NS ns.b."', '"{{"'), "rcode": ("RCODE",), "ederror": ("NUMBER", "21 WORD", "21 a b", "21 \"{{ .Name }}\"", "x y"),
        "fallthrough": ("", "ZONE", "ZONE ZONE"), "upstream": ("", "IP"),
        "expr": ("true", "false", "\"name() == 'a.'\"", "1", "1 +", "foo()", "\"'a'\"", "client_ip()", "\"incidr(client_ip(), '10.0.0.0/8')\"", "\"incidr(client_ip(), 5)\"", ""),
        "var": ("a 1", "a", "1 1", "a \"'x'\"", "a foo", "a 1 2")}, "", "IN A"),
    "timeouts": Grammar(("", "WORD"), dict.fromkeys(("read", "write", "idle"), ("DURATION", "1s", "999ms", "24h", "24h1s", "86400", "86401", "1")) | {"maxtcpqueries": ("NUMBER", "-2"), "foo": ("5s",)}, "read 5s"),
    "tls": Grammar((PAIR, "FILE FOLDER/key.pem", "FOLDER/cert.pem FILE", "FOLDER/key.pem FOLDER/cert.pem", PAIR + " FOLDER/cert.pem", PAIR + " FILE", PAIR + " FOLDER/cert.pem x", "FOLDER/cert.pem", ""), {
        "client_auth": ("nocert/request/require/verify_if_given/require_and_verify/foo/NOCERT", "request x"), "keylog": ("/nowhere/x", "/dev/null"), "foo": ("",)}, "", PAIR),
    "trace": Grammar(("", "ADDR", "zipkin/datadog/foo/ZIPKIN 127.0.0.1:9", "zipkin http://127.0.0.1:9/x", "127.0.0.1:9 zipkin", "zipkin a b", "zipkin", "http://a/b", "https://a", "ftp://a"), {
        "every": ("NUMBER",), "service": ("WORD",), "client_server": ("", "true/false/foo/TRUE/1/t", "true x"), "datadog_analytics_rate": ("NUMBER", "0.5", "1.1", "nan", "1e-3"),
        "zipkin_max_backlog_size": ("NUMBER",), "zipkin_max_batch_size": ("NUMBER",), "zipkin_max_batch_interval": ("DURATION",)}),
    "transfer": Grammar(("ZONE", "ZONE ZONE", ""), {"to": ("IP", "*", "* IP", "IP IP"), "source": ("IP",), "from": ("IP",)}, "to *"),
    "tsig": Grammar(("", "ZONE", "ZONE ZONE"), {
        "secret": ("NAME pRZgBrBvI4NAHZYhxmhs/Q==", "k. pRZgBrBvI4NAHZYhxmhs/Q==", "k. WORD", "k. ****", "k. pRZgBrBvI4NAHZYhxmhs/Q", "k. a b"), "secrets": ("FOLDER/keys", "FOLDER/bad.keys", "FILE"),
        "require": ("TYPE", "all/none/ALL", "A AAAA", "all A", "none A", ""), "require_opcode": ("OPCODE", "all/none", "UPDATE NOTIFY", "")}, "secret k. pRZgBrBvI4NAHZYhxmhs/Q=="),
    "view": Grammar(("a", "WORD", "a b", ""), {
        "expr": ("true", "1", "foo", "\"type() == 'A'\"", "type() == 'A'", "name() startsWith 'a'", "name() in ['a.', 'b.']", "name() matches '('", "name() matches '^a'", "size() > 10", "id() / 2 == 1", "do()", "bufsize() > 5",
                 "incidr(client_ip(), '10.0.0.0/8')", "incidr(client_ip(), 'x')", "incidr(1, 2)", "metadata('a/b') == 'x'", "metadata(1)", "opcode() == 0", "port() == '53'", "server_ip() == '1.2.3.4'", "server_port() == '53'",
                 "class() == 'IN'", "proto() == 'udp'", "not true", "!true", "true and false", "true && false", "true ? false : true", "1 < 2 < 3", "len(name()) > 5", "name() + 1 == 2", "name() contains 'a'", "let x = 1; x == 1",
                 "all([1], # > 0)", "upper(name()) == 'A.'", "name()[0] == 'a'", "nil", "'a'", "true true", "(true", "true)", "name() == \"a\"", "\"\"", "", "1 in 1..5", "true ?? false", "int('5') == 5", "foo() == 1", "type == 'A'",
                 "-1 < 0", "2 ** 3 == 8", "5 % 2 == 1", "'a' < 'b'", "'a' < 1", "size() == 'x'", "name() | upper() == 'A.'", "any([1,2], {# == 1})", "1.5 > 1", "0x10 == 16", "1_000 > 1", "true or", "not", "name() endsWith 1",
                 "{'a': 1}.a == 1", "[1, 2][0] == 1", "do() == true", "do() == 1", "id() == 1.0", "now() > 1", "trim(name()) != ''", "split(name(), '.')[0] == 'a'", "type() in ['A', 1]", "type() not in ['A']")}, "expr true", "a"),
    "whoami": Grammar(("", "WORD"), {"foo": ("",)}, "", "", ""),
}  # fmt: skip
"""The plugins, their arguments and options."""


def lines() -> Iterator[str]:
    """The inside of one block per stanza, as acceptance.block wants it; none twice."""
    seen: set[str] = set()
    for name, grammar in TABLE.items():
        for stanza in _stanzas(name, grammar):
            line = f"{stanza} | {grammar.beside}" if grammar.beside else stanza
            if line not in seen:
                seen.add(line)
                yield line


def _stanzas(name: str, grammar: Grammar) -> Iterator[str]:
    needs = f"{grammar.needs} | " if grammar.needs else ""
    head = f"{name} {grammar.given}".rstrip()
    for form in grammar.args:
        for args in tries(form):
            yield f"{name} {args} {{ | {needs}}}" if needs else f"{name} {args}"
    plain = f"{head} {{ | {needs}}}"
    yield from (
        head, f"{head} {{ }}", f"{head} {{ | }}", f"{head} {{}}", f"{head} {{", plain, plain + " x", f"{plain} | {plain}", f"{name.upper()} {grammar.given}",
        f"{head} {{ | {needs}nosuch | }}", f"{head} {{ | {needs}nosuch a b | }}", f"{head} {{ | {needs}{{ | }} | }}", f"{head} | {{ | }}", f"{head} {{ # c | {needs}}}",
    )  # fmt: skip
    for option, forms in grammar.options.items():
        for form in forms:
            for args in tries(form):
                yield f"{head} {{ | {needs}{option} {args} | }}"
        right = f"{option} {next(tries(forms[0]))}".rstrip()
        yield from (
            f"{head} {{ | {right} | }}", f"{head} {{ | {needs}{right} | {right} | }}", f"{head} {{ | {needs}{right} }}", f"{head} {{ {right} }}", f"{head} {{ {right} | }}",
            f"{head} {{ | {needs}{right.replace(option, option.upper(), 1)} | }}", f"{head} {{ | {needs}{right} {{ | }} | }}", f'{head} {{ | {needs}"{option}" {right.removeprefix(option)} | }}',
            f"{head} {{ | {needs}{right} extra | }}", f"{head} {{ | {needs}{option} | }}",
        )  # fmt: skip


def tries(form: str) -> Iterator[str]:
    """A form with each of its places filled by every try of its kind, the others by a right one."""
    places = [KINDS.get(word) or _choice(word) for word in form.split(" ")]
    firsts = [place[0] for place in places]
    yield " ".join(firsts)
    for at, place in enumerate(places):
        few = 4 if place in places[:at] else None
        for one in place[1:few]:
            yield " ".join([*firsts[:at], one, *firsts[at + 1 :]])
    if len(places) > 1:
        yield " ".join(firsts[:-1])
    yield " ".join([*firsts, "extra"])


def _choice(word: str) -> tuple[str, ...]:
    """`a/b` is a choice between words; a path or a URL is none."""
    if any(sign in word for sign in ("FOLDER", ":", ".", "//", "'", '"', "{")) or word.startswith(
        "/"
    ):
        return (word,)
    return tuple(word.split("/"))
