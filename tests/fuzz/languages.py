"""Expressions and regular expressions of a Corefile: refused, or evaluated in bounded time."""

import time
from random import Random

from kdns.corefile.expr.expressions import BOOL, INT, STRING, ExprError, Signature, parse
from kdns.corefile.patterns import compile_go
from tests.fuzz.targets import Target

ENVIRONMENT = {
    "name": Signature((), STRING),
    "id": Signature((), INT),
    "do": Signature((), BOOL),
    "incidr": Signature((STRING, STRING), BOOL),
}
ASK = {
    "name": lambda: "a.example.org.",
    "id": lambda: 7,
    "do": lambda: False,
    "incidr": lambda address, block: block.startswith(address[:3]),
}
EXPRESSIONS = (
    "1/2 + 7 % 2 ** 3", "-9223372036854775807 + 0x1F - 1_000", "'a' + \"b\\u0041\" + `c`", "name() matches '^a[.]' ? 1 : 2",
    "1..300 | filter(# > 1) | map(# * 2) | sum()", "let x = 1; let y = 2; x + y", "[1,2,3][1:2] ?? {a: {b: 2}}?.a?.b",
    "if do() { 1 } else if true { 2 } else { 3 }", "reduce([1,2,3], #acc + #)", "groupBy([1,2,3], # % 2)",
    "name() | trimSuffix('.') | split('.') | last()", "incidr(name(), '10.0.0.0/8') and not (id() in 1..9)",
    "repeat('ab', 300) contains 'ba' || len('x') >= 1", "sortBy([{a: 2}, {a: 1}], .a, 'desc')", "toJSON({a: [1, nil]})",
    "any([1,2], # > 1) or all([], true) or none([1], #index == 0)", "date('2024-01-01').Year() == 2024", "join(['a'], ',')",
    "int('5') + float('1.5') + round(2.5) + abs(-1) + max(1, 2)", "fromBase64(toBase64('x')) == upper('x')",
)  # fmt: skip


def _expression(_: Random, octets: bytes) -> None:
    made = parse(octets.decode("utf-8", "replace"), ENVIRONMENT)
    made.evaluate(ASK)


PATTERNS = (
    "(a+)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a|aa)+$", "(.*)(.*)(.*)(.*)x$", "^(a?){60}a{60}$", r"(\w+\s?)*$!", "(.*a){12}x",
    r"^(.*?,){11}P", r"^ip-([0-9]+)-([0-9]+)\.example\.org\.$", "(?P<n>[[:alpha:]]+)|(?i:B)c??", r"[^\d\]a-f-]{2,}\b\Q.x\E",
    "(?m:^a$)|(?s:.)+?", r"\x{10FFFF}\pL\101[\x00-\xff]", "((a{0,9}){0,9}){0,9}",
)  # fmt: skip
TEXTS = ("a" * 249 + "!", "a," * 125, "ip-1-2.example.org.", "aaabbb.cluster.local" * 12, "")
MOST_S = 0.1
"""For a name; the pattern itself is read once."""


def _pattern(rng: Random, octets: bytes) -> None:
    made = compile_go(octets.decode("utf-8", "replace"))
    text = rng.choice(TEXTS)
    made.search(text)  # the states that this makes are kept
    spent = []
    for _ in range(3):  # others may be served by the machine in between
        started = time.thread_time()
        made.search(text)
        spent.append(time.thread_time() - started)
        if spent[-1] < MOST_S:
            return
    raise AssertionError(f"a search takes {min(spent):.2f} s, more than {MOST_S} s")


TARGETS = (
    Target("expressions", [one.encode() for one in EXPRESSIONS], _expression, (ExprError,)),
    Target("regular expressions", [one.encode() for one in PATTERNS], _pattern, (ValueError,), 0.5),
)
