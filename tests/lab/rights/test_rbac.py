"""The lab says of every request what a real control plane said (`recorded.json`, by `record`)."""

import json
from pathlib import Path
from typing import Any

import aiohttp

from kdns.lab.lab import Lab
from tests.lab.rights.cases import REQUESTS
from tests.lab.rights.record import answers

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())


def test_every_request_is_recorded() -> None:
    asked = [f"{who} {method} {path}" for who, method, path, _ in REQUESTS]
    assert asked == [one["ask"] for one in RECORDED]


def sorted_rules(one: dict[str, Any]) -> dict[str, Any]:
    """The order of rules is that of a real server's cache: any."""
    status = one.get("status") or {}
    for key in ("resourceRules", "nonResourceRules"):
        if key in status:
            status[key] = sorted(status[key], key=lambda rule: json.dumps(rule, sort_keys=True))
    return one


async def test_the_lab_answers_as_a_real_control_plane() -> None:
    async with Lab() as lab, aiohttp.ClientSession(lab.url) as session:
        found = await answers(session, lab.token)
    assert len(found) == len(RECORDED)
    for mine, theirs in zip(found, RECORDED, strict=True):
        asked = theirs["ask"]
        wanted = {key: one for key, one in theirs.items() if key != "ask"}
        assert sorted_rules(mine) == sorted_rules(wanted), asked
