"""Jobs and CronJobs, step by step: statuses, events and waits are those of a real controller.

What is expected was measured on the control plane of Kubernetes 1.34: the same manifests, pods that
end in the same way.
"""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from kdns.lab.controllers import completions
from kdns.lab.errors import Obj
from kdns.lab.resources import CRONJOBS, EVENTS, JOBS, NAMESPACES, PODS
from kdns.lab.rights.trust import MARK
from kdns.lab.storage import Deletion, timestamp
from tests.lab.driven import EPOCH, Driven

REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
LIMIT = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = ("DeadlineExceeded", "Job was active longer than specified deadline")


@pytest.fixture
def cluster() -> Driven:
    return Driven()


def template(words: dict[str, str] | None = None, restarts: str = "Never") -> Obj:
    """A pod that ends well, unless annotations of the lab say otherwise."""
    told = {f"lab.kdns.io/{key}": text for key, text in (words or {}).items()}
    spec = {"restartPolicy": restarts, "containers": [{"name": "c", "image": "busybox"}]}
    return {"metadata": {"annotations": told}, "spec": spec}


FAILING, WORKING = {"phase": "Failed"}, {"ready": "false"}


def job(
    cluster: Driven, words: dict[str, str] | None = None, restarts: str = "Never", **spec: object
) -> Obj:
    made = {"template": template(words, restarts), **spec}
    return cluster.create(JOBS, {"metadata": {"name": "pi"}, "spec": made})


def status(cluster: Driven) -> Obj:
    return cluster.storage.get(JOBS, "default", "pi")["status"]


def conditions(cluster: Driven) -> list[tuple[str, str, str, str]]:
    keys = ("type", "status", "reason", "message")
    return [tuple(one[key] for key in keys) for one in status(cluster).get("conditions", ())]  # type: ignore[misc]


def told(cluster: Driven, name: str = "pi") -> list[tuple[str, str]]:
    """Types and reasons of the Events about an object, in the order in which they came."""
    found = [one for one in cluster.storage.list(EVENTS, "default")
             if one["involvedObject"]["name"] == name]  # fmt: skip
    found.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
    return [(one["type"], one["reason"]) for one in found]


def at(seconds: float) -> str:
    return timestamp(EPOCH + seconds)


def say(cluster: Driven, pod: str, **words: str) -> None:
    cluster.annotate(pod, **words)
    cluster.pass_s(1)


# Jobs


def test_a_job_runs_its_pod_and_is_complete(cluster: Driven) -> None:
    job(cluster)
    cluster.pass_s(0.2)
    assert status(cluster) == {
        "active": 1, "ready": 0, "startTime": at(0), "terminating": 0,
        "uncountedTerminatedPods": {},
    }  # fmt: skip
    [pod] = cluster.pods()
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    uid = cluster.storage.get(JOBS, "default", "pi")["metadata"]["uid"]
    assert pod["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "pi",
        "controller-uid": uid, "job-name": "pi",
    }  # fmt: skip
    cluster.pass_s()
    [pod] = cluster.pods()
    assert pod["status"]["phase"] == "Succeeded"
    assert "finalizers" not in pod["metadata"]
    found = dict(status(cluster))
    for one in found.pop("conditions"):
        assert one["lastProbeTime"] == one["lastTransitionTime"] == at(0)
    assert found == {
        "completionTime": at(0), "ready": 0, "startTime": at(0), "succeeded": 1,
        "terminating": 0, "uncountedTerminatedPods": {},
    }  # fmt: skip
    assert conditions(cluster) == [
        ("SuccessCriteriaMet", "True", *REACHED),
        ("Complete", "True", *REACHED),
    ]
    assert JOBS.rules.fields(cluster.storage.get(JOBS, "default", "pi")) == {
        "status.successful": "1"
    }
    assert told(cluster) == [("Normal", "SuccessfulCreate"), ("Normal", "Completed")]
    assert {"Job completed", f"Created pod: {pod['metadata']['name']}"} == set(cluster.told("pi"))


