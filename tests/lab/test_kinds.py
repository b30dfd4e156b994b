"""Every kind: defaults, refusals and their words are those of a real server, by its answers."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdns.lab import patch, resources, schema
from kdns.lab.errors import ApiError, bad_request
from kdns.lab.storage import Storage
from tests.lab import cases

HERE = Path(__file__).parent
CREATES = yaml.safe_load((HERE / "creates.yaml").read_text("utf-8"))
UPDATES = {
    f"{title}: {name}": (case["object"], change)
    for title, case in yaml.safe_load((HERE / "updates.yaml").read_text("utf-8")).items()
    for name, change in case["patches"].items()
}
RECORDED = {
    name: json.loads((HERE / "recorded" / f"{name}.json").read_text("utf-8"))
    for name in ("creates", "updates")
}

ANY_ADDRESS = {"10.96.0.0": "10.", "fd00:96::": "fd00:10:96:"}
"""A server that is only asked gives the first of a range; the lab gives one of its own range."""

DIFFERENT = {
    "service node port out of range": "a server that is only asked allocates nothing",
    "service address out of range": "the ranges differ",
    "claim": "nothing protects claims",
    "pod volumes": "service accounts are not given to pods",
    "pod: hostname changed": "the difference of the two specs is not shown",
    "pod: node changed": "the difference of the two specs is not shown",
    "service: name changed": "the API compares the name, not the storage",
    "job: image changed": "the template is not shown as a server has it inside",
    "job suspended: image changed": "the template is not shown as a server has it inside",
    "job: failure policy changed": "the policy is not shown as a server has it inside",
}


def storage() -> Storage:
    numbers = itertools.count(1)
    found = Storage(now=lambda: 1.7e9, uid=lambda: f"u-{next(numbers)}")
    found.create(resources.NAMESPACES, "", {"metadata": {"name": "lab-record"}})
    return found


def plain(obj: dict[str, Any]) -> dict[str, Any]:
    """An object as record.py keeps it."""
    dropped = {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in dropped}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


def refused(error: ApiError) -> dict[str, Any]:
    """A refusal as record.py keeps it."""
    causes = [cause["reason"] for cause in error.details.get("causes", [])]
    return {"message": error.message, "reason": error.reason, "causes": causes}


def read(obj: dict[str, Any]) -> dict[str, Any]:
    """An object as the API reads it."""
    kind = schema.type_of(obj["apiVersion"], obj["kind"])
    wrong = schema.misfit(obj, kind)
    if wrong:
        what = obj["kind"]
        raise bad_request(f'{what} in version "v1" cannot be handled as a {what}: {wrong}')
    return schema.known(obj, kind)


def same_uids(body: dict[str, Any]) -> Any:
    """A body whose uids are all the same: Jobs have theirs in labels."""
    text = json.dumps(body)
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|u-[0-9]+", "uid", text))


def give_any_addresses(found: dict[str, Any], recorded: dict[str, Any]) -> None:
    """Writes the recorded addresses over those that the lab chose, if they are of its ranges."""
    told = recorded.get("spec", {}).get("clusterIPs") or []
    for place, address in enumerate(told):
        prefix = ANY_ADDRESS.get(address)
        if prefix is not None:
            assert found["spec"]["clusterIPs"][place].startswith(prefix)
            found["spec"]["clusterIPs"][place] = address
            if place == 0:
                assert found["spec"]["clusterIP"].startswith(prefix)
                found["spec"]["clusterIP"] = address


@pytest.mark.parametrize("title", [title for title in CREATES if title not in DIFFERENT])
def test_create_does_what_a_server_does(title: str) -> None:
    obj, recorded = CREATES[title], RECORDED["creates"][title]
    resource = resources.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    wanted = same_uids(recorded["body"])
    try:
        found = same_uids(plain(storage().create(resource, "lab-record", read(obj))))
    except ApiError as error:
        assert (error.code, same_uids(refused(error))) == (recorded["code"], wanted)
        return
    give_any_addresses(found, wanted)
    assert (201, found) == (recorded["code"], wanted)


@pytest.mark.parametrize("title", [title for title in UPDATES if title not in DIFFERENT])
def test_update_does_what_a_server_does(title: str) -> None:
    (obj, change), recorded = UPDATES[title], RECORDED["updates"][title]
    wanted = same_uids(recorded["body"])
    resource = resources.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    there = storage()
    before = there.create(resource, "lab-record", read(obj))
    kind = schema.type_of(obj["apiVersion"], obj["kind"])
    name = obj["metadata"]["name"]
    try:
        new = schema.known(patch.apply(cases.MERGE, before, change, kind), kind)
        found = same_uids(plain(there.update(resource, "lab-record", name, new)))
    except ApiError as error:
        assert (error.code, same_uids(refused(error))) == (recorded["code"], wanted)
        return
    give_any_addresses(found, wanted)
    found["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    wanted["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    for body in (found, wanted):
        if not body["metadata"].get("annotations", True):
            del body["metadata"]["annotations"]
    assert (200, found) == (recorded["code"], wanted)
