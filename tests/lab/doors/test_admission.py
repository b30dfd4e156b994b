"""Who may run commands in pods, and what everybody else is told."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kdns.lab.doors import admission
from kdns.lab.errors import ApiError
from kdns.lab.resources import SERVICEACCOUNTS, by_kind
from kdns.lab.tokens import ANYBODY, User
from tests.lab.doors.standing import Place, standing

ADMIN = User("kubernetes-admin", ("system:masters",), is_admin=True)
BOUND = User("system:serviceaccount:default:robot", ("system:masters",))
URL = "/api/v1/namespaces/default/pods/web/exec?command=id&stdout=true"


class Transport:
    def __init__(self, peer: Any, own: Any = ("127.0.0.1", 7443)) -> None:
        self._ends = {"peername": peer, "sockname": own}

    def get_extra_info(self, name: str) -> Any:
        return self._ends[name]


class Request:
    scheme = "https"

    def __init__(self, transport: Transport | None, **headers: str) -> None:
        self.transport = transport
        self.headers = headers


HERE = Transport(("127.0.0.1", 40000))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7443", "localhost:7443", "LOCALHOST", "[::1]:7443", "127.18.0.2"]
)
def test_the_admin_on_this_machine_may(host: str) -> None:
    admission.check(Request(HERE, Host=host), ADMIN)  # type: ignore[arg-type]


def test_the_api_is_no_other_origin() -> None:
    sent = {"Host": "127.0.0.1:7443", "Origin": "https://127.0.0.1:7443"}
    admission.check(Request(HERE, **sent), ADMIN)  # type: ignore[arg-type]


@pytest.mark.parametrize("peer", ["127.0.0.1", "172.18.0.2"])
def test_the_api_may_be_called_by_its_own_address(peer: str) -> None:
    transport = Transport((peer, 1), ("172.18.0.2", 6443))
    admission.check(Request(transport, Host="172.18.0.2:6443"), ADMIN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "user", "why"),
    [
        (Request(HERE, Host="localhost"), BOUND, '"system:serviceaccount:default:robot" is not he'),
        (Request(HERE, Host="localhost"), ANYBODY, "system:anonymous"),
        (Request(HERE, Host="localhost"), User("kubernetes-admin", ("system:masters",)), "is not he"),
        (Request(Transport(("10.244.1.5", 9)), Host="localhost"), ADMIN, "not from 10.244.1.5"),
        (Request(Transport(("192.168.1.2", 9)), Host="localhost"), ADMIN, "not from 192.168.1.2"),
        (Request(Transport(None), Host="localhost"), ADMIN, "not from"),
        (Request(Transport(None, None), Host="localhost"), ADMIN, "not from"),
        (Request(Transport("/a/socket"), Host="localhost"), ADMIN, "not from"),
        (Request(None, Host="localhost"), ADMIN, "not from"),
        (Request(HERE, Host="localhost", Origin="https://evil.example"), ADMIN, "Origin"),
        (Request(HERE, Host="localhost", Origin="http://localhost:7443"), ADMIN, "Origin"),
        (Request(HERE, Host="localhost:7443", Origin="https://localhost:9154"), ADMIN, "Origin"),
        (Request(HERE, Host="localhost:7443", Origin="http://localhost:7443"), ADMIN, "Origin"),
        (Request(HERE, Host="evil.example", Origin="https://evil.example"), ADMIN, "is none"),
        (Request(HERE, Host="localhost", Origin="null"), ADMIN, "Origin"),
        (Request(HERE, Host="rebound.example:7443"), ADMIN, "rebound.example is none"),
        (Request(HERE, Host="127.0.0.1.evil.example"), ADMIN, "is none"),
        (Request(HERE, Host="[2001:db8::1]:7443"), ADMIN, "2001:db8::1 is none"),
        (Request(HERE), ADMIN, "no host is none"),
    ],
)  # fmt: skip
def test_nobody_else_may(request_: Any, user: User, why: str) -> None:
    with pytest.raises(ApiError) as found:
        admission.check(request_, user)
    assert (found.value.code, found.value.reason) == (403, "Forbidden")
    assert why in found.value.message


# Over the wire


async def _asked(place: Place, token: str, **headers: str) -> tuple[int, Any]:
    sent = {"Authorization": f"Bearer {token}", **headers}
    async with aiohttp.ClientSession() as session:
        async with session.get(place.url + URL, headers=sent) as reply:
            refusal = (reply.status, await reply.json())
        with pytest.raises(aiohttp.WSServerHandshakeError) as found:
            await session.ws_connect(place.url + URL, headers=sent, protocols=["v5.channel.k8s.io"])
    assert found.value.status == refusal[0]
    assert not place.ground.processes
    return refusal


async def test_nothing_runs_for_anybody_else(tmp_path: Path) -> None:
    async with standing(tmp_path) as place:
        place.pod()
        storage = place.lab.storage
        storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "robot"}})
        bindings = by_kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
        assert bindings
        storage.create(bindings, "", {
            "metadata": {"name": "robot"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
        })  # fmt: skip
        robot = place.lab.tokens.issue("default", "robot", seconds=3600)

        code, status = await _asked(place, robot)
        assert code == 403
        assert "to the admin of the lab only" in status["message"]
        code, status = await _asked(place, place.lab.token, Origin="https://evil.example")
        assert code == 403
        code, status = await _asked(place, place.lab.token, Host="evil.example")
        assert code == 403
        code, status = await _asked(place, "wrong")
        assert code == 401