def test_a_failed_pod_is_followed_by_others_later_each_time(cluster: Driven) -> None:
    job(cluster, FAILING, backoffLimit=3)
    began = []
    for second in range(120):
        cluster.pass_s(1)
        began += [second] * (len(cluster.pods()) - len(began))
    # a pod fails a tenth of a second after its beginning, and times have whole seconds
    gaps = [after - before for before, after in pairwise(began)]
    assert [round(gap / 10) * 10 for gap in gaps] == [10, 20, 40]
    found = status(cluster)
    assert (found["failed"], found.get("active"), found.get("succeeded")) == (4, None, None)
    assert "completionTime" not in found
    assert conditions(cluster) == [
        ("FailureTarget", "True", *LIMIT),
        ("Failed", "True", *LIMIT),
    ]
    assert told(cluster) == [
        *[("Normal", "SuccessfulCreate")] * 4,
        ("Warning", "BackoffLimitExceeded"),
    ]
    assert all("finalizers" not in pod["metadata"] for pod in cluster.pods())


def test_the_wait_after_failures_ends_with_a_success() -> None:
    ends = [{"metadata": {"creationTimestamp": at(second)}} for second in (0, 5, 9)]
    failures = completions.Tally([], [], [], ends)
    waits = completions.Backoff().after(failures)
    assert waits == (3, EPOCH + 9)
    assert waits.remaining_s(EPOCH + 19) == 30
    assert completions.Backoff(99, EPOCH).remaining_s(EPOCH) == 600
    both = completions.Tally([], [], [ends[1]], ends)
    assert waits.after(both).failures == 1
    assert waits.after(completions.Tally([], [], ends, [])).remaining_s(EPOCH + 10) == 0


def test_a_container_that_is_started_again_too_often_fails_its_job(cluster: Driven) -> None:
    job(cluster, WORKING, "OnFailure", backoffLimit=2)
    cluster.pass_s(1)
    [pod] = cluster.pods()
    state = {**pod["status"]["containerStatuses"][0], "restartCount": 2}
    new = {**pod, "status": {**pod["status"], "containerStatuses": [state]}}
    cluster.storage.update(PODS, "default", pod["metadata"]["name"], new, part="status")
    cluster.pass_s(40)
    assert conditions(cluster)[-1] == ("Failed", "True", *LIMIT)
    assert cluster.pods() == []
    assert status(cluster)["failed"] == 1


def test_a_job_that_takes_too_long_fails_once_its_pods_have_gone(cluster: Driven) -> None:
    job(cluster, WORKING, activeDeadlineSeconds=5, parallelism=2, completions=2)
    cluster.pass_s(4.9)
    assert status(cluster)["active"] == 2
    cluster.pass_s(0.3)
    assert [one[0] for one in conditions(cluster)] == ["FailureTarget"]
    assert status(cluster)["terminating"] == 2
    cluster.pass_s(40)
    found = status(cluster)
    assert (found["failed"], found["terminating"], found.get("active")) == (2, 0, None)
    assert conditions(cluster)[-1] == ("Failed", "True", *LATE)
    assert told(cluster)[2:] == [
        *[("Normal", "SuccessfulDelete")] * 2,
        ("Warning", "DeadlineExceeded"),
    ]


def test_a_pod_that_has_no_node_is_given_up_like_others(cluster: Driven) -> None:
    made = template()
    made["spec"]["nodeSelector"] = {"no": "such"}
    job(cluster, template=made, activeDeadlineSeconds=5)
    cluster.pass_s(4)
    assert [one["status"]["phase"] for one in cluster.pods()] == ["Pending"]
    cluster.pass_s(3)
    assert (cluster.pods(), status(cluster)["failed"]) == ([], 1)
    assert conditions(cluster)[-1] == ("Failed", "True", *LATE)


def test_as_many_pods_at_once_as_wished_until_enough_are_done(cluster: Driven) -> None:
    job(cluster, WORKING, completions=5, parallelism=2)
    most, done = 0, []
    for _ in range(5):
        cluster.pass_s(1)
        at_work = [one["metadata"]["name"] for one in cluster.pods()
                   if one["status"]["phase"] == "Running"]  # fmt: skip
        most = max(most, len(at_work))
        done.append(len(at_work))
        say(cluster, at_work[0], ready="true")
    assert (most, done) == (2, [2, 2, 2, 2, 1])
    assert status(cluster)["succeeded"] == 5
    assert conditions(cluster)[-1][0] == "Complete"


def test_more_or_fewer_at_once_may_be_asked_for_later(cluster: Driven) -> None:
    job(cluster, WORKING, completions=9, parallelism=4)
    cluster.pass_s(1)
    cluster.change(JOBS, "pi", parallelism=1)
    cluster.pass_s(40)
    assert (len(cluster.pods()), status(cluster)["active"]) == (1, 1)
    assert "failed" not in status(cluster)
    cluster.change(JOBS, "pi", parallelism=3)
    cluster.pass_s(1)
    assert status(cluster)["active"] == 3


