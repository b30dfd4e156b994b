"""Patches: the same result and the same words as a real server, by its recorded answers."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from kdns.lab import patch, resources, schema
from kdns.lab.errors import ApiError
from tests.lab import cases

RECORDED = json.loads((Path(__file__).parent / "recorded" / "patches.json").read_text("utf-8"))


@pytest.mark.parametrize("title", cases.PATCHES)
def test_patch_gives_what_a_server_gives(title: str) -> None:
    base, media, change = cases.PATCHES[title]
    before = RECORDED["bases"][base]
    answer = RECORDED["answers"][title]
    kind = schema.type_of(before["apiVersion"], before["kind"])
    kept = copy.deepcopy(before)
    try:
        found: Any = schema.known(patch.apply(media, before, change, kind), kind)
    except ApiError as error:
        found = {
            "message": error.message,
            "reason": error.reason,
            "causes": [cause["reason"] for cause in error.details.get("causes", [])],
        }
        assert (error.code, found) == (answer["code"], answer["body"])
        return
    finally:
        assert before == kept, "a patch changes its copy only"
    resource = resources.by_kind(before["apiVersion"], before["kind"])
    assert resource is not None
    resource.rules.default(found)
    assert (200, found) == (answer["code"], answer["body"])


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"ports": ["x"]}},
        {"spec": {"$setElementOrder/ports": ["x"]}},
        {"spec": {"$retainKeys": "x"}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": {"a": 1}}},
    ],
)
def test_directives_of_the_wrong_form_are_bad_requests(change: dict[str, Any]) -> None:
    before = RECORDED["bases"]["service"]
    kind = schema.type_of("v1", "Service")
    with pytest.raises(ApiError) as error:
        patch.apply(cases.STRATEGIC, before, change, kind)
    assert error.value.code == 400


def test_values_merge_once_each() -> None:
    before = RECORDED["bases"]["service"]
    change = {"metadata": {"finalizers": ["lab.test/a", "x/y", "x/y", {"z": 1}]}}
    found = patch.apply(cases.STRATEGIC, before, change, schema.type_of("v1", "Service"))
    assert found["metadata"]["finalizers"].count("x/y") == 1
