"""Master files: what every notation means, what is refused and in which words, dnspython beside."""

import shutil
import subprocess
from pathlib import Path

import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import names, rare, types
from kdns.zone.files.parse import ZoneError, included, parse
from kdns.zone.files.zone import compiled

CHECKZONE = shutil.which("named-checkzone") or shutil.which("named-checkzone", path="/usr/sbin")
APEX = names.parse_key("example.")
HEAD = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n"


def rows(text: str, files: dict[str, str] | None = None) -> list[str]:
    """Every record but the SOA as one line: name, TTL, type, data."""
    texts = {"dir/db": text, **(files or {})}
    return [
        f"{names.format(one.owner)} {one.ttl} {types.type_name(one.type)} "
        f"{rare.format_rdata(one.type, one.rdata)}"
        for one in parse("dir/db", APEX, texts.get)
        if one.type != types.SOA
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a A 1.1.1.1", "a.example. 60 A 1.1.1.1", id="relative"),
        pytest.param("A.Example. A 1.1.1.1", "a.example. 60 A 1.1.1.1", id="absolute, any case"),
        pytest.param("@ NS ns", "example. 60 NS ns.example.", id="origin"),
        pytest.param("@ MX 10 @", "example. 60 MX 10 example.", id="origin in data"),
        pytest.param("a 5 IN A 1.1.1.1", "a.example. 5 A 1.1.1.1", id="TTL and class"),
        pytest.param("a IN 1h1m A 1.1.1.1", "a.example. 3660 A 1.1.1.1", id="class and TTL"),
        pytest.param("a A 1.1.1.1\n  TXT x", 'a.example. 60 TXT "x"', id="owner left out"),
        pytest.param("a A 1.1.1.1\n\t\tAAAA ::1", "a.example. 60 AAAA ::1", id="tabs"),
        pytest.param("a TXT ( x\n y ; c\n\n z )", 'a.example. 60 TXT "x" "y" "z"', id="lines"),
        pytest.param('a TXT "x;y" "(" ";"', 'a.example. 60 TXT "x;y" "(" ";"', id="quotes"),
        pytest.param('a TXT "" x""', 'a.example. 60 TXT "" "x"', id="empty strings"),
        pytest.param(r"a TXT \"x\032y\" z\;", r'a.example. 60 TXT "\"x y\"" "z;"', id="escapes"),
        pytest.param(r"x\.y.z A 1.1.1.1", r"x\.y.z.example. 60 A 1.1.1.1", id="dot in a label"),
        pytest.param(r"\065\098 A 1.1.1.1", "ab.example. 60 A 1.1.1.1", id="octets in a name"),
        pytest.param("in A 1.1.1.1", "in.example. 60 A 1.1.1.1", id="named like a class"),
        pytest.param("a TYPE1 1.1.1.1", "a.example. 60 A 1.1.1.1", id="type by number"),
        pytest.param(r"a TYPE65280 \# 2 ab cd", r"a.example. 60 TYPE65280 \# 2 abcd", id="unknown"),
        pytest.param(r"a A \# 4 01020304", "a.example. 60 A 1.2.3.4", id="known in hex"),
        pytest.param("$ORIGIN sub\na A 1.1.1.1", "a.sub.example. 60 A 1.1.1.1", id="$ORIGIN"),
        pytest.param("$ORIGIN x.\n$ORIGIN y\n@ A 1.1.1.1", "y.x. 60 A 1.1.1.1", id="$ORIGIN twice"),
        pytest.param("$TTL 1w\na A 1.1.1.1", "a.example. 604800 A 1.1.1.1", id="$TTL"),
        pytest.param("$ttl 7\na A 1.1.1.1", "a.example. 7 A 1.1.1.1", id="$ttl in small letters"),
        pytest.param("a A 1.1.1.1\r\n", "a.example. 60 A 1.1.1.1", id="CRLF"),
        pytest.param(
            'a HTTPS 1 . alpn="h2,h3" port=1', 'a.example. 60 HTTPS 1 . alpn="h2,h3" port=1',
            id="quotes in a word",
        ),
    ],
)  # fmt: skip
def test_every_notation(text: str, expected: str) -> None:
    assert rows(HEAD + text)[-1] == expected


def test_without_a_default_the_ttl_is_that_of_before_or_of_the_soa() -> None:
    text = "@ SOA ns host 1 2 3 4 77\na A 1.1.1.1\nb 5 A 1.1.1.1\nc A 1.1.1.1\n"
    assert [line.split()[1] for line in rows(text)] == ["77", "5", "5"]


