"""Verdicts become a report for machines: counts, JSON, JUnit XML.

The texts of a failing server are hostile: what XML cannot hold is replaced before it is escaped.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from kdns.conformance.clauses import Verdict

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Report:
    """All verdicts on one server."""

    server: str
    zone: str
    began: str
    """In UTC, as RFC 3339 writes it."""
    took_s: float
    verdicts: Sequence[Verdict]
    remarks: tuple[str, ...] = ()
    """What a reader should know of the run: objects were not served in time, leftovers removed."""

    def counts(self) -> Counter[str]:
        """How many verdicts of each outcome there are."""
        return Counter(verdict.outcome for verdict in self.verdicts)

    def has_passed(self) -> bool:
        """True when no must-clause failed, and none could not be judged."""
        return not any(
            verdict.outcome == "error"
            or (verdict.outcome == "failed" and verdict.clause.level == "must")
            for verdict in self.verdicts
        )

    def by_group(self) -> dict[str, list[Verdict]]:
        """The verdicts of each group, in order."""
        found: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            found.setdefault(verdict.group, []).append(verdict)
        return found


def summary(report: Report) -> str:
    """One sentence."""
    counts = report.counts()
    failed = [one for one in report.verdicts if one.outcome == "failed"]
    must = sum(one.clause.level == "must" for one in failed)
    parts = [
        f"{counts['passed']} of {len(report.verdicts)} clauses passed",
        f"{must} failed that must hold",
        f"{len(failed) - must} failed that should",
        f"{counts['skipped']} skipped",
    ]
    if counts["error"]:
        parts.append(f"{counts['error']} could not be judged")
    return ", ".join(parts) + f"; {report.took_s:.1f} s"


def as_json(report: Report) -> str:
    """Everything, evidence of what failed included."""
    return json.dumps(
        {
            "server": report.server,
            "zone": report.zone,
            "began": report.began,
            "took_s": round(report.took_s, 3),
            "passed": report.has_passed(),
            "counts": dict(report.counts()),
            "remarks": list(report.remarks),
            "clauses": [_entry(verdict) for verdict in report.verdicts],
        },
        ensure_ascii=False,
        indent=1,
    )


def _entry(verdict: Verdict) -> dict[str, object]:
    clause = verdict.clause
    entry: dict[str, object] = {
        "id": clause.id,
        "group": verdict.group,
        "title": clause.title,
        "source": clause.source,
        "level": clause.level,
        "outcome": verdict.outcome,
        "took_s": round(verdict.took_s, 4),
    }
    said = {"expected": verdict.expected, "seen": verdict.seen, "why": verdict.why}
    entry |= {key: value for key, value in said.items() if value}
    if verdict.notes:
        entry["notes"] = list(verdict.notes)
    if verdict.outcome in {"failed", "error"}:
        entry["evidence"] = [
            {
                "question": one.question,
                "reply": one.reply,
                "transport": one.transport,
                "took_s": round(one.took_s, 4),
            }
            for one in verdict.evidence
        ]
    return entry


def as_junit(report: Report) -> str:
    """A test suite per group. What only should hold is skipped, not failed, where it does not."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    failed = sum(map(_breaks, report.verdicts))
    counts = report.counts()
    lines.append(
        f'<testsuites name="kdns conformance" tests="{len(report.verdicts)}" failures="{failed}"'
        f' errors="{counts["error"]}" time="{report.took_s:.3f}">'
    )
    for group, verdicts in report.by_group().items():
        lines += _suite(report, group, verdicts)
    return "\n".join([*lines, "</testsuites>"])


def _suite(report: Report, group: str, verdicts: list[Verdict]) -> list[str]:
    skipped = sum(one.outcome == "skipped" or _only_should(one) for one in verdicts)
    errors = sum(one.outcome == "error" for one in verdicts)
    took = sum(one.took_s for one in verdicts)
    head = (
        f" <testsuite name={_attribute(group)} hostname={_attribute(report.server)}"
        f' tests="{len(verdicts)}" failures="{sum(map(_breaks, verdicts))}" errors="{errors}"'
        f' skipped="{skipped}" time="{took:.3f}" timestamp={_attribute(report.began)}>'
    )
    return [head, *(line for one in verdicts for line in _case(group, one)), " </testsuite>"]


def _case(group: str, verdict: Verdict) -> list[str]:
    clause = verdict.clause
    head = (
        f"  <testcase classname={_attribute(group)}"
        f' name={_attribute(f"{clause.id}: {clause.title}")} time="{verdict.took_s:.3f}"'
    )
    inside = _inside(verdict)
    return [f"{head}>", *inside, "  </testcase>"] if inside else [f"{head}/>"]


def _inside(verdict: Verdict) -> list[str]:
    said = f"expected {verdict.expected} ({verdict.clause.source})"
    lines = []
    if _breaks(verdict):
        lines.append(f"   <failure message={_attribute(said)}>{_text(evidence(verdict))}</failure>")
    elif _only_should(verdict):
        lines.append(f"   <skipped message={_attribute(f'should: {said}')}/>")
    elif verdict.outcome == "skipped":
        lines.append(f"   <skipped message={_attribute(verdict.why)}/>")
    elif verdict.outcome == "error":
        lines.append(
            f"   <error message={_attribute(verdict.why)}>{_text(evidence(verdict))}</error>"
        )
    if verdict.notes:
        lines.append(f"   <system-out>{_text('; '.join(verdict.notes))}</system-out>")
    return lines


def evidence(verdict: Verdict) -> str:
    """What was seen, and the last question with its reply."""
    lines = [f"seen: {verdict.seen}"] if verdict.seen else []
    if verdict.evidence:
        last = verdict.evidence[-1]
        lines += [f"asked over {last.transport}:", last.question]
        if last.reply != verdict.seen:
            lines += [f"answered in {last.took_s * 1000:.1f} ms:", last.reply]
    return "\n".join(lines)


def _breaks(verdict: Verdict) -> bool:
    return verdict.outcome == "failed" and verdict.clause.level == "must"


def _only_should(verdict: Verdict) -> bool:
    return verdict.outcome == "failed" and verdict.clause.level == "should"


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("�", text))


def _text(text: str) -> str:
    return escape(_NO_XML.sub("�", text))
