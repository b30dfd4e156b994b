"""The catalogue is what the code counts, no more, no less, with as many labels; and it is listed."""

import ast
import re
from pathlib import Path

import pytest

from kdns.observe.catalogue import METRICS

TOP = Path(__file__).parents[2]
NAME = re.compile(r"(coredns|kdns|process|python)_[a-z0-9_]+_*[a-z0-9]+")


def counted(top: Path) -> dict[str, str]:
    """Every metric that a literal in the source names, holes of f-strings as a pattern."""
    found = {}
    for path in sorted((top / "kdns").rglob("*.py")):
        if path.name == "catalogue.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            pattern = literal(node)
            if pattern:
                found[pattern] = f"{path.relative_to(top)}:{node.lineno}"
    return found


def literal(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value if NAME.fullmatch(node.value) else ""
    if isinstance(node, ast.JoinedStr):
        parts = [
            re.escape(one.value) if isinstance(one, ast.Constant) else "[a-z]+"
            for one in node.values
        ]
        return "".join(parts) if str(parts[0]).startswith(("coredns_", "kdns_")) else ""
    return ""


def named(pattern: str) -> list[str]:
    return [name for name in METRICS if re.fullmatch(pattern, name)]


def test_what_is_counted_stands_in_the_catalogue():
    missing = {name: where for name, where in counted(TOP).items() if not named(name)}
    assert not missing


def test_what_stands_in_the_catalogue_is_counted():
    used = {name for pattern in counted(TOP) for name in named(pattern)}
    assert not set(METRICS) - used


def test_an_unknown_metric_is_noticed(tmp_path):
    (tmp_path / "kdns").mkdir()
    (tmp_path / "kdns" / "a.py").write_text('c.add("kdns_lost_total")\nc.add(f"kdns_{x}_made")\n')
    assert [name for name in counted(tmp_path) if not named(name)] == [
        "kdns_lost_total", "kdns_[a-z]+_made",
    ]  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_well_formed(name):
    metric = METRICS[name]
    assert name.endswith("_total") == (metric.kind == "counter")
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)
    assert metric.help.endswith(".")
    assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)


def row(name: str) -> str:
    metric = METRICS[name]
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{name}` | {labels} | {metric.help} |"


def test_the_page_of_prometheus_lists_ours():
    """A row for each: name, labels, help."""
    page = TOP / "kdns" / "plugins" / "prometheus.md"
    text = page.read_text(encoding="utf-8")
    listed = {line for line in text.splitlines() if line.startswith("| `kdns_")}
    rows = {row(name) for name in METRICS if name.startswith("kdns_")}
    assert not rows - listed, f"missing in {page}"
    assert not listed - rows, "on the page, but not in the catalogue"


def test_the_pages_list_the_others():
    pages = (TOP / "kdns" / "plugins").glob("*.md")
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    listed = [name for name in METRICS if not name.startswith("kdns_")]
    assert [name for name in listed if f"`{name}" not in text] == []
