"""Corefiles that CoreDNS 1.15.0 takes and refuses; test_peer.py asks CoreDNS itself about them."""

from dataclasses import dataclass, field

from kdns.corefile.blocks import Bound, ServerBlock, check_names, check_overlap, read_blocks
from kdns.corefile.parser import parse
from kdns.corefile.tree import ConfigError
from kdns.plugins import ORDER

REPEATABLE = frozenset(ORDER) - {"errors", "cache", "health", "reload", "root"}

KUBEADM = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
NODE_LOCAL = """cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.77.5 {
            force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.77.5 {
            force_tcp
    }
    prometheus :9253
    }
ip6.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.77.5 {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . /etc/resolv.conf
    prometheus :9253
    }
"""
K3S = """.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    hosts /etc/coredns/NodeHosts {
      ttl 60
      reload 15s
      fallthrough
    }
    prometheus :9153
    cache 30
    loop
    reload
    loadbalance
    import /etc/coredns/custom/*.override
    forward . /etc/resolv.conf
}
import /etc/coredns/custom/*.server
"""
CUSTOM = {
    "/etc/coredns/custom/log.override": "log\n",
    "/etc/coredns/custom/corp.server": "corp.example:53 {\n    forward . 10.1.2.3\n}\n",
}


@dataclass(frozen=True)
class Case:
    text: str
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    blocks: list[ServerBlock]
    errors: list[ConfigError]
    warnings: list[str]


def load(case: Case, *, file: str = "Corefile", port: int = 53) -> Outcome:
    """Everything this layer does with a Corefile, up to the options of plugins."""
    warnings: list[str] = []
    errors: list[ConfigError] = []
    blocks: list[ServerBlock] = []
    try:
        parsed = parse(
            case.text,
            file,
            environ=case.environ,
            read=reader(case.files),
            glob=globber(case.files),
            warn=warnings.append,
        )
        blocks = read_blocks(parsed, errors, port=port, warn=warnings.append)
        for block in blocks:
            check_names(
                block.directives,
                errors,
                known=ORDER,
                implemented=frozenset(ORDER),
                repeatable=REPEATABLE,
            )
        check_overlap([Bound(block, bound_to(block)) for block in blocks], errors)
    except ConfigError as error:
        errors.append(error)
    return Outcome(blocks, errors, warnings)


def bound_to(block: ServerBlock) -> tuple[str, ...]:
    return tuple(word.text for one in block.named("bind") for word in one.args)


def reader(files):
    def read(path: str) -> str:
        if path in files:
            return files[path]
        if any(name.startswith(path.rstrip("/") + "/") for name in files):
            raise IsADirectoryError(21, "Is a directory", path)
        raise FileNotFoundError(2, "No such file or directory", path)

    return read


def globber(files):
    def glob(pattern: str) -> list[str]:
        assert pattern.count("*") + pattern.count("?") < 3
        head, star, tail = pattern.partition("*")
        if not star:
            return []
        # Unsorted on purpose: the order of imports must not hang on it.
        hits = [
            n
            for n in files
            if n.startswith(head) and n.endswith(tail) and len(n) >= len(head + tail)
        ]
        return sorted((n for n in hits if "/" not in n[len(head) :]), reverse=True)

    return glob


def _acl(*words: str) -> str:
    return f". {{\n acl {{\n  {' '.join(words)}\n }}\n}}\n"


_W = " {\n whoami\n}\n"
_VIEW = " view v {\n  expr true\n }\n"
_ENV = {"ZONE": "example.org", "NAME": "whoami", "TWO": "a b", "COMMA": "a,", "NEST": "{$NAME}"}