def test_a_queue_is_done_when_one_has_succeeded_and_nobody_works(cluster: Driven) -> None:
    job(cluster, WORKING, parallelism=3)
    cluster.pass_s(1)
    first, second, third = cluster.names(PODS)
    say(cluster, first, ready="true")
    assert (status(cluster)["active"], status(cluster)["succeeded"]) == (2, 1)
    say(cluster, second, phase="Failed")
    cluster.pass_s(60)
    assert len(cluster.pods()) == 3
    say(cluster, third, ready="true")
    assert (status(cluster)["succeeded"], status(cluster)["failed"]) == (2, 1)
    assert conditions(cluster)[-1][0] == "Complete"


def test_many_pods_are_made_bit_by_bit(cluster: Driven) -> None:
    job(cluster, completions=90, parallelism=90)
    cluster.pass_s(5)
    assert status(cluster)["succeeded"] == 90


def test_pods_of_an_indexed_job_have_numbers(cluster: Driven) -> None:
    job(cluster, WORKING, completions=4, parallelism=2, completionMode="Indexed")
    cluster.pass_s(1)
    zero, one = cluster.pods()
    key = "batch.kubernetes.io/job-completion-index"
    assert [name.rpartition("-")[0] for name in cluster.names(PODS)] == ["pi-0", "pi-1"]
    assert zero["spec"]["hostname"] == "pi-0"
    assert zero["metadata"]["annotations"][key] == zero["metadata"]["labels"][key] == "0"
    assert one["spec"]["containers"][0]["env"] == [
        {
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {
                "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{key}']"}
            },
        }
    ]
    say(cluster, one["metadata"]["name"], ready="true")
    assert status(cluster)["completedIndexes"] == "1"
    say(cluster, zero["metadata"]["name"], phase="Failed")
    cluster.pass_s(15)
    at_work = [pod["spec"]["hostname"] for pod in cluster.pods()
               if pod["status"]["phase"] == "Running"]  # fmt: skip
    assert at_work == ["pi-0", "pi-2"]
    for name in cluster.names(PODS):
        say(cluster, name, ready="true")
    cluster.pass_s(2)
    for name in cluster.names(PODS):
        say(cluster, name, ready="true")
    found = status(cluster)
    assert (found["completedIndexes"], found["succeeded"], found["failed"]) == ("0-3", 4, 1)
    assert conditions(cluster)[-1][0] == "Complete"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((0,), "0"), ((0, 1), "0,1"), ((2, 0, 1), "0-2"), ((0, 2, 3, 4, 9), "0,2-4,9")],
)
def test_indexes_are_listed_as_a_real_controller_lists_them(
    numbers: tuple[int, ...], text: str
) -> None:
    assert completions.listed(numbers) == text
    assert completions.indexes(text, 10) == set(numbers)
    assert completions.indexes(text, 3) == {one for one in numbers if one < 3}


def test_a_job_is_stopped_for_a_while(cluster: Driven) -> None:
    job(cluster, WORKING, suspend=True)
    cluster.pass_s(3)
    assert conditions(cluster) == [("Suspended", "True", "JobSuspended", "Job suspended")]
    assert (cluster.pods(), "startTime" in status(cluster)) == ([], False)
    cluster.change(JOBS, "pi", suspend=False)
    cluster.pass_s(3)
    assert conditions(cluster) == [("Suspended", "False", "JobResumed", "Job resumed")]
    assert (status(cluster)["active"], status(cluster)["startTime"]) == (1, at(3))
    cluster.change(JOBS, "pi", suspend=True)
    cluster.pass_s(40)
    assert conditions(cluster)[0][1] == "True"
    assert cluster.pods() == []
    assert not {"active", "failed"} & status(cluster).keys()
    assert told(cluster) == [
        ("Normal", "SuccessfulCreate"), ("Normal", "Resumed"),
        ("Normal", "SuccessfulDelete"), ("Normal", "Suspended"),
    ]  # fmt: skip


def test_a_pod_that_somebody_deletes_has_failed(cluster: Driven) -> None:
    job(cluster, WORKING)
    cluster.pass_s(1)
    [name] = cluster.names(PODS)
    cluster.storage.delete(PODS, "default", name)
    cluster.pass_s(5)
    assert (cluster.pods(), status(cluster)["failed"]) == ([], 1)
    cluster.pass_s(10)
    assert status(cluster)["active"] == 1
    [name] = cluster.names(PODS)
    cluster.storage.delete(PODS, "default", name, Deletion(grace_s=0))
    cluster.pass_s(1)
    assert (cluster.pods(), status(cluster)["failed"]) == ([], 2)


