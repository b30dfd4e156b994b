"""Tables: columns and cells are those of a real server, by its recorded rows."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kdns.lab import resources, tables

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "recorded" / "tables.json").read_text("utf-8"))
AGES = {"Age", "Last Seen", "First Seen"}


def resource_of(obj: dict[str, Any]) -> resources.Resource:
    found = resources.by_kind(obj["apiVersion"], obj["kind"])
    assert found is not None
    return found


@pytest.mark.parametrize("title", RECORDED)
def test_columns_are_those_of_a_server(title: str) -> None:
    recorded = RECORDED[title]
    columns = resource_of(recorded["object"]).rules.columns
    found = [[one.name, one.type, one.format, one.priority] for one in columns]
    assert found == recorded["columns"]


@pytest.mark.parametrize("title", RECORDED)
def test_cells_are_those_of_a_server(title: str) -> None:
    recorded = RECORDED[title]
    obj = recorded["object"]
    made = datetime.fromisoformat(obj["metadata"]["creationTimestamp"]).timestamp()
    cells = resource_of(obj).rules.cells(obj, made + 1)
    for (name, *_), found, wanted in zip(
        recorded["columns"], cells, recorded["cells"], strict=True
    ):
        if name in AGES:
            assert re.fullmatch(r"<unknown>|(\d+[smhdy]){1,2}", found), name
            assert (found == "<unknown>") == (wanted == "<unknown>"), name
        else:
            assert (name, found) == (name, wanted)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (121, "2m1s"),
        (599, "9m59s"), (600, "10m"), (10799, "179m"), (10800, "3h"), (10860, "3h1m"),
        (28799, "7h59m"), (28800, "8h"), (172799, "47h"), (172800, "2d"), (180000, "2d2h"),
        (691199, "7d23h"), (691200, "8d"), (86400 * 729, "729d"), (86400 * 730, "2y"),
        (86400 * 800, "2y70d"), (86400 * 365 * 8, "8y"), (86400 * 365 * 9, "9y"),
    ],
)  # fmt: skip
def test_ages_have_two_units_at_most(seconds: int, text: str) -> None:
    assert tables.duration(seconds) == text
