"""A seed becomes a Corefile: kubernetes stanzas with every option, and the plugins around them.

`SOURCE` stands for the line that says where the objects come from, `UPSTREAM` for the scripted
resolver, `FOLDER` for a directory with the files that are named: what differs between the servers.
"""

from dataclasses import dataclass, field
from random import Random

ZONES = (
    "cluster.local in-addr.arpa ip6.arpa",
    "cluster.local in-addr.arpa ip6.arpa",
    "cluster.local",
    "cluster.local 10.0.0.0/8 fd00::/8",
    "cluster.local 10.96.0.0/12",
    "cluster.local example.org",
    "in-addr.arpa Cluster.Local ip6.arpa",
    "sub.cluster.local cluster.local",
)
OPTIONS: dict[str, tuple[str, ...]] = {
    "pods": ("disabled", "insecure", "verified", "verified"),
    "namespaces": ("default", "default prod nowhere", "dev", "svc pod kube-system default"),
    "namespace_labels": ("env=prod", "env in (prod, dev)", "tier", "!tier", "env notin (prod)"),
    "labels": ("env=prod", "tier=front, env = prod", "env notin (dev)"),
    "endpoint_pod_names": ("",),
    "ttl": ("0", "1", "30", "300", "301", "3600"),
    "noendpoints": ("",),
    "fallthrough": ("", "in-addr.arpa ip6.arpa", "cluster.local", "default.svc.cluster.local", "."),
    "ignore": ("empty_service",),
    "zonal": ("",),
    "multicluster": ("set.local",),
}
AROUND: dict[str, tuple[str, ...]] = {
    "cache": (
        "cache", "cache 30", "cache 1", "cache {\n  disable success cluster.local\n  disable denial cluster.local\n }",
        "cache 100 outside.test", "cache {\n  success 2048 60 10\n  denial 1024 20 1\n }", "cache {\n  keepttl\n }",
        "cache {\n  servfail 0\n }", "cache {\n  serve_stale\n }", "cache 60 cluster.local {\n  prefetch 2 1m 20%\n }",
    ),
    "loadbalance": (
        "loadbalance", "loadbalance round_robin", "loadbalance weighted FOLDER/weights",
        "loadbalance round_robin {\n  prefer 192.0.2.0/28 10.0.0.0/8\n }",
    ),
    "errors": ("errors", "errors {\n  consolidate 1s \".*\" warning\n }", "errors stdout"),
    "log": ("log", "log . {\n  class denial error\n }", "log outside.test \"{remote} {name}\""),
    "metadata": ("metadata",),
    "debug": ("debug",),
    "root": ("root FOLDER",),
    "hosts": (
        "hosts {\n  192.0.2.7 host.hosts.test other.hosts.test\n  2001:db8::7 host.hosts.test\n  fallthrough\n }",
        "hosts FOLDER/hosts",
        "hosts FOLDER/hosts hosts.test in-addr.arpa {\n  192.0.2.9 nine.hosts.test\n  ttl 77\n  fallthrough\n }",
        "hosts hosts hosts.test {\n  no_reverse\n  fallthrough hosts.test\n }",
        "hosts {\n  10.96.0.10 web.default.svc.cluster.local\n  192.0.2.8 *.wild.hosts.test\n  fallthrough\n }",
    ),
    "template": (
        "template IN A tmpl.test {\n  match ^a-(?P<n>[0-9]+)[.]tmpl[.]test[.]$\n  answer \"{{ .Name }} 60 IN A 192.0.2.{{ .Group.n }}\"\n  fallthrough\n }",
        "template IN ANY tmpl.test {\n  rcode NXDOMAIN\n  authority \"tmpl.test. 60 IN SOA ns.tmpl.test. h.tmpl.test. 1 2 3 4 5\"\n }",
        "template IN A tmpl.test {\n  match ^b[.]\n  answer \"{{ .Name }} IN CNAME www.outside.test.\"\n }",
        "template IN AAAA {\n  match .*[.]outside[.]test[.]$\n  rcode NOERROR\n  fallthrough\n }",
        "template ANY TXT tmpl.test {\n  answer \"{{ .Name }} 5 {{ .Class }} {{ .Type }} \\\"zone {{ .Zone }}\\\"\"\n  additional \"x.tmpl.test. 5 IN A 192.0.2.1\"\n }",
        "template IN A tmpl.test {\n  match ^b[.]\n  expr type() == 'A' && size() < 200\n  answer \"{{ .Name }} 60 IN A 192.0.2.9\"\n  fallthrough\n }",
        "template IN A tmpl.test {\n  match (^|[.])c[.]\n  rcode REFUSED\n  ederror 15 \"not today\"\n }",
    ),
    "rewrite": (
        "rewrite name host.rewrite.test web.default.svc.cluster.local",
        "rewrite name suffix .rewrite.test .default.svc.cluster.local answer auto",
        "rewrite name suffix .rewrite.test .default.svc.cluster.local",
        "rewrite name prefix pre- \"\"",
        "rewrite name substring rewrite outside",
        "rewrite name regex (.*)[.]rewrite[.]test {1}.outside.test answer name (.*)[.]outside[.]test {1}.rewrite.test",
        "rewrite stop {\n  name regex (.+)[.]rewrite[.]test {1}.prod.svc.cluster.local\n  answer name (.+)[.]prod[.]svc[.]cluster[.]local {1}.rewrite.test\n }",
        "rewrite type ANY HINFO",
        "rewrite class CH IN",
        "rewrite ttl suffix outside.test 20-40",
        "rewrite ttl exact www.outside.test 11",
        "rewrite cname exact www.outside.test. two.outside.test.",
        "rewrite rcode suffix .outside.test NXDOMAIN NOERROR",
        "rewrite edns0 local set 0xffee {qname} revert", "rewrite edns0 nsid set", "rewrite edns0 subnet set 24 56 revert",
        "rewrite name regex (.*)[.]rewrite[.]test {1}.outside.test answer auto", "rewrite ttl regex .*[.]outside[.]test[.] -15",
        "rewrite name substring rewrite outside answer value (.*)[.]outside[.]test {1}.rewrite.test", "rewrite type AAAA A",
        "rewrite name prefix pre- \"\" answer auto", "rewrite cname regex www[.](.*) two.{1}",
        "rewrite continue name suffix .rewrite.test .outside.test answer auto\n rewrite name exact www.outside.test two.outside.test",
    ),
    "header": (
        "header {\n  response set ra aa\n }", "header {\n  query clear rd\n  response clear ra\n }",
        "header {\n  response clear aa\n  response set rd\n }",
    ),
    "any": ("any",),
    "minimal": ("minimal",),
    "bufsize": ("bufsize 512", "bufsize", "bufsize 4096"),
    "local": ("local",),
    "chaos": ("chaos CoreDNS-test someone", "chaos v1 a b"),
    "nsid": ("nsid here", "nsid"),
    "cancel": ("cancel", "cancel 3s"),
    "dns64": (
        "dns64 {\n  allow_ipv4\n }", "dns64", "dns64 {\n  allow_ipv4\n  translate_all\n }",
        "dns64 {\n  prefix 2001:db8:1::/48\n  allow_ipv4\n }",
    ),
    "siit": (
        "siit", "siit {\n  ipv6_prefix 2001:db8::/96\n }",
        "siit {\n  eam 192.0.2.200 2001:db8::80\n  eam 192.0.2.201 2001:db8::1\n }",
    ),
    "autopath": ("autopath FOLDER/search.conf", "autopath test cluster.local FOLDER/search.conf"),
    "k8s_external": (
        "k8s_external ext.test", "k8s_external ext.test {\n  ttl 20\n  apex ns\n  headless\n }",
        "k8s_external ext.test outside.test {\n  fallthrough\n }",
    ),
    "file": (
        "file FOLDER/zone.test zone.test", "file FOLDER/zone.test zone.test\n transfer zone.test {\n  to *\n }", "file FOLDER/zone.test zone.test {\n  fallthrough\n }",
    ),
    "auto": ("auto zone.test {\n  directory FOLDER db[.](.*) {1}\n }", "auto {\n  directory FOLDER\n }\n transfer {\n  to *\n }"),
    "dynupdate": ("dynupdate zone.test {\n  file FOLDER/zone.test\n  allow k. * ANY\n }",),
    "tsig": ("tsig {\n  secret k. pRZgBrBvI4NAHZYhxmhs/Q==\n }", "tsig outside.test {\n  secret k. pRZgBrBvI4NAHZYhxmhs/Q==\n  require TXT MX\n }"),
    "erratic": ("erratic {\n  drop 0\n  truncate 0\n  delay 0\n }",),
    "view": (
        "view v {\n  expr true\n }", "view v {\n  expr type() in ['A', 'AAAA']\n  expr name() endsWith '.test.'\n }",
        "view v {\n  expr incidr(client_ip(), '127.0.0.0/8') && proto() == 'udp'\n }", "view v {\n  expr bufsize() > 600 || do()\n }",
    ),
    "acl": (
        "acl {\n  block type TXT net 127.0.0.0/8\n }", "acl {\n  filter type AAAA\n }",
        "acl outside.test {\n  block net *\n }", "acl {\n  allow net 10.0.0.0/8\n  filter type MX net 127.0.0.1/32\n }",
        "acl {\n  drop type CAA\n }", "acl dev.svc.cluster.local {\n  block\n }",
    ),
}  # fmt: skip
BESIDE = {"k8s_external"}
"""What needs a kubernetes stanza in its block."""
ENDS = (
    "forward . UPSTREAM", "forward . UPSTREAM", "forward . UPSTREAM", "forward outside.test UPSTREAM",
    "forward . UPSTREAM {\n  except cluster.local nowhere.invalid\n  prefer_udp\n }",
    "forward . UPSTREAM {\n  force_tcp\n  policy sequential\n  max_fails 0\n }",
    "forward . UPSTREAM dns://UPSTREAM {\n  policy round_robin\n  health_check 1s no_rec\n }",
    "whoami", "",
)  # fmt: skip
FILES = {
    "hosts": "192.0.2.20 twenty.hosts.test alias.hosts.test # words\n2001:db8::20\ttwenty.hosts.test\n"
    "# 192.0.2.21 no.hosts.test\n192.0.2.20 again.hosts.test\nnot-an-ip x.hosts.test\n192.0.2.22 TWO.Hosts.Test.\n",
    "part": "errors\nloadbalance\n",
    "weights": "www.outside.test\n192.0.2.80 3\ntwo.outside.test\n192.0.2.1 5\n192.0.2.2 1\n",
    "search.conf": "search default.svc.cluster.local svc.cluster.local outside.test\n",
    "zone.test": """$ORIGIN zone.test.
$TTL 120
@ IN SOA ns hostmaster 7 7200 1800 86400 60
@ IN NS ns
@ IN MX 10 mail
ns IN A 192.0.2.1
a IN A 192.0.2.2
a IN A 192.0.2.3
a IN AAAA 2001:db8::2
six IN AAAA 64:ff9b::c000:209
c IN CNAME a
cc IN CNAME c
out IN CNAME www.outside.test.
gone IN CNAME nowhere
mail IN A 192.0.2.4
t IN TXT "a" "b"
b.ent IN A 192.0.2.5
*.w IN A 192.0.2.6
*.wc IN CNAME a
x.w IN TXT "not wild"
sub IN NS ns.sub
sub IN NS ns
ns.sub IN A 192.0.2.7
_http._tcp IN SRV 0 5 80 a
""",
}
"""Files that Corefiles name, in FOLDER."""
FILES["db.zone.test"] = FILES["zone.test"]