def test_a_pod_is_replaced_once_it_has_gone_where_that_is_wanted(cluster: Driven) -> None:
    job(cluster, {**WORKING, "stop-after": "5s"}, podReplacementPolicy="Failed")
    cluster.pass_s(1)
    [name] = cluster.names(PODS)
    cluster.storage.delete(PODS, "default", name)
    cluster.pass_s(3)
    assert (status(cluster)["terminating"], "failed" in status(cluster)) == (1, False)
    cluster.pass_s(3)
    assert (cluster.pods(), status(cluster)["failed"], status(cluster)["terminating"]) == ([], 1, 0)
    cluster.pass_s(15)
    assert status(cluster)["active"] == 1


def test_a_job_that_is_over_goes_after_its_time(cluster: Driven) -> None:
    job(cluster, ttlSecondsAfterFinished=30)
    cluster.pass_s(29)
    assert cluster.names(JOBS) == ["pi"]
    cluster.pass_s(3)
    assert (cluster.names(JOBS), cluster.pods()) == ([], [])


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_the_pods_of_a_deleted_job_go(cluster: Driven, propagation: str) -> None:
    job(cluster, WORKING)
    cluster.pass_s(1)
    cluster.storage.delete(JOBS, "default", "pi", Deletion(propagation=propagation))
    cluster.pass_s(40)
    assert (cluster.names(JOBS), cluster.pods()) == ([], [])


def test_the_pods_of_a_job_that_leaves_them_behind_are_free(cluster: Driven) -> None:
    job(cluster, WORKING)
    cluster.pass_s(1)
    cluster.storage.delete(JOBS, "default", "pi", Deletion(propagation="Orphan"))
    cluster.pass_s(5)
    [pod] = cluster.pods()
    assert not {"finalizers", "ownerReferences"} & pod["metadata"].keys()


def test_what_is_not_played_is_told(cluster: Driven) -> None:
    job(cluster, backoffLimitPerIndex=1, completions=1, completionMode="Indexed")
    cluster.pass_s(1)
    assert "The lab takes backoffLimitPerIndex and does nothing about it" in cluster.told("pi")
    assert told(cluster).count(("Warning", "NotPlayed")) == 1


def test_jobs_go_with_their_namespace(cluster: Driven) -> None:
    cluster.create(NAMESPACES, {"metadata": {"name": "shop"}})
    cluster.create(
        JOBS, {"metadata": {"name": "pi"}, "spec": {"template": template(WORKING)}}, "shop"
    )
    every = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template(WORKING)}}}
    cluster.create(CRONJOBS, {"metadata": {"name": "tick"}, "spec": every}, "shop")
    cluster.pass_s(61)
    assert len(cluster.storage.list(PODS, "shop")) == 2
    cluster.storage.delete(NAMESPACES, "", "shop")
    cluster.pass_s(60)
    assert cluster.storage.find(NAMESPACES, "", "shop") is None
    assert cluster.storage.list(PODS, "shop") == []


def test_a_job_of_another_controller_is_left_alone(cluster: Driven) -> None:
    job(cluster, managedBy="example.com/me")
    cluster.pass_s(5)
    assert (cluster.pods(), status(cluster)) == ([], {})


def test_a_pod_that_fits_is_taken_in_and_counted(cluster: Driven) -> None:
    wanted = {"app": "pi"}
    made = {**template(WORKING), "metadata": {"labels": wanted}}
    cluster.create(PODS, {**made, "metadata": {"name": "mine", "labels": wanted}})
    cluster.create(
        JOBS,
        {
            "metadata": {"name": "pi"},
            "spec": {"manualSelector": True, "selector": {"matchLabels": wanted}, "template": made},
        },
    )
    cluster.pass_s(5)
    assert cluster.names(PODS) == ["mine"]
    assert status(cluster)["succeeded" if "succeeded" in status(cluster) else "active"] == 1


