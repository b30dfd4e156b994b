"""Verdicts become text for a terminal: a line for each clause, and what failed in full below."""

import re
from collections.abc import Sequence
from textwrap import indent

from kdns.conformance.clauses import Clause, Group, Verdict
from kdns.conformance.report import Report, evidence, summary
from kdns.wire.shown import plain

SIGNS = {"passed": "✓", "failed": "✗", "skipped": "–", "error": "!"}
_MOST = 24
"""Lines of evidence."""
_COLOURS = {"passed": "32", "failed": "31", "skipped": "2", "error": "35"}


def as_text(report: Report, *, coloured: bool = False) -> str:
    """The whole report."""
    lines = [f"{report.server}, zone {report.zone} ({report.began})"]
    lines += [f"  {remark}" for remark in report.remarks]
    for group, verdicts in report.by_group().items():
        lines += ["", group, *(_line(verdict, coloured=coloured) for verdict in verdicts)]
    failed = [one for one in report.verdicts if one.outcome in {"failed", "error"}]
    for verdict in failed:
        lines += ["", *_failure(verdict)]
    return "\n".join([*lines, "", summary(report) + "."])


def _line(verdict: Verdict, *, coloured: bool) -> str:
    sign, clause = SIGNS[verdict.outcome], verdict.clause
    if coloured:
        sign = f"\x1b[{_COLOURS[verdict.outcome]}m{sign}\x1b[0m"
    more = f" ({plain(verdict.why)})" if verdict.outcome == "skipped" else ""
    if verdict.notes:
        more = f" [{'; '.join(verdict.notes)}]"
    mark = "" if clause.level == "must" else " (should)"
    return f"  {sign} {clause.id}{mark}: {clause.title}{more}"


def _failure(verdict: Verdict) -> list[str]:
    clause = verdict.clause
    lines = [
        f"{SIGNS[verdict.outcome]} {clause.id}: {clause.title}",
        f"  rule:     {clause.source} ({clause.level})",
    ]
    if verdict.why:
        lines.append(f"  could not be judged: {plain(verdict.why)}")
    if verdict.expected:
        lines.append(f"  expected: {plain(verdict.expected)}")
    return [*lines, indent(_short(_lines(evidence(verdict))), "  ")]


def _short(text: str) -> str:
    """The first lines; a reply may have hundreds."""
    lines = text.splitlines()
    left = len(lines) - _MOST
    if left <= 1:
        return text
    return "\n".join([*lines[:_MOST], f"… {left} more lines; --report json has them all"])


def _lines(text: str) -> str:
    """Line by line what a terminal does nothing else with: a server's octets may be in it."""
    return re.sub(r"[^\n\t]+", lambda piece: plain(piece[0]), text)


def listing(groups: Sequence[Group]) -> str:
    """All clauses, for `--list`."""
    lines: list[str] = []
    for group in groups:
        lines += [*([""] if lines else []), group.title]
        lines += [f"  {one.id}  {one.title} ({_words(one)})" for one in group.clauses]
    return "\n".join(lines)


def _words(clause: Clause) -> str:
    needs = f"; needs {', '.join(sorted(clause.needs))}" if clause.needs else ""
    return f"{clause.level}, {clause.source}{needs}"
