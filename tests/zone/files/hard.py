"""Hard zones: random ones in which names hide, contain and lead to each other in every way.

Few labels, so that all kinds meet: wildcards beside and below names that only have names below
them, delegations with glue inside and beside them, DNAME, CNAME in and out, names under all that.
"""

from itertools import product
from random import Random

LABELS = ("a", "b", "c", "*")
ASKED = (*LABELS, "x")
TYPES = ("A", "AAAA", "TXT", "CNAME", "NS", "DS", "DNAME", "MX", "SRV", "SOA")


def zone(apex: str, chance: Random) -> str:
    """The text of a zone that Knot and NSD take, too."""
    lines = [
        f"$ORIGIN {apex}", "$TTL 300", "@ 3600 SOA ns host 7 7200 900 86400 60", "@ NS ns",
        "ns A 192.0.2.1", "ns AAAA 2001:db8::1",
    ]  # fmt: skip
    spaces = [list(product(LABELS, repeat=depth)) for depth in (1, 2, 3)]
    names = {".".join(chance.choice(chance.choice(spaces))) for _ in range(24)}
    dnames: list[str] = []
    for name in sorted(names, key=lambda name: (name.count("."), name)):
        if any(name.endswith("." + above) for above in dnames):
            continue  # both refuse what stands below a DNAME
        kind = chance.choice(("data", "data", "data", "cname", "cname", "dname", "cut", "cut"))
        if kind == "dname" and name.startswith("*"):
            kind = "cname"  # RFC 6672 §3.3: nobody agrees on what it means
        if kind == "cut" and name.startswith("*"):
            kind = "data"  # RFC 4592 §4.2: nor on this
        if kind == "dname":
            dnames.append(name)
        lines += _records(name, kind, sorted(names), chance)
    return "\n".join(lines) + "\n"


def _records(name: str, kind: str, names: list[str], chance: Random) -> list[str]:
    target = chance.choice((*names, "x", "x.a", "outside.test.", f"x.{chance.choice(names)}"))
    if kind == "cname":
        return [f"{name} CNAME {target}"] if target != name else []
    if kind == "dname":
        extra = [f'{name} TXT "at"'] if chance.random() < 0.5 else []
        return [f"{name} DNAME {target}", *extra]
    if kind == "cut":
        ns = chance.choice((f"ns.{name}", "ns", chance.choice(names), "ns.outside.test."))
        lines = [f"{name} NS {ns}", f"{name} NS ns.{name}", f"ns.{name} A 192.0.2.7"]
        return [*lines, f"{name} DS 1 8 2 " + "ab" * 32] if chance.random() < 0.3 else lines
    lines = [f"{name} A 192.0.2.{chance.randrange(256)}", f'{name} TXT "{name}"']
    if chance.random() < 0.3:
        lines += [f"{name} MX 1 {target}", f"{name} SRV 1 1 1 {chance.choice(names)}"]
    return chance.sample(lines, chance.randint(1, len(lines)))


def questions(apex: str, chance: Random, count: int) -> list[tuple[str, str]]:
    """Names in and around all of these, with a type."""
    names = [
        ".".join((*labels, apex))
        for depth in (1, 2, 3, 4)
        for labels in product(ASKED, repeat=depth)
    ]
    return [(chance.choice((*names, apex)), chance.choice(TYPES)) for _ in range(count)]