def test_who_wrote_a_template_is_written_on_its_pods(cluster: Driven) -> None:
    made = template()
    made["metadata"]["annotations"] = {MARK: "eve"}
    cluster.create(JOBS, {"metadata": {"name": "pi"}, "spec": {
        "template": made, "completions": 2, "parallelism": 2, "completionMode": "Indexed"}})  # fmt: skip
    cron(cluster, jobTemplate={"spec": {"template": made}})
    cluster.pass_s(61)
    assert len(cluster.pods()) == 3
    assert all(pod["metadata"]["annotations"][MARK] == "eve" for pod in cluster.pods())


# CronJobs


def cron(cluster: Driven, words: dict[str, str] | None = None, **spec: object) -> Obj:
    made = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template(words)}}, **spec}
    return cluster.create(CRONJOBS, {"metadata": {"name": "tick"}, "spec": made})


def cron_status(cluster: Driven) -> Obj:
    return cluster.storage.get(CRONJOBS, "default", "tick")["status"]


def minute(number: int) -> int:
    """The name of a minute: so many after the first that begins."""
    return int(EPOCH) // 60 + number


def until(cluster: Driven, number: int, seconds: float = 1.0) -> None:
    """Lets time pass until that minute has begun, and some more."""
    cluster.pass_s(minute(number) * 60 + seconds - cluster.clock)


def test_a_job_is_made_every_minute_and_three_are_kept(cluster: Driven) -> None:
    made = cron(cluster, jobTemplate={
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"template": template()}})  # fmt: skip
    assert cluster.names(JOBS) == []
    until(cluster, 1, 0.15)
    [one] = cluster.storage.list(JOBS, "default")
    moment = timestamp(minute(1) * 60)
    assert one["metadata"]["name"] == f"tick-{minute(1)}"
    assert one["metadata"]["labels"] == {"a": "b"}
    assert one["metadata"]["annotations"] == {
        "c": "d",
        "batch.kubernetes.io/cronjob-scheduled-timestamp": moment,
    }
    assert one["metadata"]["ownerReferences"] == [{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
        "uid": made["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
    }]  # fmt: skip
    found = cron_status(cluster)
    assert [one["name"] for one in found["active"]] == [one["metadata"]["name"]]
    assert found["lastScheduleTime"] == moment
    until(cluster, 1, 5)
    assert cron_status(cluster) == {"lastScheduleTime": moment, "lastSuccessfulTime": moment}
    until(cluster, 6, 5)
    assert cluster.names(JOBS) == [f"tick-{minute(number)}" for number in (4, 5, 6)]
    assert len(cluster.pods()) == 3
    reasons = {"SuccessfulCreate", "SawCompletedJob", "SuccessfulDelete"}
    assert {reason for _, reason in told(cluster, "tick")} == reasons


def test_one_that_has_failed_is_kept(cluster: Driven) -> None:
    spec = {"backoffLimit": 0, "template": template(FAILING)}
    cron(cluster, jobTemplate={"spec": spec}, failedJobsHistoryLimit=2)
    until(cluster, 5, 5)
    assert cluster.names(JOBS) == [f"tick-{minute(number)}" for number in (4, 5)]
    assert "lastSuccessfulTime" not in cron_status(cluster)


@pytest.mark.parametrize(
    ("policy", "names", "active"),
    [("Allow", [1, 2, 3], 3), ("Forbid", [1], 1), ("Replace", [3], 1)],
)
def test_what_becomes_of_one_that_still_runs(
    cluster: Driven, policy: str, names: list[int], active: int
) -> None:
    cron(cluster, WORKING, concurrencyPolicy=policy)
    until(cluster, 3, 30)
    assert cluster.names(JOBS) == [f"tick-{minute(number)}" for number in names]
    assert len(cron_status(cluster)["active"]) == active
    assert len(cluster.pods()) == active
    known = {reason for _, reason in told(cluster, "tick")}
    assert ("JobAlreadyActive" in known) == (policy == "Forbid")
    assert ("SuccessfulDelete" in known) == (policy == "Replace")


def test_there_is_one_a_minute_at_most(cluster: Driven) -> None:
    cron(cluster, WORKING, schedule="@every 2s", concurrencyPolicy="Replace")
    until(cluster, 0, 58)
    assert cluster.names(JOBS) == [f"tick-{minute(0)}"]
    assert told(cluster, "tick") == [("Normal", "SuccessfulCreate")]
    until(cluster, 1, 58)
    assert cluster.names(JOBS) == [f"tick-{minute(1)}"]


def test_one_that_was_held_up_is_made_up_for_unless_it_is_too_late(cluster: Driven) -> None:
    cron(cluster, WORKING, concurrencyPolicy="Forbid", startingDeadlineSeconds=20)
    until(cluster, 2, 10)
    [name] = cluster.names(PODS)
    say(cluster, name, ready="true")
    assert cluster.names(JOBS)[-1] == f"tick-{minute(2)}"
    until(cluster, 3, 30)
    name = cluster.names(PODS)[-1]
    say(cluster, name, ready="true")
    assert cluster.names(JOBS)[-1] == f"tick-{minute(2)}"
    assert ("Warning", "MissSchedule") in told(cluster, "tick")
    until(cluster, 4, 5)
    assert cluster.names(JOBS)[-1] == f"tick-{minute(4)}"


def test_while_it_is_suspended_none_is_made_then_the_latest(cluster: Driven) -> None:
    cron(cluster, suspend=True)
    until(cluster, 5, 30)
    assert (cluster.names(JOBS), cron_status(cluster)) == ([], {})
    cluster.change(CRONJOBS, "tick", suspend=False)
    cluster.pass_s(1)
    assert cluster.names(JOBS) == [f"tick-{minute(5)}"]


def test_a_lab_that_was_away_for_weeks_makes_one(cluster: Driven) -> None:
    cron(cluster, suspend=True)
    cluster.clock += 40 * 86400
    cluster.change(CRONJOBS, "tick", suspend=False)
    cluster.pass_s(1)
    assert len(cluster.names(JOBS)) == 1
    assert ("Warning", "TooManyMissedTimes") in told(cluster, "tick")


def test_a_new_schedule_holds_at_once(cluster: Driven) -> None:
    cron(cluster, schedule="0 0 1 1 *")
    cluster.pass_s(5)
    cluster.change(CRONJOBS, "tick", schedule="*/2 * * * *")
    until(cluster, 3)
    found = [int(name.removeprefix("tick-")) for name in cluster.names(JOBS)]
    assert found == [at for at in range(minute(1), minute(4)) if at % 2 == 0]


def test_a_schedule_that_never_comes_does_nothing(cluster: Driven) -> None:
    cron(cluster, schedule="0 0 31 2 *")
    cluster.pass_s(3600)
    assert cluster.names(JOBS) == []


def test_times_are_those_of_its_zone(cluster: Driven) -> None:
    local = datetime.fromtimestamp(EPOCH, UTC)
    cron(cluster, schedule=f"{(local.minute + 2) % 60} * * * *", timeZone="Etc/UTC")
    until(cluster, 2)
    assert cluster.names(JOBS) == [f"tick-{minute(2)}"]


def test_one_made_by_hand_is_noticed_and_its_success_noted(cluster: Driven) -> None:
    made = cron(cluster, schedule="0 0 1 1 *")
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "controller": True,
                 "uid": made["metadata"]["uid"]}  # fmt: skip
    metadata = {"name": "now", "ownerReferences": [reference]}
    cluster.create(JOBS, {"metadata": metadata, "spec": {"template": template()}})
    cluster.pass_s(5)
    assert cron_status(cluster) == {"lastSuccessfulTime": at(0)}
    assert ("Warning", "UnexpectedJob") in told(cluster, "tick")


