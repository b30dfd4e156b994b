"""What cannot run is refused before anything starts, in a real server's words."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kdns.lab.doors import rooms
from kdns.lab.resources import PODS
from kdns.lab.rights.trust import MARK
from tests.lab.doors.standing import Place, standing

SPDY = {
    "Connection": "Upgrade",
    "Upgrade": "SPDY/3.1",
    "X-Stream-Protocol-Version": "v4.channel.k8s.io",
}
SOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
}  # fmt: skip


async def refused(place: Place, query: str, *, name: str = "web", part: str = "exec",
                  method: str = "GET", headers: dict[str, str] = SOCKET) -> tuple[int, str]:  # fmt: skip
    path = f"/api/v1/namespaces/default/pods/{name}/{part}?{query}"
    sent = {"Authorization": f"Bearer {place.lab.token}", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, place.url + path, headers=sent) as reply,
    ):
        status: Any = await reply.json()
    assert (status["kind"], status["code"]) == ("Status", reply.status)
    assert not place.ground.processes
    return reply.status, status["message"]


def with_state(place: Place, name: str, **status: Any) -> None:
    storage = place.lab.storage
    pod = storage.get(PODS, "default", name)
    new = {**pod, "status": {**pod["status"], **status}}
    storage.update(PODS, "default", name, new, part="status")


def statuses(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": "main",
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": state,
        }
    ]


async def test_pods_and_containers_that_are_not_there(tmp_path: Path) -> None:
    async with standing(tmp_path) as place:
        place.pod()
        place.pod("two", containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}])
        run = "command=id&stdout=true"
        assert await refused(place, run, name="none") == (404, 'pods "none" not found')
        assert await refused(place, f"{run}&container=x") == (
            400, "container x is not valid for pod web")  # fmt: skip
        assert await refused(place, run, name="two") == (
            400, "a container name must be specified for pod two, choose one of: [a b]")  # fmt: skip
        assert (await refused(place, "stdout=true"))[0] == 400
        assert (await refused(place, "command=id"))[1] == (
            "you must specify at least 1 of stdin, stdout, stderr")  # fmt: skip
        assert (await refused(place, "command=a%00b&stdout=true"))[0] == 400


async def test_containers_that_do_not_run(tmp_path: Path) -> None:
    async with standing(tmp_path) as place:
        run = "command=id&stdout=true"
        place.pod()
        with_state(place, "web", containerStatuses=statuses({"terminated": {"exitCode": 1}}))
        assert "cannot exec in a stopped state" in (await refused(place, run))[1]
        with_state(
            place, "web", containerStatuses=statuses({"waiting": {"reason": "CrashLoopBackOff"}})
        )
        assert (await refused(place, run))[1].endswith("is waiting to start: CrashLoopBackOff")
        with_state(place, "web", phase="Failed")
        assert (await refused(place, run))[1].endswith("current phase is Failed")
        place.lab.storage.create(
            PODS,
            "default",
            {"metadata": {"name": "new"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        )
        assert await refused(place, run, name="new") == (
            400,
            "pod new does not have a host assigned",
        )


async def test_what_a_pod_lacks_for_its_environment(tmp_path: Path) -> None:
    async with standing(tmp_path) as place:
        place.pod(
            containers=[
                {"name": "main", "image": "i", "envFrom": [{"configMapRef": {"name": "gone"}}]}
            ]
        )
        assert await refused(place, "command=id&stdout=true") == (400, 'configmap "gone" not found')


@pytest.mark.parametrize("part", ["exec", "attach"])
async def test_nothing_runs_in_pods_that_others_wrote(tmp_path: Path, part: str) -> None:
    async with standing(tmp_path) as place:
        place.pod(metadata={"annotations": {MARK: "system:serviceaccount:default:robot"}})
        code, message = await refused(place, "command=id&stdout=true", part=part)
        assert code == 403
        assert "system:serviceaccount:default:robot wrote its spec" in message


@pytest.mark.parametrize(
    "headers", [SPDY, {}, {**SOCKET, "Sec-WebSocket-Protocol": "channel.k8s.io"}]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_protocols_are_told_which_one_is_spoken(
    tmp_path: Path, method: str, headers: dict[str, str]
) -> None:
    async with standing(tmp_path) as place:
        place.pod()
        run = "command=id&stdout=true"
        code, message = await refused(place, run, method=method, headers=headers)
        assert code == 400
        assert "WebSockets only" in message or "v5.channel.k8s.io" in message


@pytest.mark.parametrize("headers", [SOCKET, SPDY])  # kubectl shows the reply to the latter
async def test_programs_of_the_lab_itself_cannot_be_attached_to(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with standing(tmp_path) as place:
        place.pod()
        code, message = await refused(place, "stdout=true", part="attach", headers=headers)
        assert code == 400
        assert "nothing can be attached" in message


async def test_so_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MOST", 2)
    async with standing(tmp_path) as place, aiohttp.ClientSession() as session:
        place.pod()
        url = f"{place.url}/api/v1/namespaces/default/pods/web/exec?command=cat&stdin=true&stdout=true"
        head = {"Authorization": f"Bearer {place.lab.token}"}
        one, two = [
            await session.ws_connect(url, headers=head, protocols=["v5.channel.k8s.io"])
            for _ in range(2)
        ]
        with pytest.raises(aiohttp.WSServerHandshakeError) as found:
            await session.ws_connect(url, headers=head, protocols=["v5.channel.k8s.io"])
        assert found.value.status == 429
        await one.close()
        await two.close()
