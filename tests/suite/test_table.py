"""Reports become the table of servers, and what each of them fails."""

from pathlib import Path

from kdns.conformance.catalogue import GROUPS
from kdns.conformance.clauses import Clause, Outcome, Verdict
from kdns.conformance.report import Report
from tests import pages
from tests.suite.table import MAKER, PAGE, Peer, failures, table, write


async def nothing(_: object) -> None:
    """A check."""


def verdict(group: str, id_: str, outcome: Outcome) -> Verdict:
    return Verdict(Clause(id_, f"What {id_} asks for.", "RFC 1", nothing), group, outcome)


def report(*verdicts: Verdict) -> Report:
    return Report("127.0.0.1:53", "cluster.local.", "", 0.0, verdicts)


REPORTS = {
    "kdns": report(
        verdict("Zone", "z-one", "passed"),
        verdict("Wire", "w-one", "passed"),
        verdict("Wire", "w-two", "skipped"),
    ),
    "Other 1.0": report(verdict("Wire", "w-one", "failed"), verdict("Wire", "w-two", "passed")),
}
TABLE = """\
| clauses | kdns | Other 1.0 |
|---|---|---|
| Zone | all 1 |  |
| Wire | all 1 | 1 of 2 |"""
FAILURES = """\
* kdns: not tried: `w-two`
* Other 1.0: `w-one`: What w-one asks for. (RFC 1)"""


def test_a_table_has_a_row_for_each_group_and_a_column_for_each_server() -> None:
    assert table(REPORTS) == TABLE


def test_what_fails_and_what_is_not_tried_is_named() -> None:
    assert failures(REPORTS) == FAILURES


def test_a_table_replaces_the_one_before(tmp_path: Path) -> None:
    page, readme = tmp_path / "page.md", tmp_path / "README.md"
    for each in (page, readme):
        each.write_text("before\n" + "\nold\n".join(pages.marks(MAKER)) + "\nafter\n")
    write(REPORTS, page, readme)
    write(REPORTS, page, readme)
    assert pages.written(page, MAKER) == f"{TABLE}\n\n{FAILURES}"
    assert pages.written(readme, MAKER) == TABLE
    assert readme.read_text().endswith("\nafter\n")


def test_a_server_s_version_is_asked_of_itself() -> None:
    assert Peer("Other", ("echo", "Other-DNS, version 3.2, of 2026")).title() == "Other 3.2"


def test_the_page_speaks_of_every_group() -> None:
    rows = {
        pages.first_cell(line) for line in pages.written(PAGE, MAKER).splitlines() if "|" in line
    }
    assert {group.title for group in GROUPS} <= rows
