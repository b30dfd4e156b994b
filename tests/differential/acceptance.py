"""Corefiles, good and deliberately wrong, of which each server says whether it takes them."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.differential import peer

GOOD_AND_BAD = r"""
kubernetes
kubernetes cluster.local
kubernetes .
kubernetes in-addr.arpa
kubernetes 10.0.0.0/8
kubernetes cluster.local 10.0.0.0/33
kubernetes cluster.local { | endpoint URL URL | }
kubernetes cluster.local { | endpoint | }
kubernetes cluster.local { | URL_ | tls a | }
kubernetes cluster.local { | URL_ | tls a b c d | }
kubernetes cluster.local { | URL_ | pods | }
kubernetes cluster.local { | URL_ | pods insecure | }
kubernetes cluster.local { | URL_ | pods verified extra | }
kubernetes cluster.local { | URL_ | pods sometimes | }
kubernetes cluster.local { | URL_ | pods insecure | pods verified | }
kubernetes cluster.local { | URL_ | namespaces | }
kubernetes cluster.local { | URL_ | namespaces a b | namespaces c | }
kubernetes cluster.local { | URL_ | namespaces a | namespace_labels b=c | }
kubernetes cluster.local { | URL_ | namespace_labels | }
kubernetes cluster.local { | URL_ | namespace_labels b=c,d | }
kubernetes cluster.local { | URL_ | namespace_labels b in (c, d) | }
kubernetes cluster.local { | URL_ | namespace_labels b in c | }
kubernetes cluster.local { | URL_ | namespace_labels b=c=d | }
kubernetes cluster.local { | URL_ | namespace_labels b!=c | }
kubernetes cluster.local { | URL_ | namespace_labels b==c,!d | }
kubernetes cluster.local { | URL_ | labels b!=c | }
kubernetes cluster.local { | URL_ | labels b==c | }
kubernetes cluster.local { | URL_ | labels b in () | }
kubernetes cluster.local { | URL_ | labels b= | }
kubernetes cluster.local { | URL_ | labels -b=c | }
kubernetes cluster.local { | URL_ | labels x/y/z=c | }
kubernetes cluster.local { | URL_ | labels example.org/b=c_d.e | }
kubernetes cluster.local { | URL_ | labels b=c! | }
kubernetes cluster.local { | URL_ | labels | }
kubernetes cluster.local { | URL_ | labels a=b c | }
kubernetes cluster.local { | URL_ | labels a , b notin (c) | }
kubernetes cluster.local { | URL_ | labels =b | }
kubernetes cluster.local { | URL_ | labels !a | }
kubernetes cluster.local { | URL_ | labels a > 1 | }
kubernetes cluster.local { | URL_ | endpoint_pod_names | }
kubernetes cluster.local { | URL_ | endpoint_pod_names yes | }
kubernetes cluster.local { | URL_ | ttl 0 | }
kubernetes cluster.local { | URL_ | ttl 3600 | }
kubernetes cluster.local { | URL_ | ttl 3601 | }
kubernetes cluster.local { | URL_ | ttl -1 | }
kubernetes cluster.local { | URL_ | ttl 5s | }
kubernetes cluster.local { | URL_ | ttl | }
kubernetes cluster.local { | URL_ | ttl 5 6 | }
kubernetes cluster.local { | URL_ | noendpoints | }
kubernetes cluster.local { | URL_ | noendpoints x | }
kubernetes cluster.local { | URL_ | fallthrough | }
kubernetes cluster.local { | URL_ | fallthrough a b 10.0.0.0/8 | }
kubernetes cluster.local { | URL_ | ignore | }
kubernetes cluster.local { | URL_ | ignore empty_service | }
kubernetes cluster.local { | URL_ | ignore empty_service more | }
kubernetes cluster.local { | URL_ | ignore full_service | }
kubernetes cluster.local { | URL_ | multicluster | }
kubernetes cluster.local set.local { | URL_ | multicluster set.local | }
kubernetes cluster.local { | URL_ | multicluster set.local | }
kubernetes cluster.local { | URL_ | zonal | }
kubernetes cluster.local { | URL_ | zonal x | }
kubernetes cluster.local { | URL_ | zonal | noendpoints | }
kubernetes cluster.local { | URL_ | startup_timeout 1s | }
kubernetes cluster.local { | URL_ | startup_timeout 1 | }
kubernetes cluster.local { | URL_ | startup_timeout | }
kubernetes cluster.local { | URL_ | startup_timeout -1s | }
kubernetes cluster.local { | URL_ | apiserver_qps 1.5 | apiserver_burst 3 | apiserver_max_inflight 2 | }
kubernetes cluster.local { | URL_ | apiserver_qps -1 | }
kubernetes cluster.local { | URL_ | apiserver_qps x | }
kubernetes cluster.local { | URL_ | apiserver_burst 1.5 | }
kubernetes cluster.local { | URL_ | apiserver_burst -1 | }
kubernetes cluster.local { | URL_ | apiserver_max_inflight -1 | }
kubernetes cluster.local { | URL_ | apiserver_burst | }
kubernetes cluster.local { | kubeconfig a b c | }
kubernetes cluster.local { | URL_ | upstream | }
kubernetes cluster.local { | URL_ | resyncperiod 5m | }
kubernetes cluster.local { | URL_ | federation x y | }
kubernetes cluster.local { | URL_ | transfer to * | }
kubernetes cluster.local { | URL_ | wildcards | }
kubernetes cluster.local { | URL_ | } | kubernetes example.org { | URL_ | }
hosts
hosts FOLDER/hosts
hosts FOLDER/absent
hosts FOLDER/hosts example.org { | fallthrough | }
hosts { | 1.2.3.4 a.b | }
hosts { | 1.2.3.4 | }
hosts { | ttl 0 | }
hosts { | ttl 1 | }
hosts { | ttl 65536 | }
hosts { | ttl x | }
hosts { | ttl | }
hosts { | ttl -1 | }
hosts { | reload 0 | }
hosts { | reload 5 | }
hosts { | reload 10ms | }
hosts { | reload -1s | }
hosts { | reload | }
hosts { | no_reverse | }
hosts { | no_reverse x | }
hosts { | fallthrough a b | }
hosts { | fallthrough_unsupported | }
hosts { | unknown | }
hosts { | 300.1.1.1 a | }
hosts { | } | hosts { | }
whoami
whoami x
whoami { | x | }
whoami | whoami
errors
errors stdout
errors stderr
errors a b
errors { | stacktrace | }
errors { | stacktrace x | }
errors { | consolidate 5m ".*" | }
errors { | consolidate 5m ".*" warning | }
errors { | consolidate 5m ".*" warning show_first | }
errors { | consolidate 5m ".*" show_first | }
errors { | consolidate 5m ".*" loud | }
errors { | consolidate 5 ".*" | }
errors { | consolidate 0 ".*" | }
errors { | consolidate 5m "(" | }
errors { | consolidate 5m | }
errors { | unknown | }
errors | errors
log
log example.org
log example.org "{combined}"
log . "{common} x"
log example.org "{remote}" more
log a b c
log { | class denial | }
log { | class denial error | }
log { | class sometimes | }
log { | class | }
log { | unknown | }
log | log example.org
loadbalance
loadbalance round_robin
loadbalance roundrobin
loadbalance round_robin x
loadbalance weighted
loadbalance round_robin { | prefer 10.0.0.0/8 | }
loadbalance { | prefer 10.0.0.0/8 | }
loadbalance { | prefer x | }
loadbalance | loadbalance
template IN A
template
template IN
template XX A
template IN XX
template ANY ANY example.org a.b
template IN A { | answer "{{ .Name }} IN A 1.2.3.4" | }
template IN A { | answer "{{ .Name " | }
template IN A { | answer "{{ .Nme }} IN A 1.2.3.4" | }
template IN A { | answer | }
template IN A { | match ( | }
template IN A { | match | }
template IN A { | match a b | }
template IN A { | rcode NXDOMAIN | }
template IN A { | rcode nxdomain | }
template IN A { | rcode FOO | }
template IN A { | rcode | }
template IN A { | rcode 3 | }
template IN A { | authority "x" | additional "y" | }
template IN A { | ederror 21 | }
template IN A { | ederror 21 "x y" | }
template IN A { | ederror x | }
template IN A { | ederror | }
template IN A { | fallthrough a | }
template IN A { | upstream | }
template IN A { | upstream x | }
template IN A { | unknown | }
template IN A { | answer "{{ if }}" | }
template IN A { | answer "{{ parseInt .Name 10 8 }} IN A 1.2.3.4" | }
template IN A { | answer "{{ nofunc }} IN A 1.2.3.4" | }
template IN A | template IN A
forward
forward .
forward . 127.0.0.1
forward . 127.0.0.1:99999
forward . 127.0.0.1:x
forward . ::1
forward . [::1]:53
forward . dns://127.0.0.1 127.0.0.2:5353
forward . grpc://127.0.0.1
forward . FOLDER/resolv.conf
forward . 127.0.0.1 { | except | }
forward . 127.0.0.1 { | except a b | }
forward . 127.0.0.1 { | force_tcp | prefer_udp | }
forward . 127.0.0.1 { | force_tcp x | }
forward . 127.0.0.1 { | prefer_udp x | }
forward . 127.0.0.1 { | expire 5s | }
forward . 127.0.0.1 { | expire 5 | }
forward . 127.0.0.1 { | expire -5s | }
forward . 127.0.0.1 { | expire | }
forward . 127.0.0.1 { | max_age 5s | }
forward . 127.0.0.1 { | max_age 20s | }
forward . 127.0.0.1 { | max_fails 0 | }
forward . 127.0.0.1 { | max_fails -1 | }
forward . 127.0.0.1 { | max_fails x | }
forward . 127.0.0.1 { | max_connect_attempts 3 | }
forward . 127.0.0.1 { | max_idle_conns 3 | }
forward . 127.0.0.1 { | max_idle_conns -3 | }
forward . 127.0.0.1 { | read_timeout 1s | }
forward . 127.0.0.1 { | read_timeout 0s | }
forward . 127.0.0.1 { | policy random | }
forward . 127.0.0.1 { | policy round_robin | }
forward . 127.0.0.1 { | policy sequential | }
forward . 127.0.0.1 { | policy best | }
forward . 127.0.0.1 { | policy | }
forward . 127.0.0.1 { | health_check 1s | }
forward . 127.0.0.1 { | health_check 1s no_rec | }
forward . 127.0.0.1 { | health_check 1s no_rec domain example.org | }
forward . 127.0.0.1 { | health_check 1s domain | }
forward . 127.0.0.1 { | health_check 1s foo | }
forward . 127.0.0.1 { | health_check x | }
forward . 127.0.0.1 { | health_check | }
forward . 127.0.0.1 { | max_concurrent 10 | }
forward . 127.0.0.1 { | max_concurrent -1 | }
forward . 127.0.0.1 { | max_concurrent x | }
forward . 127.0.0.1 { | next NXDOMAIN | }
forward . 127.0.0.1 { | next FOO | }
forward . 127.0.0.1 { | next | }
forward . 127.0.0.1 { | next_on_nodata | }
forward . 127.0.0.1 { | failover SERVFAIL REFUSED | }
forward . 127.0.0.1 { | failover NOERROR | }
forward . 127.0.0.1 { | failover FOO | }
forward . 127.0.0.1 { | failfast_all_unhealthy_upstreams | }
forward . 127.0.0.1 { | failfast_all_unhealthy_upstreams x | }
forward . 127.0.0.1 { | source_address 127.0.0.1 | }
forward . 127.0.0.1 { | source_address x | }
forward . 127.0.0.1 { | unknown | }
forward . 127.0.0.1 { | tls_servername x | }
forward . 127.0.0.1 | forward a 127.0.0.1
forward . 127.0.0.1 | forward . 127.0.0.1
forward . 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15
forward . 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15 1.1.1.16
cache
cache 30
cache 0
cache -1
cache 30 example.org
cache example.org
cache 30s
cache { | success 1000 | }
cache { | success 1000 30 | }
cache { | success 1000 30 10 | }
cache { | success 1000 30 40 | }
cache { | success 0 | }
cache { | success -1 | }
cache { | success x | }
cache { | success | }
cache { | success 1000 -1 | }
cache { | success 1000 30 10 5 | }
cache { | denial 1000 30 10 | }
cache { | denial | }
cache { | prefetch 3 | }
cache { | prefetch 3 1m 20% | }
cache { | prefetch 3 1m 20 | }
cache { | prefetch 3 1m 5% | }
cache { | prefetch 3 1m 95% | }
cache { | prefetch -1 | }
cache { | prefetch | }
cache { | prefetch 3 x | }
cache { | serve_stale | }
cache { | serve_stale 1h | }
cache { | serve_stale 1h verify | }
cache { | serve_stale 1h immediate | }
cache { | serve_stale 1h other | }
cache { | serve_stale -1h | }
cache { | serve_stale 1 | }
cache { | serve_stale 1h verify 1s 10s 5s | }
cache { | serve_stale_policy prefer_positive | }
cache { | serve_stale_policy | }
cache { | serve_stale_policy x | }
cache { | servfail 0 | }
cache { | servfail 5s | }
cache { | servfail 5m | }
cache { | servfail 6m | }
cache { | servfail -1s | }
cache { | servfail | }
cache { | disable success | }
cache { | disable denial a b | }
cache { | disable | }
cache { | disable other | }
cache { | keepttl | }
cache { | keepttl x | }
cache { | unknown | }
cache | cache
rewrite
rewrite name a.b c.d
rewrite name a.b
rewrite name exact a.b c.d
rewrite name exact a.b c.d e.f
rewrite name prefix a b
rewrite name suffix a b answer auto
rewrite name suffix a b answer
rewrite name substring a b
rewrite name regex (.*) {1}
rewrite name regex ( {1}
rewrite name regex (.*) {1} answer name (.*) {1}
rewrite name regex (.*) {1} answer value (.*) {1}
rewrite name regex (.*) {1} answer auto
rewrite name regex (.*) {1} answer name (.*)
rewrite name regex (.*) {1} metadata
rewrite name regex (.*) {x} metadata
rewrite name regex (.*) {2}
rewrite name other a b
rewrite stop name a b
rewrite continue name a b
rewrite never name a b
rewrite { | name regex (.*) {1} | answer name (.*) {1} | }
rewrite stop { | name regex (.*) {1} | answer name (.*) {1} | }
rewrite type A AAAA
rewrite type A XX
rewrite type A
rewrite type ANY HINFO
rewrite class CH IN
rewrite class CH XX
rewrite class CH
rewrite edns0 local set 0xffee 0x61626364
rewrite edns0 local set 0xffee abcd
rewrite edns0 local append 0xffee {client_ip}
rewrite edns0 local replace 0xffee {qname}
rewrite edns0 local unset 0xffee
rewrite edns0 local set
rewrite edns0 local other 0xffee x
rewrite edns0 nsid set
rewrite edns0 nsid unset
rewrite edns0 nsid
rewrite edns0 subnet set 24 56
rewrite edns0 subnet set 33 56
rewrite edns0 subnet set 24
rewrite edns0 other set
rewrite edns0 local set 0xffee 0x6162 revert
rewrite ttl exact a.b 30
rewrite ttl a.b 30
rewrite ttl a.b 30-60
rewrite ttl a.b 60-30
rewrite ttl a.b -30
rewrite ttl a.b x
rewrite ttl regex ( 30
rewrite ttl other a 30
rewrite ttl a.b
rewrite cname exact a.b. c.d.
rewrite cname a.b. c.d.
rewrite cname regex (.*) {1}
rewrite cname other a b
rewrite cname exact a
rewrite rcode exact a.b NXDOMAIN NOERROR
rewrite rcode a.b NXDOMAIN NOERROR
rewrite rcode exact a.b FOO NOERROR
rewrite rcode exact a.b NXDOMAIN
rewrite other a b
rewrite name a b | rewrite name c d
acl
acl { | allow | }
acl { | block type A net 10.0.0.0/8 | }
acl { | block net 10.0.0.1 | }
acl { | block net * | }
acl { | block net 10.0.0.0/33 | }
acl { | block net x | }
acl { | block type XX | }
acl { | block type * | }
acl { | block type | }
acl { | block net | }
acl { | block foo A | }
acl { | filter type A AAAA net 10.0.0.0/8 fd00::/8 | }
acl { | drop | }
acl { | deny | }
acl { | block net 10.0.0.0/8 type A | }
acl a b { | block | }
acl { | block | } | acl { | allow | }
metadata
metadata a b
metadata { | x | }
metadata | metadata
debug
debug x
debug | debug
bind 127.0.0.1
bind
bind 127.0.0.1 127.0.0.1
bind lo
bind nosuch0
bind 300.0.0.1
bind { | except 127.0.0.1 | }
bind lo { | except ::1 | }
bind 127.0.0.1 { | unknown | }
bind 127.0.0.1 { | except | }
root FOLDER
root
root a b
root FOLDER/absent
root FOLDER | root FOLDER
import FOLDER/part
import FOLDER/absent
import FOLDER/none*
import FOLDER/*/*
import
import nosuch
unknown
forwrd . 127.0.0.1
"errors"
errors whoami
errors { | }
errors { | stacktrace } | whoami
errors |{ | }
"""
"""One block's inside per line; `|` stands for the end of a line, URL_ for the line `endpoint URL`."""

WHOLE = (
    "",
    "# a comment\n",
    ". {\n whoami\n}\n",
    ". {\n whoami\n",
    ". {\n}\n",
    ".\nwhoami\n",
    "example.org whoami\n",
    "example.org, example.net {\n whoami\n}\n",
    "example.org,\nexample.net {\n whoami\n}\n",
    "example.org\n{\n whoami\n}\n",
    ". { whoami }\n",
    ". {\n whoami }\n",
    ". {\n whoami\n} errors\n",
    ". {\n whoami\n}}\n",
    "}\n",
    "{\n whoami\n}\n",
    '"" {\n whoami\n}\n',
    ". {\n whoami\n}\n. {\n whoami\n}\n",
    ". {\n whoami\n}\n.:PORT {\n whoami\n}\n",
    "a.b {\n whoami\n}\nA.b. {\n whoami\n}\n",
    "a.b {\n bind 127.0.0.1\n whoami\n}\na.b {\n whoami\n}\n",
    "a.b {\n bind 127.0.0.1\n whoami\n}\na.b {\n bind 127.0.0.2\n whoami\n}\n",
    "a.b {\n bind 127.0.0.1\n whoami\n}\nb.c {\n whoami\n}\n",
    "dns://a.b {\n whoami\n}\n",
    "dns://a.b:PORT {\n whoami\n}\n",
    "foo://a.b {\n whoami\n}\n",
    "a.b:99999 {\n whoami\n}\n",
    "a.b:x {\n whoami\n}\n",
    "a.b: {\n whoami\n}\n",
    "a..b {\n whoami\n}\n",
    "a_b.c {\n whoami\n}\n",
    "*.b {\n whoami\n}\n",
    "10.0.0.0/24 {\n whoami\n}\n",
    "10.0.0.0/15 {\n whoami\n}\n",
    "10.0.0.0/25 {\n whoami\n}\n",
    "10.0.0.0/33 {\n whoami\n}\n",
    "10.0.0.1/24 {\n whoami\n}\n",
    "10.0.0.0 {\n whoami\n}\n",
    "2001:db8::/32 {\n whoami\n}\n",
    "2001:db8::/33 {\n whoami\n}\n",
    "x" * 64 + ".b {\n whoami\n}\n",
    "(snip) {\n whoami\n}\n. {\n import snip\n}\n",
    "(snip) {\n whoami {args[0]}\n}\n. {\n import snip\n}\n",
    "(snip) {\n errors {args[0]}\n}\n. {\n import snip stdout\n whoami\n}\n",
    "(snip) {\n whoami\n}\n",
    "(snip) {\n whoami\n}\n(snip) {\n errors\n}\n. {\n import snip\n}\n",
    "(a) {\n import b\n}\n(b) {\n import a\n}\n. {\n import a\n}\n",
    "import FOLDER/block\n",
    "import FOLDER/absent\n",
    ". {\n whoami # comment\n}# end\n",
    ". {\n errors std#out\n whoami\n}\n",
    "{$NOSUCH} {\n whoami\n}\n",
    ".{$NOSUCH} {\n whoami\n}\n",
    ". {\n errors {$NOSUCH}\n whoami\n}\n",
    ". {\n errors {%NOSUCH%}\n whoami\n}\n",
    ". {\n errors {%NOSUCH}\n whoami\n}\n",
    '. {\n errors "stdout\n whoami\n}\n',
    "\ufeff. {\n whoami\n}\n",
    ". {\r\n whoami\r\n}\r\n",
    ". {\n\twhoami\n}",
)
"""Whole Corefiles."""


def corefiles() -> list[str]:
    """Every Corefile of both lists; the one-block ones are bound to loopback."""
    lines = [line for line in GOOD_AND_BAD.splitlines() if line]
    return [_block(line) for line in lines] + list(WHOLE)


def _block(line: str) -> str:
    inside = (
        line.replace("URL_", "SOURCE").replace(" | ", "\n").replace(" |", "\n").replace("|", "\n")
    )
    return f". {{\n{inside}\n}}\n"


FILES = {"block": ". {\n whoami\n}\n", "resolv.conf": "nameserver 127.0.0.1\n"}
"""More files that these Corefiles name."""


def coredns_takes(corefile: str) -> tuple[bool, str]:
    """Whether CoreDNS goes on running with a Corefile, and what it said."""
    try:
        with peer.start_coredns(corefile, wait_s=2.0) as running:
            return True, _last(running.log)
    except peer.PeerError as error:
        return error.code is None, _last(error.log)


def kdns_takes(corefile: str) -> tuple[bool | None, str]:
    """Whether `kdns check` finds nothing wrong, and what it said; None when it fell over."""
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        path = Path(folder) / "Corefile"
        path.write_text(corefile.replace("PORT", "5353"))
        command = [sys.executable, "-m", "kdns", "check", str(path)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=folder, env=peer.environment()
        )
    taken = {0: True, 2: False}.get(done.returncode)
    return taken, _last(done.stdout + done.stderr)


def _last(log: str) -> str:
    return " ".join(log.split()[-40:])