ACCEPTED = {
    "braces": Case(".{}".replace("{}", _W)),
    "no braces": Case(".\nwhoami\nlog\n"),
    "no braces, stray close": Case(".\nwhoami\n}\n"),
    "key only": Case("a"),
    "two keys": Case("a b" + _W),
    "comma": Case("a, b" + _W),
    "comma newline": Case("a,\n\nb" + _W),
    "comma inside a word": Case("a,b" + _W),
    "brace on the next line": Case(".\n{\n whoami\n}\n"),
    "directive beside brace": Case(". { whoami\n}\n"),
    "empty block": Case(". { }\n"),
    "closed key": Case(". {}\n"),
    "next block beside close": Case("a {\n whoami\n} b {\n}\n"),
    "stray close": Case(". {\n whoami\n}\n}\n"),
    "no key": Case("{\n whoami\n}\n"),
    "empty key": Case('""\nwhoami\n'),
    "empty option block": Case(". {\n errors { }\n}\n"),
    "option closed on its line": Case(". {\n dns64 { allow_ipv4 }\n}\n"),
    "zone called brace": Case(". {\n hosts { fallthrough }\n}\n"),
    "option beside brace": Case(". {\n dns64 { allow_ipv4\n }\n}\n"),
    "quoted directive": Case('. {\n "whoami"\n}\n'),
    "quoted braces": Case('. "{"\n whoami\n"}"\n'),
    "crlf": Case(". {\r\n whoami\r\n}\r\n"),
    "carriage return in a word": Case(". {\n who\rami\n}\n"),
    "byte order mark": Case("\ufeff. {\n whoami\n}\n"),
    "comment": Case("# x\n. { # y\n whoami # z {\n}\n"),
    "comment in a word": Case(". {\n whoami#x\n}\n"),
    "quoted newline": Case('. {\n hosts "a\nb" c\n}\n'),
    "environment": Case("{$ZONE}\n{%NAME%}\n", environ=_ENV),
    "environment nested": Case(". {\n {$NEST}\n}\n", environ=_ENV),
    "environment joined": Case("{$NONE}a.{$ZONE}:5353" + _W, environ=_ENV),
    "environment comma": Case("{$COMMA} b" + _W, environ=_ENV),
    "environment empty key": Case("{$NONE} a" + _W, environ=_ENV),
    "environment space": Case("{$TWO}" + _W, environ=_ENV),
    "snippet": Case("(s) {\n whoami\n errors {\n }\n}\n. {\n import s\n}\n"),
    "snippet of a block": Case("(s) {\n. {\n whoami\n}\n}\nimport s\n"),
    "snippet in snippet": Case("(s) {\n import t\n}\n(t) {\n whoami\n}\n. {\n import s\n}\n"),
    "snippet beside brace": Case("(s) { whoami }\n. { import s\n}\n"),
    "snippet in options": Case("(s) {\n block type A\n}\n. {\n acl {\n  import s\n }\n}\n"),
    "snippet empty": Case("(s) {\n}\n. {\n import s\n}\n"),
    "snippet named like a glob": Case("(*) {\n whoami\n}\n. {\n import *\n}\n"),
    "not a snippet": Case("(s) a" + _W),
    "file": Case(". {\n import f\n}\n", {"f": "whoami\n"}),
    "file quoted": Case('. {\n "import" "f"\n}\n', {"f": "whoami\n"}),
    "file at top": Case("import f\n", {"f": "." + _W}),
    "file with keys": Case("a,\nimport f\n", {"f": "b {\n}\n"}),
    "file closes": Case(". {\n import f\n}\n", {"f": "}\na {\n"}),
    "file opens": Case(". {\n import f\n }\n}\n", {"f": "errors {\n"}),
    "file beside file": Case(". {\n import d/f\n}\n", {"d/f": "import g\n", "d/g": "whoami\n"}),
    "file with snippet": Case("import f\n. {\n import s\n}\n", {"f": "(s) {\n whoami\n}\n"}),
    "file by environment": Case(". {\n import {$NAME}\n}\n", {"whoami": "whoami\n"}, _ENV),
    "glob": Case(". {\n import d/*\n}\n", {"d/b": "whoami\n", "d/.a": "errors\n"}),
    "glob unmatched": Case("import *.x\n." + _W),
    "glob in folder and file": Case("import d*/x?\n." + _W),
    "glob escaped": Case("import \\*\n." + _W),
    "import as argument": Case(". {\n acl import\n}\n"),
    "import as key": Case("a, import f\n"),
    "root": Case(".:5353" + _W),
    "scheme": Case("dns://a dns://b:5353" + _W),
    "scheme with its port": Case("grpc://a tls://a" + _W),
    "unknown scheme": Case("http://a" + _W),
    "upper case": Case("A.Example" + _W),
    "signed port": Case("a:+5353 b:05353" + _W),
    "no port": Case("a:b a:1_0 a:1e3" + _W),
    "v4 block": Case("10.0.0.1/24:5353 172.16.0.0/12" + _W),
    "v4 blocks of all": Case("0.0.0.0/0" + _W),
    "v4 block within an octet": Case("10.0.0.64/26" + _W),
    "v4 host": Case("10.0.0.1/32 10.0.1.0/024" + _W),
    "v6 block": Case("2001:db8::/32:5353 2001:db8:1::/47" + _W),
    "v6 host": Case("2001:db8::1/128" + _W),
    "v6 address": Case("2001:db8::1" + _W),
    "looks like a block": Case("10.0.0.0/33 010.0.0.0/8 1.2.3/8 10/8 10.0.0.0/-1 1.2.3.4/" + _W),
    "odd names": Case("a_b.c *.a -a.b a-.b [2001:db8::/32]:5353 1.2.3.4" + _W),
    "escaped dot": Case("a\\046b" + _W),
    "same zone, other port": Case("a" + _W + "a:5353" + _W),
    "same zone, other address": Case("a {\n bind 127.0.0.1\n}\na {\n bind 127.0.0.2\n}\n"),
    "same zone, view first": Case("a {\n" + _VIEW + "}\na" + _W),
    "same zone, view last": Case("a" + _W + "a {\n" + _VIEW + "}\n"),
    "bound and all, with view": Case("a {\n bind 127.0.0.1\n" + _VIEW + "}\na" + _W),
    "bound and wildcard": Case("a {\n bind 127.0.0.1\n}\na {\n bind 0.0.0.0\n}\n"),
    "halves of a block": Case("10.0.0.0/25" + _W + "10.0.0.128/25" + _W),
}

