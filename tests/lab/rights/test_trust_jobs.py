"""Jobs and CronJobs of others than the admin: who may write them, and whose mark they bear."""

import json
from collections.abc import AsyncIterator

import pytest

from kdns.lab.errors import Obj
from kdns.lab.lab import Lab
from kdns.lab.rights import defaults
from kdns.lab.rights.trust import MARK, author, is_trusted
from tests.lab.rights.people import account, asking, sent, two
from tests.lab.serving import Client

BOT = "system:serviceaccount:default:bot"
BATCH = "/apis/batch/v1/namespaces/default"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
Pair = tuple[Client, Client]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with two(has_controllers=False) as found:
        yield found


def job(command: str = "mine") -> Obj:
    container = {"name": "c", "image": "busybox", "command": [command]}
    inside = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": "j"}, "spec": {"template": inside}}


def cronjob(command: str = "mine") -> Obj:
    spec = {"schedule": "@daily", "jobTemplate": {"spec": job(command)["spec"]}}
    return {"metadata": {"name": "c"}, "spec": spec}


def of(obj: Obj) -> Obj:
    """The template of pods."""
    spec = obj["spec"] if obj["kind"] == "Job" else obj["spec"]["jobTemplate"]["spec"]
    return spec["template"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("plural", "made"), [("jobs", job()), ("cronjobs", cronjob())])
async def test_what_each_of_two_makes_is_his(pair: Pair, plural: str, made: Obj) -> None:
    admin, bot = pair
    assert is_trusted(of(await sent(admin, "POST", f"{BATCH}/{plural}", made)))
    named = {**made, "metadata": {"name": "his"}}
    assert author(of(await sent(bot, "POST", f"{BATCH}/{plural}", named))) == BOT


async def test_no_patch_takes_the_mark_off_a_cron_job(pair: Pair) -> None:
    admin, bot = pair
    path = f"{BATCH}/cronjobs"
    await sent(bot, "POST", path, cronjob())
    whole = cronjob()["spec"]["jobTemplate"]

    def inside(template: Obj) -> Obj:
        return {"spec": {"jobTemplate": {"spec": {"template": template}}}}

    for client in (bot, admin):
        for media, change in [
            (MERGE, inside({"metadata": {"annotations": None}})),
            (STRATEGIC, inside({"metadata": {"annotations": {MARK: None}}})),
            (STRATEGIC, {"spec": {"jobTemplate": {**whole, "$patch": "replace"}}}),
            (JSON, [{"op": "replace", "path": "/spec/jobTemplate", "value": whole}]),
            (MERGE, {"spec": {"schedule": "@hourly"}}),
        ]:
            after = await sent(client, "PATCH", f"{path}/c", json.dumps(change).encode(), media)
            assert author(of(after)) == BOT, (media, change)


async def test_another_who_changes_what_a_cron_job_does_marks_it(pair: Pair) -> None:
    admin, bot = pair
    path = f"{BATCH}/cronjobs"
    await sent(admin, "POST", path, cronjob())
    later = {"spec": {"schedule": "@hourly", "suspend": True}}
    assert is_trusted(of(await sent(bot, "PATCH", f"{path}/c", later, MERGE)))
    evil = {"spec": {"jobTemplate": {"spec": cronjob("evil")["spec"]["jobTemplate"]["spec"]}}}
    assert author(of(await sent(bot, "PATCH", f"{path}/c", evil, MERGE))) == BOT
    back = {"spec": cronjob()["spec"]}
    assert author(of(await sent(bot, "PATCH", f"{path}/c", back, MERGE))) == BOT
    assert is_trusted(of(await sent(admin, "PUT", f"{path}/c", cronjob())))


async def test_a_job_made_from_anothers_cron_job_is_his(pair: Pair) -> None:
    """As `kubectl create job --from` does it: the client copies the template."""
    admin, bot = pair
    theirs = await sent(bot, "POST", f"{BATCH}/cronjobs", cronjob("evil"))
    made = {"metadata": {"name": "now"}, "spec": theirs["spec"]["jobTemplate"]["spec"]}
    assert author(of(await sent(admin, "POST", f"{BATCH}/jobs", made))) == BOT
    mine = await sent(admin, "PUT", f"{BATCH}/cronjobs/c", cronjob())
    made = {"metadata": {"name": "then"}, "spec": mine["spec"]["jobTemplate"]["spec"]}
    assert author(of(await sent(bot, "POST", f"{BATCH}/jobs", made))) == BOT


async def test_who_may_edit_may_write_jobs_who_may_view_may_read_them() -> None:
    async with Lab(has_controllers=False) as lab:
        defaults.furnish(lab.storage)
        writer, reader = (account(lab, role, role=role) for role in ("edit", "view"))
        async with asking(lab, writer) as one, asking(lab, reader) as other:
            for plural, made in (("jobs", job()), ("cronjobs", cronjob())):
                path = f"{BATCH}/{plural}"
                name = made["metadata"]["name"]
                assert (await other.ask("POST", path, made))[0] == 403
                await sent(one, "POST", path, made)
                assert (await other.ask("GET", f"{path}/{name}"))[0] == 200
                assert (await other.ask("GET", f"{path}/{name}/status"))[0] == 200
                assert (await one.ask("PUT", f"{path}/{name}/status", made))[0] == 403
