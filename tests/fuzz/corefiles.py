"""Texts that are nearly Corefiles go through `build`: it may only collect ConfigErrors.

Three ways to a text: words in any order, blocks of words that look right, and real Corefiles with
words and letters changed.
"""

import time
from collections.abc import Callable, Sequence
from random import Random

from kdns.corefile.tree import ConfigError
from kdns.plugins import ORDER
from kdns.server.assembly import Services, build
from tests.differential import corefiles
from tests.fuzz.report import Listener, Report

PATH = "/nonexistent/Corefile"
MOST_CPU_S = 2.0
"""A Corefile is read once, not while a packet waits; but it may not hang."""
DIRECTIVES = (*ORDER, "import", "forwrd", "manifests", "}", "(snip)")
OPTIONS = (
    "manifests", "pods", "ttl", "namespaces", "namespace_labels", "labels", "fallthrough", "ignore", "zonal",
    "multicluster", "endpoint_pod_names", "noendpoints", "startup_timeout", "endpoint", "tls", "kubeconfig",
    "except", "policy", "max_fails", "health_check", "force_tcp", "prefer_udp", "expire", "max_concurrent",
    "success", "denial", "prefetch", "serve_stale", "servfail", "disable", "keepttl", "match", "answer",
    "authority", "additional", "rcode", "ederror", "name", "type", "class", "edns0", "cname", "stop", "continue",
    "exact", "prefix", "suffix", "substring", "regex", "allow", "block", "filter", "drop", "net", "consolidate",
    "stacktrace", "reload", "no_reverse", "round_robin", "weighted", "upstream", "expr", "var", "next",
)  # fmt: skip
VALUES = (
    ".", "cluster.local", "example.org", "in-addr.arpa", "10.0.0.0/8", "10.0.0.0/33", "2001:db8::/32", "::", "1.2.3.4",
    "127.0.0.1:53", "[::1]:53", "127.0.0.1:99999", "dns://1.1.1.1", "tls://1.1.1.1%x", "a..b", "*", "-", "-1", "0", "1",
    "65536", "99999999999999999999", "1e999", "NaN", "5s", "5", "-5s", "1h1m1ms", "1.5h", "9" * 400 + "h", "10%", "101%",
    "insecure", "verified", "empty_service", "A", "ANY", "TYPE65280", "IN", "CH", "NXDOMAIN", "IN A", "(a+)+$", "(", "[",
    "(?P<n>.*)", "{1}", "{99}", "{{ .Name }} 60 IN A 1.2.3.4", "{{ .Name", "{{ range .X }}{{ end }}", "{{ .Name }} 60 IN",
    '""', '"', '"a b"', '"\\"', "{", "}", "{$HOME}", "{%HOME%}", "{$", "{args[0]}", "{args[999999999999]}", "#", "a=b", "a in (b,c)",
    "a notin (", "!", "=", "x" * 63 + ".b", "x" * 64 + ".b", "x." * 200, "é", "\0", "\u202e", "\ufeff", "stdout", "{combined}",
    "{remote} {/x/y}", "answer", "auto", "set", "0xffee", "snip", "snip a b", "../*", "*/*", "none",
)  # fmt: skip
KEYS = (
    ".", ".:53", "cluster.local", "example.org:1053", "dns://a.b", "tls://a.b", "foo://a", "10.0.0.0/24", "10.0.0.0/15",
    "2001:db8::/33", "a.b:x", "a.b:", "a..b", "A.B.", "*.b", "{$NOSUCH}", "(snip)", "(snip)", "é.org", ":53", "[::1]:53",
    "example.org,", ",", '""',
)  # fmt: skip


def soup(rng: Random) -> str:
    """Words in any order."""
    words = [
        rng.choice((DIRECTIVES, OPTIONS, VALUES, KEYS, "{}\n\n\n"))
        for _ in range(rng.randint(1, 60))
    ]
    return "".join(rng.choice(of) + rng.choice((" ", " ", "\n", "\t", "")) for of in words)


def blocks(rng: Random) -> str:
    """Blocks that look right from afar."""
    text = ""
    for _ in range(rng.randint(1, 3)):
        keys = " ".join(rng.choice(KEYS) for _ in range(rng.choice((1, 1, 1, 2, 3))))
        lines = [_directive(rng) for _ in range(rng.randint(0, 6))]
        text += f"{keys} {{\n" + "".join(lines) + rng.choice(("}\n", "}\n", "}\n", "", "}}"))
    return text


def _directive(rng: Random) -> str:
    line = f"    {rng.choice(DIRECTIVES)}{_words(rng)}"
    if rng.random() < 0.6:
        options = (
            f"        {rng.choice(OPTIONS)}{_words(rng)}\n" for _ in range(rng.randint(0, 4))
        )
        line += " {\n" + "".join(options) + "    }"
    return line + "\n"


def _words(rng: Random) -> str:
    return "".join(f" {rng.choice(VALUES)}" for _ in range(rng.choice((0, 1, 1, 2, 3, 9))))


def bent(rng: Random) -> str:
    """A real Corefile with words and letters changed."""
    make = rng.choice((corefiles.cluster_config, corefiles.plugins_config))
    text = make(rng).text.replace("SOURCE", "manifests m.yaml").replace("UPSTREAM", "127.0.0.1")
    words = text.replace("\n", " \n ").split(" ")
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(words))
        match rng.randrange(5):
            case 0:
                del words[at]
            case 1:
                words.insert(at, words[rng.randrange(len(words))])
            case 2:
                words[at] = rng.choice(rng.choice((VALUES, OPTIONS, DIRECTIVES, KEYS)))
            case 3:
                words[at] = words[at][: rng.randint(0, 8)] + rng.choice(("", "\\", '"', "{", "#"))
            case _:
                words[at : at + 3] = words[at : at + 3][::-1]
        words = words or [""]
    return " ".join(words)


MAKERS: Sequence[Callable[[Random], str]] = (soup, blocks, bent, bent)


def run(report: Report, rng: Random, *, seconds: float) -> None:
    """Builds Corefiles for so long."""
    until = time.monotonic() + seconds
    with Listener() as heard:
        while time.monotonic() < until:
            build_one(report, rng.choice(MAKERS)(rng), heard)


def build_one(report: Report, text: str, heard: Listener) -> None:
    """Builds one text and looks at what it says."""
    errors: list[ConfigError] = []
    why = ""
    started = time.thread_time()
    try:
        build(text, PATH, Services(), errors)
    except Exception as error:
        why = f"build raises {type(error).__name__}: {error}"[:160] + _place(error)
    spent = time.thread_time() - started
    report.counts["Corefiles"] += 1
    report.counts["Corefiles that are right"] += not errors and not why
    report.spent("building a Corefile", spent)
    if spent > MOST_CPU_S:
        why = why or f"building a Corefile takes more than {MOST_CPU_S} s of CPU"
    if any(not isinstance(one, ConfigError) or not str(one).strip() for one in errors):
        why = why or "an error that is no ConfigError, or says nothing"
    if heard.take()[1]:
        why = why or "building a Corefile logs a traceback"
    if why:
        report.find(why, repr(text))


def _place(error: Exception) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f" at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else ""