REJECTED = {
    "unknown directive": (Case(". {\n foo\n}\n"), "2: unknown directive 'foo'"),
    "directive is case-sensitive": (
        Case(". {\n Whoami\n}\n"),
        "2: unknown directive 'Whoami' (did you mean 'whoami'?)",
    ),
    "removed directive": (
        Case(". {\n proxy . 1.1.1.1\n}\n"),
        "2: proxy is no plugin any more (use forward instead)",
    ),
    "repeated": (
        Case(". {\n errors\n errors\n}\n"),
        "3: errors may stand once in a server block (first on line 2)",
    ),
    "close beside directive": (
        Case(". {\n whoami }\n"),
        "2: `}` without a matching `{` (`}` must stand on a line of its own)",
    ),
    "close beside option and block": (
        Case(". {\n hosts { fallthrough } }\n"),
        "2: `}` without a matching `{` (`}` must stand on a line of its own)",
    ),
    "text after an option block": (
        Case(". {\n errors {\n } foo\n}\n"),
        "3: unexpected 'foo' after the block of 'errors' (`}` must stand on a line of its own)",
    ),
    "brace on the next line": (
        Case(". {\n errors\n {\n }\n}\n"),
        "3: `{` must end the line of 'errors'",
    ),
    "block not closed": (
        Case("\n. {\n whoami\n"),
        "2: the block that `{` opens here is never closed by `}`",
    ),
    "option block not closed": (
        Case(". {\n errors {\n"),
        "2: the block that `{` opens here is never closed by `}`",
    ),
    "quote not closed": (
        Case('. {\n hosts "a\n}\n'),
        '2: quoted text is never closed by `"`',
    ),
    "comma at the end": (Case("a,"), "1: expected another zone after the comma"),
    "comma before the brace": (Case("a, {\n}\n"), "1: expected another zone after the comma"),
    "comma alone": (Case("a , b" + _W), "1: expected a zone before the comma"),
    "second line of keys": (Case("a\nb" + _W), "2: unknown directive 'b'"),
    "name closed by comment only": (Case(".{\n}\n"), "1: expected a zone: name '.{' has a label"),
    "empty label": (Case("a..b" + _W), "1: expected a zone: name 'a..b' has a label of 0 octets"),
    "long label": (Case("a" * 64 + _W), "1: expected a zone: name 'aaaaaaaa"),
    "no zone": (Case("dns://" + _W), "1: expected a zone in 'dns://'"),
    "no zone but port": (Case(":5353" + _W), "1: expected a zone in ':5353'"),
    "no port": (Case("a:" + _W), "1: expected a port after the colon of 'a:'"),
    "large port": (Case("a:99999" + _W), "1: expected a port from 0 to 65535, found 99999"),
    "negative port": (Case("a:-5" + _W), "1: expected a port from 0 to 65535, found -5"),
    "environment as directive": (Case(". {\n {$NONE}\n}\n"), "2: unknown directive ''"),
    "environment as import": (
        Case(". {\n {$X} f\n}\n", {"f": "whoami"}, {"X": "import"}),
        "2: unknown directive 'import'",
    ),
    "import without name": (
        Case(". {\n import\n}\n"),
        "2: import needs the name of a snippet, a file or a glob pattern",
    ),
    "import of two": (
        Case(". {\n import f g\n}\n", {"f": "", "g": ""}),
        "2: import takes one name, found 'g' after it",
    ),
    "import with arguments": (
        Case("(s) {\n log {args[0]}\n}\n. {\n import s a\n}\n"),
        "5: import takes one name, found 'a' after it",
    ),
    "import of nothing": (
        Case(". {\n import f\n}\n"),
        "2: no snippet or file 'f' to import (a snippet must be defined above its import)",
    ),
    "import of a folder": (
        Case(". {\n import d\n}\n", {"d/f": "whoami\n"}),
        "2: cannot import 'd': is a directory",
    ),
    "import before its snippet": (
        Case(". {\n import s\n}\n(s) {\n}\n"),
        "2: no snippet or file 's' to import",
    ),
    "import of itself": (
        Case(". {\n import f\n}\n", {"f": "import f\n"}),
        "f:1: over 10000 file imports: does one import itself?",
    ),
    "snippet of itself": (
        Case("(s) {\n import s\n}\n. {\n import s\n}\n"),
        "2: over 10000 snippet imports: does one import itself?",
    ),
    "two wildcards": (
        Case("import *.*\n." + _W),
        "1: import pattern '*.*' may have one wildcard only, one `*` or one `?`",
    ),
    "wildcard in two parts": (Case("import */*.x\n"), "1: import pattern '*/*.x' may have one"),
    "two question marks": (Case("import a?b?\n"), "1: import pattern 'a?b?' may have one"),
    "class as wildcard": (Case("import [ab]\n"), "1: import pattern '[ab]' may have one"),
    "broken pattern": (Case("import a[b\n"), "1: import pattern 'a[b' has `[` without `]`"),
    "snippet twice": (Case("(s) {\n}\n(s) {\n}\n." + _W), "3: snippet 's' is defined twice"),
    "snippet without brace": (
        Case("(s)\n whoami\n"),
        "1: expected `{` after the snippet's name '(s)'",
    ),
    "snippet not closed": (Case("(s) {\n whoami\n"), "1: snippet 's' is never closed by `}`"),
    "error in a file": (Case("a\nimport f\n", {"f": "\nfoo"}), "f:2: unknown directive 'foo'"),
    "zone twice": (
        Case("a" + _W + "a" + _W),
        "4: cannot serve dns://a.:53: it is already served (line 1)",
    ),
    "zone twice in one block": (
        Case("a. A" + _W),
        "1: cannot serve dns://a.:53: it is already served (line 1)",
    ),
    "zone twice on one address": (
        Case("a {\n bind 127.0.0.1\n}\na {\n bind 127.0.0.1\n}\n"),
        "4: cannot serve dns://a.:53 on 127.0.0.1: it is already served (line 1)",
    ),
    "address twice": (
        Case("a {\n bind 127.0.0.1 127.0.0.1\n}\n"),
        "1: cannot serve dns://a.:53 on 127.0.0.1: it is already served (line 1)",
    ),
    "bound, then all": (
        Case("a {\n bind 127.0.0.1\n}\na" + _W),
        "4: cannot serve dns://a.:53: the zone is also bound to 127.0.0.1 (line 1)",
    ),
    "all, then bound": (
        Case("a" + _W + "a {\n bind 127.0.0.1\n}\n"),
        "4: cannot serve dns://a.:53 on 127.0.0.1: the zone is also bound to all addresses",
    ),
    "zone twice beside a view": (
        Case("a" + _W + "a {\n" + _VIEW + "}\na" + _W),
        "9: cannot serve dns://a.:53: it is already served (line 1)",
    ),
    "blocks that overlap": (
        Case("10.0.0.0/15" + _W + "10.0.0.0/16" + _W),
        "4: cannot serve dns://0.10.in-addr.arpa.:53: it is already served (line 1)",
    ),
}

STRICTER = {
    "quote not closed": (Case('.\n"whoami'), '2: quoted text is never closed by `"`'),
    "snippet without a name": (Case("() {\n}\n." + _W), "1: a snippet needs a name"),
    "brace on the next line of what repeats": (
        Case(". {\n log\n {\n }\n}\n"),
        "3: `{` must end the line of 'log'",
    ),
}
"""What CoreDNS takes, in a sense that nobody can have meant."""
