"""Verdicts become one HTML page without outside parts; every text in it is escaped."""

from html import escape

from kdns.conformance.clauses import Verdict
from kdns.conformance.report import Report, evidence, summary
from kdns.conformance.text import SIGNS

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid #8884; }
th { font-weight: 600; } td.sign { width: 1.5rem; font-weight: 700; }
.passed .sign { color: #18794e; } .failed .sign, .error .sign { color: #d13438; }
.skipped { opacity: .7; } small { opacity: .75; }
code, pre { font-family: ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .6rem; }
@media (prefers-color-scheme: dark) { .passed .sign { color: #4cc38a; }
  .failed .sign, .error .sign { color: #ff8a8d; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_page(report: Report) -> str:
    """The whole page."""
    title = f"Conformance of {escape(report.server)}"
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in report.remarks)
    groups = "".join(_group(*each) for each in report.by_group().items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{title}</h1><p>{escape(summary(report))}.</p>"
        f"<p><small>Zone {escape(report.zone)}, {escape(report.began)}</small></p>{remarks}"
        f"{groups}</main></body></html>\n"
    )


def _group(title: str, verdicts: list[Verdict]) -> str:
    head = '<tr><th></th><th scope="col">Clause</th><th scope="col">Rule</th></tr>'
    rows = "".join(map(_row, verdicts))
    return f"<h2>{escape(title)}</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _row(verdict: Verdict) -> str:
    clause, outcome = verdict.clause, verdict.outcome
    said = [f"{escape(clause.title)} <small><code>{escape(clause.id)}</code></small>"]
    if verdict.why:
        said.append(f"<small>{escape(verdict.why)}</small>")
    if verdict.notes:
        said.append(f"<small>{escape('; '.join(verdict.notes))}</small>")
    if outcome in {"failed", "error"}:
        said.append(f"<small>expected {escape(verdict.expected)}</small>")
        shown = escape(evidence(verdict))
        said.append(f"<details><summary>What was seen</summary><pre>{shown}</pre></details>")
    sign = f'<td class="sign" aria-label="{outcome}">{SIGNS[outcome]}</td>'
    rule = f"<td>{escape(clause.source)}<br><small>{clause.level}</small></td>"
    return f'<tr class="{outcome}">{sign}<td>{"<br>".join(said)}</td>{rule}</tr>'
