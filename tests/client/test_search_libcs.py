"""The real glibc and musl ask the packets that the walk asks, in its order, and say what it says.

Each row of CASES is a resolv.conf, a name and what nameservers do about it; a C library looks the
name up in a namespace of its own against these nameservers, and the walk against the same table.
"""

import asyncio
import json
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from kdns.client.search import Heard, Libc, Walk, parse_resolv, walk
from kdns.wire import types
from tests.client.libcs.scripted import CLOSES, deed, replied
from tests.clients.conftest import UNSHARE, lacking, obstacle

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "libcs"
TOP = Path(__file__).parents[2]
FAST = "options timeout:1 attempts:1"
SEARCH = "search a.test b.test c.test\n"
ONE = "nameserver {0}\n"
TWO = ONE + "nameserver {1}\n"
POD = "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
LONG = "search " + " ".join(f"{'d' * 40}{at}.test" for at in range(6)) + "\n"
FAMILIES = {0: (types.A, types.AAAA), 4: (types.A,), 6: (types.AAAA,)}
SAID = {"": 0, "EAI_NONAME": -2, "EAI_AGAIN": -3, "EAI_FAIL": -4, "EAI_NODATA": -5}
SILENT = {"drop", "other-id", "other-question"}
UNHEEDED = {"SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "closed", "lame"}
"""What musl waits out, too."""
TCP_SINCE = (1, 2, 4)
"""The version of musl from which on it asks again over TCP, and tells NODATA from NXDOMAIN."""


@dataclass(frozen=True)
class Case:
    """What is looked up where."""

    resolv: str
    name: str
    table: dict[str, str] = field(default_factory=dict)
    servers: int = 1
    family: int = 0
    only: str = ""
    """The libc it is for; empty for both."""
    is_odd: bool = False
    """A search domain that makes no name: musl before 1.2.4 ends there."""

    def told(self) -> dict[str, str]:
        return {"*": "NXDOMAIN", **self.table}


def conf(options: str = "", servers: str = ONE, search: str = SEARCH) -> str:
    return f"{servers}{search}{FAST} {options}\n"


F = conf()
F2 = conf(servers=TWO)
CASES = {
    # names
    "pod-short": Case(conf("ndots:5", search=POD), "web"),
    "pod-found": Case(
        conf("ndots:5", search=POD), "web.shop", {"web.shop.svc.cluster.local. A": "A 10.0.0.1",
        "web.shop.svc.cluster.local. AAAA": "NODATA"}
    ),
    "pod-outside": Case(conf("ndots:5", search=POD), "www.outside.test", {"www.outside.test.": "A 10.0.0.1"}),
    "pod-five-dots": Case(conf("ndots:5", search=POD), "a.b.c.d.e.f"),
    "enough-dots": Case(conf("ndots:2"), "x.y.z"),
    "absolute": Case(F, "x.y."),
    "ndots-0": Case(conf("ndots:0"), "x"),
    "ndots-capped-below": Case(conf("ndots:99"), "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o"),
    "ndots-capped": Case(conf("ndots:99"), "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"),
    "as-written-found": Case(F, "x.y", {"x.y.": "A 10.0.0.1 AAAA 2001:db8::1"}),
    "two-dots": Case(F, "x..y"),
    "two-last-dots": Case(F, "x.."),
    "root": Case(F, "."),
    "label-of-64": Case(F, "l" * 64),
    "joined-too-long": Case(F, ".".join(["l" * 63, "l" * 63, "l" * 63, "l" * 58])),
    "blank": Case(F, "a b"),
    "underscore": Case(F, "a_b"),
    "dash": Case(F, "-a"),
    "star": Case(F, "a*b"),
    "literal": Case(F, "10.1"),
    "no-literal": Case(F, "10.1.2.300"),
    "literal-v6": Case(F, "::1"),
    # resolv.conf
    "no-search": Case(conf(search=""), "x"),
    "long-line": Case(conf(search=LONG), "x"),
    "domain-last": Case(conf(search="search a.test\ndomain b.test c.test\n"), "x"),
    "search-last": Case(conf(search="domain b.test c.test\nsearch a.test d.test\n"), "x"),
    "search-empty": Case(conf(search="search a.test\nsearch \n"), "x"),
    "comments": Case("  " + TWO + "# c\n; c\nsearch a.test # b.test\n" + FAST, "x", servers=2),
    "words-behind-server": Case("nameserver {0}  # mine\nnameserver {1} x\n" + FAST, "x", servers=2),
    "comment-glued": Case("nameserver {0}#mine\nnameserver {1}\n" + FAST, "x", servers=2),
    "tabs": Case("nameserver\t{0}\nsearch\ta.test \t b.test\noptions\ttimeout:1\tattempts:1", "x"),
    "search-root": Case(conf(search="search .\n"), "x", is_odd=True),
    "search-root-last": Case(conf(search="search a.test .\n"), "x", is_odd=True),
    "search-dots": Case(conf(search="search a.test. .b.test c..d e.test\n"), "x", is_odd=True),
    "search-label-of-64": Case(conf(search=f"search {'l' * 64} b.test\n"), "x", is_odd=True),
    "four-servers": Case(
        conf(servers=TWO + "nameserver {2}\nnameserver {3}\n"), "x.", {"*": "REFUSED"}, 4
    ),
    "options-add-up": Case(conf() + "options ndots:2\noptions edns0\n", "x.y"),
    "ndots-twice": Case(conf("ndots:3 ndots:1"), "x.y"),
    "ndots-within": Case(conf("xndots:3"), "x.y"),
    "ndots-no-number": Case(conf("ndots:x"), "x"),
    "timeout-0": Case(ONE + SEARCH + "options timeout:0 attempts:1", "x"),
    "attempts-0": Case(ONE + SEARCH + "options timeout:1 attempts:0", "x", only="glibc"),
    # options
    "edns0": Case(conf("edns0"), "x"),
    "trust-ad": Case(conf("trust-ad"), "x"),
    "no-aaaa": Case(conf("no-aaaa"), "x"),
    "no-aaaa-for-aaaa": Case(conf("no-aaaa"), "x", {"x.b.test.": "A 10.0.0.1"}, family=6, only="glibc"),
    "no-tld-query": Case(conf("no-tld-query"), "x"),
    "no-tld-query-without-search": Case(conf("no-tld-query", search=""), "x"),
    "use-vc": Case(conf("use-vc"), "x"),
    "use-vc-servfail": Case(conf("use-vc", servers=TWO), "x", {"x.a.test.": "SERVFAIL"}, 2),
    "single-request": Case(conf("single-request"), "x", {"x.b.test.": "A 10.0.0.1 AAAA 2001:db8::1"}),
    "single-request-no-a": Case(conf("single-request"), "x.", {"* A": "drop"}),
    "single-request-no-aaaa": Case(conf("single-request"), "x.", {"* AAAA": "drop"}),
    "single-request-a-servfail": Case(conf("single-request"), "x", {"* A": "SERVFAIL"}),
    "single-request-aaaa-servfail": Case(conf("single-request"), "x", {"* A": "NODATA", "* AAAA": "SERVFAIL"}),
    "single-request-reopen": Case(conf("single-request-reopen"), "x.", {"* AAAA": "drop"}),
    "rotate": Case(conf("rotate", servers=TWO), "x", {}, 2, only="glibc"),
    "rotate-servfail": Case(conf("rotate", servers=TWO), "x", {"*": "SERVFAIL"}, 2, only="glibc"),
    "a-alone": Case(F, "x", family=4),
    "aaaa-alone": Case(F, "x", family=6),
    # one server that says or does something else on the way
    **{
        f"{word}-{where}": Case(F, "x" if where != "first" else "x.y", {name: word})
        for word in ("NODATA", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "drop", "lame", "short", "other-id",
                     "other-question", "A cut", "CNAME y.test.", "CNAME y.test. A 10.0.0.1", "TC A 10.0.0.1",
                     "TC NODATA", "TC SERVFAIL", "TC REFUSED", "TC lame", "TC close")
        for where, name in (("searched", "x.b.test."), ("first", "x.y."), ("last", "x."))
    },
    **{
        f"{word}-absolute-a": Case(F, "x.", {"*": word}, family=4)
        for word in ("NODATA", "SERVFAIL", "REFUSED", "FORMERR", "drop", "short", "A cut", "CNAME y.test.")
    },
    "closed": Case(F, "x", {"*": "closed"}),
    "closed-two": Case(F2, "x", {"*": "closed"}, 2),
    # A says one thing, AAAA another
    **{
        f"a-{a}-aaaa-{aaaa}": Case(F, "x", {"x.a.test. A": a, "x.a.test. AAAA": aaaa})
        for a, aaaa in (
            ("NXDOMAIN", "AAAA 2001:db8::1"), ("A 10.0.0.1", "NXDOMAIN"), ("A 10.0.0.1", "SERVFAIL"),
            ("SERVFAIL", "AAAA 2001:db8::1"), ("SERVFAIL", "NODATA"), ("NODATA", "SERVFAIL"),
            ("A 10.0.0.1", "drop"), ("drop", "AAAA 2001:db8::1"), ("A 10.0.0.1", "REFUSED"),
            ("A 10.0.0.1", "FORMERR"), ("A 10.0.0.1", "lame"), ("NODATA", "NXDOMAIN"),
            ("FORMERR", "NODATA"), ("A 10.0.0.1", "CNAME y.test."), ("CNAME y.test.", "NODATA"),
            ("CNAME y.test.", "NXDOMAIN"), ("TC A 10.0.0.1", "NODATA"), ("NXDOMAIN", "drop"),
            ("SERVFAIL", "drop"), ("drop", "SERVFAIL"),
        )
    },
    "later-nodata": Case(conf("ndots:2"), "x.y", {"x.y.a.test.": "SERVFAIL", "x.y.": "NODATA"}),
    "later-servfail": Case(conf("ndots:2"), "x.y", {"x.y.a.test.": "NODATA", "x.y.": "SERVFAIL"}),
    "later-silence": Case(conf("ndots:2"), "x.y", {"x.y.a.test.": "SERVFAIL", "x.y.": "drop"}),
    "silence-then-found": Case(conf("ndots:2"), "x.y", {"x.y.a.test.": "drop", "x.y.": "A 10.0.0.1"}),
    "servfail-and-nodata": Case(F, "x", {"x.a.test.": "SERVFAIL", "x.b.test.": "NODATA"}),
    "nodata-and-servfail": Case(F, "x", {"x.a.test.": "NODATA", "x.b.test.": "SERVFAIL"}),
    "nodata-then-refused": Case(F, "x", {"x.a.test.": "NODATA", "x.b.test.": "REFUSED"}),
    # several servers
    **{
        f"two-{first}-{second}": Case(F2, "x", {"* @0": first, "*": second}, 2)
        for first, second in (
            ("SERVFAIL", "NXDOMAIN"), ("REFUSED", "NXDOMAIN"), ("NOTIMP", "NODATA"), ("closed", "NXDOMAIN"),
            ("NXDOMAIN", "A 10.0.0.1"), ("SERVFAIL", "SERVFAIL"), ("REFUSED", "REFUSED"),
            ("REFUSED", "SERVFAIL"), ("SERVFAIL", "REFUSED"), ("lame", "NXDOMAIN"), ("FORMERR", "NXDOMAIN"),
            ("TC SERVFAIL", "NXDOMAIN"), ("SERVFAIL", "closed"), ("REFUSED", "closed"),
        )
    },
    "two-drop": Case(F2, "x.", {"* @0": "drop"}, 2),
    "two-servfail-drop": Case(F2, "x", {"x.a.test. @0": "SERVFAIL", "x.a.test. @1": "drop"}, 2),
    "two-drop-servfail": Case(F2, "x", {"x.a.test. @0": "drop", "x.a.test. @1": "SERVFAIL"}, 2),
    "two-aaaa-servfail": Case(F2, "x.", {"x. A @0": "A 10.0.0.1", "x. AAAA @0": "SERVFAIL"}, 2),
    "two-tc-close": Case(F2, "x", {"x.a.test. @0": "TC close"}, 2),
    "attempts": Case(TWO + "options timeout:1 attempts:2", "x.", {"*": "REFUSED"}, 2),
    "attempts-servfail": Case(ONE + "options timeout:1 attempts:2", "x.", {"*": "SERVFAIL"}),
    "attempts-silence": Case(ONE + "options timeout:1 attempts:2", "x.", {"*": "drop"}),
}  # fmt: skip


def musl_version() -> tuple[int, ...]:
    """The version of the musl that programs here are run by."""
    loader = Path(f"/lib/ld-musl-{platform.machine()}.so.1")
    said = subprocess.run([loader], capture_output=True, text=True, check=False).stderr
    found = re.search(r"Version ([0-9.]+)", said)
    assert found, said
    return tuple(int(part) for part in found.group(1).split("."))


def compiled(compiler: str, folder: Path) -> str:
    """The program, made with this compiler."""
    if shutil.which(compiler) is None:
        lacking(f"{compiler} is not installed")
    if why := obstacle():
        lacking(why)
    program = str(folder / "look")
    subprocess.run([compiler, "-O1", "-o", program, HERE / "look.c"], check=True)
    return program


def patient(case: Case, libc: Libc) -> str:
    """The resolv.conf with a time-out no stall of the machine comes up to, where none is meant."""
    waits = SILENT if libc == "glibc" else SILENT | UNHEEDED
    has_waits = any(word in waits for said in case.table.values() for word in said.split())
    return case.resolv if has_waits else case.resolv.replace("timeout:1 ", "timeout:9 ")


def judged(argv: list[str], libc: Libc, cases: list[Case], folder: Path) -> list[dict]:
    """What a libc asked and said in each case."""
    told = [
        {"argv": argv, "resolv": patient(one, libc), "name": one.name, "table": one.told(),
         "servers": one.servers, "family": one.family}
        for one in cases
    ]  # fmt: skip
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.client.libcs.room", str(folder)],
        input=json.dumps(told), capture_output=True, text=True, cwd=TOP, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def disagreements(
    argv: list[str], libc: Libc, cases: dict[str, Case], folder: Path, version: tuple[int, ...] = ()
) -> dict[str, list[str]]:
    """Where a libc and the walk differ. What differs is judged again: the machine may have stalled."""
    for _ in range(3):
        results = judged(argv, libc, list(cases.values()), folder)
        found = {
            key: disagreement(case, libc, got, version)
            for (key, case), got in zip(cases.items(), results, strict=True)
        }
        cases = {key: case for key, case in cases.items() if found[key]}
        if not cases:
            break
    return {key: found[key] for key in cases}


def walked(case: Case, libc: Libc) -> tuple[Walk, list[tuple[int, str, bytes]]]:
    """The walk over the same table, and what it asked."""
    asked: list[tuple[int, str, bytes]] = []
    hosts = [f"127.1.0.{at + 1}" for at in range(case.servers)]
    table = case.told()

    async def ask(nameserver: tuple[str, int], packet: bytes, transport: str) -> Heard:
        server = hosts.index(nameserver[0])
        word = deed(table, packet, server)
        if word == "closed":
            return Heard(error="connection refused", failure="refused")
        asked.append((server, transport, packet[2:]))
        reply = replied(table, packet, server, transport)
        if reply == CLOSES:
            return Heard(error="it closed the connection", failure="cut", transport=transport)
        if reply is None:
            await asyncio.sleep(0.01)
        return Heard(reply, "" if reply else "no answer", transport=transport)

    resolv = parse_resolv(case.resolv.format(*hosts), libc)
    return asyncio.run(walk(case.name, FAMILIES[case.family], resolv, libc, ask)), asked


def text(asked: tuple[int, str, bytes]) -> str:
    server, transport, packet = asked
    question = dns.message.from_wire(b"\0\0" + packet).question[0]
    return f"{question.name} {dns.rdatatype.to_text(question.rdtype)} @{server} {transport}"


def disagreement(case: Case, libc: Libc, got: dict, version: tuple[int, ...]) -> list[str]:
    """How a libc and the walk differ."""
    found, asked = walked(case, libc)
    real = [
        (server, transport, bytes.fromhex(packet)) for server, transport, packet in got["heard"]
    ]
    out = []
    if _order(case, libc, real) != _order(case, libc, asked):
        out.append(f"asked {[text(one) for one in real]}, the walk {[text(one) for one in asked]}")
    code, canonical, *addresses = got["said"].split()
    says = found.says
    if libc == "musl" and version < TCP_SINCE and says == "EAI_NODATA":
        says = "EAI_NONAME"
    if int(code) != SAID[says]:
        out.append(f"said {code}, the walk {found.says!r}")
    if sorted(set(addresses)) != sorted(set(found.addresses)):
        out.append(f"found {addresses}, the walk {found.addresses}")
    if addresses and found.name and canonical != (found.canonical or found.name).rstrip("."):
        out.append(f"calls it {canonical}, the walk {found.canonical or found.name}")
    assert all(one.then for one in found.asked), found.asked
    return out


def _order(case: Case, libc: Libc, asked: list[tuple[int, str, bytes]]) -> object:
    """What was asked, without what chance decides.

    musl asks several servers at once: which of them answers first decides how often another is
    asked again. glibc begins to rotate anywhere. A server that closes a connection may do so before
    it has read the second question on it.
    """
    if "TC close" in case.table.values():
        asked = [one for one in asked if one[1] != "tcp" or b"\0\x1c\0\1" not in one[2]]
    if libc == "musl" and case.servers > 1:
        return Counter(dict.fromkeys(asked, 1))
    if libc == "musl":
        return Counter(asked), list(dict.fromkeys(packet for _, _, packet in asked))
    if "rotate" in case.resolv and asked:
        first = asked[0][0]
        return [((server - first) % case.servers, *rest) for server, *rest in asked]
    return asked


def test_glibc_asks_and_says_what_the_walk_does(tmp_path):
    program = compiled("cc", tmp_path)
    if b"ld-linux" not in Path(program).read_bytes():
        lacking("cc makes no programs for glibc here")
    cases = {key: case for key, case in CASES.items() if case.only != "musl"}
    if wrong := disagreements([program], "glibc", cases, tmp_path):
        pytest.fail(shown(wrong))


def test_musl_asks_and_says_what_the_walk_does(tmp_path):
    program = compiled("musl-gcc", tmp_path)
    version = musl_version()
    cases = {
        key: case for key, case in CASES.items()
        if case.only != "glibc" and (version >= TCP_SINCE or not is_newer(case))
    }  # fmt: skip
    if wrong := disagreements([program], "musl", cases, tmp_path, version):
        pytest.fail(shown(wrong))


def test_a_difference_is_seen(tmp_path):
    """What musl asks is not what the walk of glibc asks."""
    program = compiled("musl-gcc", tmp_path)
    keys = ("enough-dots", "NODATA-searched", "pod-short")
    results = judged([program], "glibc", [CASES[key] for key in keys], tmp_path)
    wrong = [
        disagreement(CASES[key], "glibc", got, ()) for key, got in zip(keys, results, strict=True)
    ]
    assert [bool(why) for why in wrong] == [True, True, False]


def shown(wrong: dict[str, list[str]]) -> str:
    return "\n".join(f"{key}: {'; '.join(why)}" for key, why in wrong.items())


def is_newer(case: Case) -> bool:
    """True for what musl before 1.2.4 does otherwise."""
    words = " ".join(case.table.values())
    return "TC" in words or "cut" in words or case.is_odd