@dataclass
class Config:
    """A Corefile and what its questions should aim at."""

    text: str
    zones: list[str] = field(default_factory=list)
    """Zones of the kubernetes stanza, as far as they are names."""
    words: set[str] = field(default_factory=set)
    """Directives and options in use."""
    has_root_forward: bool = False


def stanza(rng: Random, config: Config) -> str:
    """A kubernetes stanza with none, one or several options."""
    zones = rng.choice(ZONES)
    chosen = rng.sample(sorted(OPTIONS), rng.choice((0, 1, 1, 2, 3, 4)))
    if "multicluster" not in chosen and rng.random() < 0.2:
        chosen.append("multicluster")
    for one, other in (("namespaces", "namespace_labels"), ("noendpoints", "zonal")):
        if one in chosen and other in chosen:
            chosen.remove(other)
    lines = [f"{name} {rng.choice(OPTIONS[name])}".rstrip() for name in chosen]
    if "multicluster" in chosen:
        zones += " set.local"
    config.zones = [
        zone for zone in zones.lower().split() if "/" not in zone and "arpa" not in zone
    ]
    config.words |= {"kubernetes", *chosen}
    body = "".join(f"  {line}\n" for line in ["SOURCE", *lines])
    return f"kubernetes {zones} {{\n{body} }}"