def test_the_jobs_of_a_deleted_cron_job_go(cluster: Driven) -> None:
    cron(cluster, WORKING)
    until(cluster, 2, 5)
    assert len(cluster.names(JOBS)) == 2
    cluster.storage.delete(CRONJOBS, "default", "tick", Deletion(propagation="Background"))
    cluster.pass_s(40)
    assert (cluster.names(JOBS), cluster.pods()) == ([], [])


def test_one_that_goes_missing_is_no_longer_active(cluster: Driven) -> None:
    cron(cluster, WORKING)
    until(cluster, 1, 5)
    [name] = cluster.names(JOBS)
    cluster.storage.delete(JOBS, "default", name, Deletion(propagation="Background"))
    cluster.pass_s(5)
    assert "active" not in cron_status(cluster)
    assert ("Normal", "MissingJob") in told(cluster, "tick")


def test_a_job_that_is_refused_is_told_of(cluster: Driven) -> None:
    label = {"batch.kubernetes.io/job-name": "other"}
    spec = {"template": {**template(), "metadata": {"labels": label}}}
    cron(cluster, jobTemplate={"spec": spec})
    with pytest.raises(AssertionError, match="is invalid"):  # a real lab tries again later
        until(cluster, 1, 0.2)
    assert ("Warning", "FailedCreate") in told(cluster, "tick")
