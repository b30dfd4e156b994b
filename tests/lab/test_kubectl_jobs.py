"""kubectl itself with Jobs and CronJobs: making, waiting, listing, describing, deleting them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.lab.kubectl import NEEDED, Run, speaking

pytestmark = NEEDED


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Run]:
    async with speaking(tmp_path) as run:
        yield run


def rows(out: str) -> list[list[str]]:
    """A table's lines, by columns."""
    return [re.split(r" {2,}", line.rstrip()) for line in out.splitlines()]


async def until(kubectl: Run, command: str, claim: Callable[[str], bool]) -> None:
    """Asks until an answer is as it should be."""
    async with asyncio.timeout(60):
        while not claim(await kubectl(command)):
            await asyncio.sleep(0.05)


async def test_a_job_is_made_waited_for_and_described(kubectl: Run) -> None:
    command = "create job pi --image=busybox -- nslookup web.shop"
    assert await kubectl(command) == "job.batch/pi created\n"
    out = await kubectl("wait --for=condition=complete job/pi --timeout=60s")
    assert out == "job.batch/pi condition met\n"
    head, row = rows(await kubectl("get jobs"))
    assert head == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert row[:3] == ["pi", "Complete", "1/1"]
    out = await kubectl("describe job pi")
    told = {" ".join(line.split()) for line in out.splitlines()}
    assert {
        "Parallelism: 1", "Completions: 1", "Completion Mode: NonIndexed", "Suspend: false",
        "Backoff Limit: 6", "Pods Statuses: 0 Active (0 Ready) / 1 Succeeded / 0 Failed",
    } <= told  # fmt: skip
    assert re.search(r"Normal +SuccessfulCreate .* job-controller +Created pod: pi-\w{5}\n", out)
    assert re.search(r"Normal +Completed .* job-controller +Job completed\n", out)
    _, row = rows(await kubectl("get pods -l job-name=pi"))
    assert row[1:3] == ["0/1", "Completed"]
    assert "pi" in await kubectl("get all")
    assert 'job.batch "pi" deleted' in await kubectl("delete job pi")
    await until(kubectl, "get pods -o jsonpath={.items[*].metadata.name}", lambda out: out == "")


async def test_a_job_of_a_file_is_applied_changed_and_refused(kubectl: Run) -> None:
    inside = {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "busybox"}]}
    made = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "many"},
        "spec": {"completions": 3, "parallelism": 3, "template": {
            "metadata": {"annotations": {"lab.kdns.io/ready": "false"}}, "spec": inside}},
    }  # fmt: skip
    assert await kubectl("apply", made) == "job.batch/many created\n"
    assert await kubectl("apply", made) == "job.batch/many unchanged\n"
    await kubectl("""patch job many --type=strategic -p '{"spec":{"parallelism":2}}'""")
    await kubectl("wait --for=jsonpath={.status.active}=2 job/many --timeout=60s")
    await kubectl("""patch job many -p '{"spec":{"suspend":true}}'""")
    out = await kubectl("wait --for=condition=Suspended job/many --timeout=60s")
    assert out == "job.batch/many condition met\n"
    assert rows(await kubectl("get job many"))[1][:3] == ["many", "Suspended", "0/3"]
    inside["containers"][0]["image"] = "busybox:2"  # type: ignore[index]
    assert "field is immutable" in await kubectl("apply", made, code=1)
    inside["restartPolicy"] = "Always"
    made["metadata"] = {"name": "other"}
    out = await kubectl("apply", made, code=1)
    assert out == (
        'The Job "other" is invalid: spec.template.spec.restartPolicy: '
        'Required value: valid values: "OnFailure", "Never"\n'
    )


async def test_a_cron_job_is_made_listed_and_run_by_hand(kubectl: Run) -> None:
    command = """create cronjob tick --image=busybox --schedule="0 0 1 1 *" -- date"""
    assert await kubectl(command) == "cronjob.batch/tick created\n"
    head, row = rows(await kubectl("get cj"))
    assert head == ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"]
    assert row[:6] == ["tick", "0 0 1 1 *", "<none>", "False", "0", "<none>"]
    out = await kubectl("create job now --from=cronjob/tick")
    assert out == "job.batch/now created\n"
    await kubectl("wait --for=condition=complete job/now --timeout=60s")
    owner = "get job now -o jsonpath={.metadata.ownerReferences[0].name}"
    assert await kubectl(owner) == "tick"
    assert "Schedule:" in await kubectl("describe cronjob tick")
    await kubectl("""patch cronjob tick -p '{"spec":{"schedule":"@every 1s","timeZone":"UTC"}}'""")
    await until(kubectl, "get cj tick -o jsonpath={.status.lastScheduleTime}", bool)
    out = await kubectl("get cronjobs,jobs")
    assert re.search(r"cronjob.batch/tick +@every 1s +UTC +False +\d +\d+s ", out)
    assert re.search(r"job.batch/tick-\d+ +(Complete +1/1|Running +0/1) ", out)
    out = await kubectl("""patch cronjob tick -p '{"spec":{"schedule":"* * *"}}'""", code=1)
    assert "expected exactly 5 fields, found 3: [* * *]" in out
    await kubectl("delete cronjob tick")
    await until(kubectl, "get jobs -o jsonpath={.items[*].metadata.name}", lambda out: out == "")


async def test_fields_are_explained_and_kinds_are_listed(kubectl: Run) -> None:
    assert "backoffLimit" in await kubectl("explain job.spec")
    listed = await kubectl("api-resources --api-group=batch --no-headers")
    assert [line.split() for line in listed.splitlines()] == [
        ["cronjobs", "cj", "batch/v1", "true", "CronJob"],
        ["jobs", "batch/v1", "true", "Job"],
    ]


async def test_a_delete_that_does_not_speak_of_pods_leaves_them(kubectl: Run) -> None:
    """Not kubectl's own, which deletes them in the background."""
    await kubectl("create job pi --image=busybox -- date")
    await kubectl("wait --for=condition=complete job/pi --timeout=60s")
    server = await kubectl("config view --minify -o jsonpath={.clusters[0].cluster.server}")
    way = urlsplit(server).path  # a raw call takes nothing of it
    out = await kubectl(f"delete --raw {way}/apis/batch/v1/namespaces/default/jobs/pi")
    assert "Warning: child pods are preserved by default when jobs are deleted" in out
    owners = "get pods -o jsonpath={.items[*].metadata.ownerReferences}"
    await until(kubectl, owners, lambda out: out == "")
    await until(kubectl, "get jobs -o jsonpath={.items[*].metadata.name}", lambda out: out == "")
    assert (await kubectl("get pods -o name")).startswith("pod/pi-")