def cluster_config(rng: Random) -> Config:
    """One root block around a kubernetes stanza."""
    config = Config("")
    lines = [stanza(rng, config)]
    for name in rng.sample(sorted(AROUND), rng.choice((0, 0, 1, 2, 3))):
        lines.append(rng.choice(AROUND[name]))
        config.words.add(name)
    lines.append(_end(rng, config))
    config.text = _block(rng, ".", lines)
    return config


def plugins_config(rng: Random) -> Config:
    """One to three blocks of everything but kubernetes."""
    config = Config("")
    keys = [
        ".",
        *rng.sample(
            ("outside.test", "test", "tmpl.test hosts.test", "192.0.2.0/24"), rng.randint(0, 2)
        ),
    ]
    for key in keys:
        lines = []
        for name in rng.sample(sorted(AROUND.keys() - BESIDE), rng.randint(1, 4)):
            several = 2 if name in ("template", "rewrite") else 1
            lines += rng.sample(AROUND[name], several)
            config.words.add(name)
        end = _end(rng, config) if key == "." else rng.choice(ENDS)
        config.text += _block(rng, key, [*lines, end])
    return config


CENTRES = ("", "kubernetes", "forward", "cache")
PAIRS = [
    (centre, name)
    for centre in CENTRES
    for name in sorted(AROUND)
    if name != centre and (centre == "kubernetes" or name not in BESIDE)
]
"""Each plugin alone, and beside what most Corefiles are made of."""