def test_included_files_have_an_origin_of_their_own_and_leave_ours_alone() -> None:
    text = HEAD + "$INCLUDE part sub ; here\nb A 1.1.1.2\n$INCLUDE ../other\n"
    files = {
        "dir/part": "a A 1.1.1.1\n$ORIGIN deep\n$TTL 5\nx A 1.1.1.3\n",
        "other": "c A 1.1.1.4\n",
    }
    assert [line.split()[0] for line in rows(text, files)] == [
        "a.sub.example.", "x.deep.sub.example.", "b.example.", "c.example.",
    ]  # fmt: skip
    assert included(text, "dir/db") == ["dir/part", "other"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "1-3 h$ A 10.0.0.$", ["h1 10.0.0.1", "h2 10.0.0.2", "h3 10.0.0.3"], id="plain"
        ),
        pytest.param(
            "0-4/2 h$ A 10.0.0.$", ["h0 10.0.0.0", "h2 10.0.0.2", "h4 10.0.0.4"], id="step"
        ),
        pytest.param("8-8 h${2,3} A 10.0.0.$", ["h010 10.0.0.8"], id="offset and width"),
        pytest.param("26-26 h${0,4,x}$$ A 10.0.0.$", ["h001a\\$ 10.0.0.26"], id="hex and a dollar"),
        pytest.param("26-26 ${0,5,n} A 10.0.0.$", ["a.1.0 10.0.0.26"], id="nibbles"),
    ],
)
def test_generate(text: str, expected: list[str]) -> None:
    made = [line.replace(".example. 60 A", "") for line in rows(f"{HEAD}$GENERATE {text}\n")]
    assert made == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("a A 1.1.1\n", "dir/db:3: A: ", id="data"),
        pytest.param("a A\n", "dir/db:3: A: the record data ends too early", id="no data"),
        pytest.param("a A 1.1.1.1 x\n", "dir/db:3: A: 'x' is one word too many", id="too much"),
        pytest.param("a B 1.1.1.1\n", "dir/db:3: 'B' is no TTL, class or type", id="no type"),
        pytest.param("a\n", "dir/db:3: the line ends before the type", id="name alone"),
        pytest.param("\n\na A x\n", "dir/db:5: A: ", id="line"),
        pytest.param("a TXT (\nx\n", "dir/db:3: a parenthesis is never closed", id="open"),
        pytest.param("a TXT x )\n", "dir/db:3: a parenthesis is closed", id="closed"),
        pytest.param('a TXT "x\ny\n', "dir/db:3: a quote is never closed", id="quote"),
        pytest.param("a..b A 1.1.1.1\n", "dir/db:3: name 'a..b' has a label of 0", id="empty label"),
        pytest.param("x" * 64 + " A 1.1.1.1\n", "dir/db:3: name .* 64 octets", id="long label"),
        pytest.param("$FOO x\n", "dir/db:3: \\$FOO with 1 words is no directive", id="directive"),
        pytest.param("$ORIGIN\n", "dir/db:3: \\$ORIGIN is followed by nothing", id="no origin"),
        pytest.param("$INCLUDE no\n", "dir/db:3: \\$INCLUDE no: dir/no cannot be read", id="absent"),
        pytest.param("$INCLUDE db\n", "goes deeper than 7 files", id="includes itself"),
        pytest.param("$INCLUDE bad\n", "dir/bad:2: A: ", id="line of the included file"),
        pytest.param("$GENERATE 1-99999 a$ A 1.1.1.1\n", "dir/db:3: \\$GENERATE: ", id="range"),
        pytest.param("$GENERATE 1-2 a${x} A 1.1.1.1\n", "is no offset", id="modifier"),
        pytest.param("a AXFR x\n", "AXFR is no type of a record", id="no type of records"),
        pytest.param(r"a A \# 3 010203", "dir/db:3: A: ", id="hex of a wrong size"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, why: str) -> None:
    with pytest.raises(ZoneError, match=why):
        rows(HEAD + text, {"dir/bad": "\nx A y\n"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(" A 1.1.1.1\n", "dir/db:1: the first record has no name", id="no owner"),
        pytest.param("a A 1.1.1.1\n", "dir/db:1: there is no TTL: put \\$TTL", id="no TTL"),
    ],
)
def test_the_first_record_needs_a_name_and_a_ttl(text: str, why: str) -> None:
    with pytest.raises(ZoneError, match=why):
        rows(text)


def test_dnspython_reads_the_same_records() -> None:
    text = (Path(__file__).parent / "hard.zone").read_text(encoding="utf-8")
    ours = compiled(APEX, parse("db", APEX, lambda _: text))
    theirs = dns.zone.from_text(text, "example.", relativize=False, check_origin=False)
    expected = {
        (name.to_text().lower(), ttl, dns.rdatatype.to_text(rdata.rdtype), rdata.to_wire())
        for name, ttl, rdata in theirs.iterate_rdatas()
    }
    found = {
        (names.format(one.owner), one.ttl, types.type_name(one.type), rdata)
        for one in ours.rrsets()
        for rdata in one.rdatas
    }
    assert found == expected


WORDS = st.sampled_from(
    [
        "$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE", "1-3", "a$", "@", "a", "a.", "a..b", "IN", "CH",
        "5", "1h", "99999999999", "A", "AAAA", "::1", "1.1.1.1", "TXT", '"x y"', '"', "(", ")", "\\",
        "\\#", "2", "abcd", "\\300", "SOA", "MX", "SRV", "NS", "HTTPS", "alpn=h2", "port=99999",
        "key5=" + "x" * 300, "LOC", "N", "E", "1m", "APL", "1:1.1.1.1/8", "NSEC3", "-", "NSEC",
        "RRSIG", "20201231000000", "99999999999999", "CAA", "issue", "IPSECKEY", "NAPTR", "TYPE70000",
        "DNSKEY", "AQID", "EUI48", "00-00", ";", "\n", "\n ", "\n", "\n",
    ]
)  # fmt: skip


@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=30).map(" ".join)))
def test_any_text_is_records_or_a_zone_error(text: str) -> None:
    try:
        rows(HEAD + text)
    except ZoneError as error:
        assert str(error)


@pytest.mark.skipif(CHECKZONE is None, reason="named-checkzone is not installed (apt: bind9-utils)")
def test_bind_reads_the_same_records(tmp_path: Path) -> None:
    """What BIND writes out of a file is what we read in it."""
    path = Path(__file__).parent / "hard.zone"
    dump = tmp_path / "dump"
    command = [
        str(CHECKZONE),
        "-k",
        "ignore",
        "-i",
        "none",
        "-D",
        "-o",
        str(dump),
        "example.",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    def read(file: Path) -> set[tuple[bytes, int, int, bytes]]:
        found = parse(str(file), APEX, lambda one: Path(one).read_text(encoding="utf-8"))
        return {(one.owner, one.ttl, one.type, one.rdata) for one in found}

    assert read(path) == read(dump)
