"""Verdicts as text, JSON, JUnit and a page: all is said, and what a server sends stays text."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from kdns.conformance.catalogue import GROUPS
from kdns.conformance.clauses import Clause, Evidence, Outcome, Verdict
from kdns.conformance.packets import query
from kdns.conformance.page import as_page
from kdns.conformance.report import Report, as_json, as_junit, summary
from kdns.conformance.text import as_text, listing

HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m\x00]]>\ufffe"


async def nothing(_: object) -> None:
    """A check that is never made."""


def clause(id_: str, level: str = "must") -> Clause:
    made = Clause(id_, f"The rule of {id_}.", "RFC 0 §1", nothing)
    return replace(made, level=level)


def verdict(id_: str, outcome: Outcome, level: str = "must", **more: object) -> Verdict:
    return replace(Verdict(clause(id_, level), "A & B", outcome), **more)


def report(*verdicts: Verdict) -> Report:
    return Report(
        "192.0.2.1:53", "cluster.local.", "2026-01-01T00:00:00Z", 1.5, verdicts, ("said",)
    )


ASKED = Evidence(query("web.shop."), b"\0" * 5, 0.002, "udp")
ALL = report(
    verdict("good", "passed", notes=("12 ms",)),
    verdict("bad", "failed", expected="an A record", seen=HOSTILE, evidence=(ASKED,)),
    verdict("weak", "failed", "should", expected="RA", seen="none"),
    verdict("absent", "skipped", why=HOSTILE),
    verdict("broken", "error", why="KeyError: 1"),
)


def test_text_shows_each_verdict_and_the_failures_in_full() -> None:
    text = as_text(ALL)
    lines = text.splitlines()
    assert "  ✓ good: The rule of good. [12 ms]" in lines
    assert "  ✗ bad: The rule of bad." in lines
    assert "  ✗ weak (should): The rule of weak." in lines
    assert any(line.startswith("  – absent: The rule of absent. (") for line in lines)
    assert "  expected: an A record" in lines
    assert "  could not be judged: KeyError: 1" in lines
    assert lines.count(";web.shop.\tIN\tA") + lines.count("  ;web.shop.\tIN\tA") == 1
    assert "  5 octets, unreadable (short): 0000000000" in lines
    assert lines[-1] == (
        "1 of 5 clauses passed, 1 failed that must hold, 1 failed that should, 1 skipped, "
        "1 could not be judged; 1.5 s."
    )
    assert "\x1b" not in text
    assert "\x1b[31m✗" in as_text(ALL, coloured=True)


def test_text_shows_the_first_lines_of_a_long_reply() -> None:
    seen = "\n".join(f"line {number}" for number in range(100))
    lines = as_text(report(verdict("long", "failed", seen=seen))).splitlines()
    assert "  line 23" in lines
    assert "  line 24" not in lines
    assert "  … 76 more lines; --report json has them all" in lines


def test_json_has_everything_and_evidence_of_failures() -> None:
    said = json.loads(as_json(ALL))
    assert said["passed"] is False
    assert said["counts"] == {"passed": 1, "failed": 2, "skipped": 1, "error": 1}
    by_id = {one["id"]: one for one in said["clauses"]}
    assert by_id["good"]["notes"] == ["12 ms"]
    assert "evidence" not in by_id["good"]
    assert by_id["bad"]["seen"] == HOSTILE
    assert by_id["bad"]["evidence"][0]["transport"] == "udp"


def test_junit_is_well_formed_and_only_musts_fail() -> None:
    root = ElementTree.fromstring(as_junit(ALL))
    assert root.attrib["failures"] == "1"
    [suite] = root
    assert suite.attrib["name"] == "A & B"
    assert {key: suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "1", "skipped": "2",
    }  # fmt: skip
    inside = {one.attrib["name"].partition(":")[0]: [each.tag for each in one] for one in suite}
    assert inside == {
        "good": ["system-out"], "bad": ["failure"], "weak": ["skipped"], "absent": ["skipped"],
        "broken": ["error"],
    }  # fmt: skip
    assert "alert(1)" in suite.find("testcase/failure").text


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for key, value in attrs if key in {"src", "href"}]


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    page = as_page(ALL)
    tags = Tags()
    tags.feed(page)
    assert not {"script", "link", "img", "iframe"} & set(tags.seen)
    assert not tags.links
    assert "default-src 'none'" in page
    assert "&lt;script&gt;alert(1)" in page
    assert tags.seen.count("tr") == 6


@pytest.mark.parametrize(
    ("left", "has_passed"), [((0, 2, 3), True), ((0, 1), False), ((0, 4), False)]
)
def test_only_what_must_hold_decides(left: tuple[int, ...], has_passed: bool) -> None:
    some = report(*(ALL.verdicts[place] for place in left))
    assert some.has_passed() is has_passed
    assert ("could not be judged" in summary(some)) is (4 in left)


def test_the_list_names_every_clause_once() -> None:
    lines = listing(GROUPS).splitlines()
    ids = [found[1] for line in lines if (found := re.match(r"  (\S+)  ", line))]
    assert len(ids) == len(set(ids)) == sum(len(group.clauses) for group in GROUPS)


def test_every_clause_is_named_and_sourced() -> None:
    for group in GROUPS:
        for one in group.clauses:
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", one.id), one.id
            assert len(one.title) > 10
            assert one.source
            assert one.limit_s <= 300