def pair_config(rng: Random, centre: str, name: str) -> Config:
    """One root block of two plugins, or of one alone."""
    config = Config("")
    lines = [rng.choice(AROUND[name])]
    config.words |= {name, centre} - {""}
    if centre == "kubernetes":
        lines.append(stanza(rng, config))
    elif centre:
        config.has_root_forward = True
        config.words.add("forward")
        lines.append(rng.choice([end for end in ENDS if end.startswith("forward . ")]))
    if centre == "cache":
        lines.append(rng.choice(AROUND["cache"]))
    config.text = _block(rng, ".", lines)
    if name == "view":
        config.text += _block(rng, ".", ["whoami"])
    return config


def _end(rng: Random, config: Config) -> str:
    end = rng.choice(ENDS)
    config.has_root_forward = end.startswith("forward . ")
    config.words |= set(end.split()[:1])
    return end


def _block(rng: Random, keys: str, lines: list[str]) -> str:
    """A server block with its directives in any order: the order means nothing but for repeats."""
    lines = [line for line in lines if line]
    if rng.random() < 0.5:
        lines.reverse()
    if rng.random() < 0.15 and not any(
        line.startswith(("errors", "loadbalance")) for line in lines
    ):
        lines.insert(0, "import FOLDER/part")
    body = "".join(f" {line}\n" for line in ["bind 127.0.0.1", *lines])
    return f"{keys} {{\n{body}}}\n"
