"""What policies forbid waits in vain, on real sockets; all else, and what comes back, connects."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from kdns.lab.errors import Obj
from kdns.lab.ground.base import Listener, Stand, Transport
from kdns.lab.ground.loopback import Loopback
from kdns.lab.policies import filters
from kdns.lab.policies.enforcement import Enforcement
from kdns.lab.resources import NAMESPACES, PODS, POLICIES
from kdns.lab.storage import Storage

BLOCK = random.SystemRandom().randrange(1, 250)
"""Others may run these tests at the same time."""
WEB, DB, LATE = (f"127.244.{BLOCK}.{host}" for host in (202, 203, 209))
NODE, SERVICE = "127.18.0.11", f"127.96.{BLOCK}.207"
PORT = 13306
ONLY_WEB: Obj = {
    "podSelector": {"matchLabels": {"app": "db"}},
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
}


class Stood:
    """Two pods, a service in front of one, and the policies in force."""

    def __init__(self) -> None:
        number = count(1)
        self.storage = Storage(now=lambda: 1.7e9, uid=lambda: f"uid-{next(number)}")
        self.ground = Loopback()
        self.enforcement = Enforcement(self.storage, self.ground, self.behind)
        self.storage.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
        for name, address in (("web", WEB), ("db", DB)):
            self.pod(name, address)

    def behind(self, address: str, port: int, transport: Transport) -> Sequence[tuple[str, int]]:
        del port, transport
        return [(DB, PORT)] if address in {SERVICE, self.ground.ranges.dns} else []

    def pod(self, name: str, *addresses: str) -> None:
        containers = [{"name": "one", "image": "one"}]
        made = self.storage.create(
            PODS, "shop",
            {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": containers}},
        )  # fmt: skip
        addressed = {"podIP": addresses[0], "podIPs": [{"ip": one} for one in addresses]}
        status = {**made["status"], **addressed}
        self.storage.update(PODS, "shop", name, {**made, "status": status}, part="status")
        self.ground.put_up(Stand(name, f"shop/{name}", addresses))

    def forbid(self, spec: Obj) -> None:
        body = {"metadata": {"name": "one"}, "spec": spec}
        self.storage.create(POLICIES, "shop", body)

    def listen(self, address: str = DB, at: str = "db") -> Listener:
        return self.ground.listen(address, PORT, "TCP", at=at)

    async def connects(self, source: str, target: str = DB, within_s: float = 20) -> bool:
        one = socket.socket()
        one.setblocking(False)
        one.bind((source, 0))
        try:
            async with asyncio.timeout(within_s):
                await asyncio.get_running_loop().sock_connect(one, (target, PORT))
        except TimeoutError:
            return False
        finally:
            one.close()
        return True

    async def becomes(self, wanted: bool, source: str, target: str = DB) -> bool:
        for _ in range(40):
            if await self.connects(source, target, 0.3) is wanted:
                return True
            await asyncio.sleep(0.01)
        return False


@pytest.fixture
async def stood() -> AsyncIterator[Stood]:
    one = Stood()
    running = asyncio.create_task(one.enforcement.run())
    yield one
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    one.ground.close()


async def test_a_policy_comes_and_goes(stood: Stood) -> None:
    stood.listen()
    assert await stood.connects(DB)
    stood.forbid({"podSelector": {}, "ingress": []})
    assert await stood.becomes(False, WEB)
    assert await stood.connects(NODE)
    stood.storage.delete(POLICIES, "shop", "one")
    assert await stood.becomes(True, WEB)


async def test_a_new_listener_is_never_open_to_all(stood: Stood) -> None:
    stood.forbid({"podSelector": {}, "ingress": []})
    listener = stood.listen()
    assert not await stood.connects(WEB, within_s=0.3)
    stood.ground.listeners.close(listener)
    stood.pod("late", LATE)
    stood.ground.listen(LATE, PORT, "TCP", at="late")
    assert not await stood.connects(WEB, LATE, 0.3)


async def test_a_new_pod_is_known_everywhere_once_all_is_settled(stood: Stood) -> None:
    stood.listen()
    stood.listen(SERVICE, "")
    stood.pod("late", LATE)
    stood.forbid(ONLY_WEB)
    assert await stood.becomes(False, LATE)
    for number in range(5):
        address = f"127.244.{BLOCK}.{210 + number}"
        stood.pod(f"pod-{number}", address)
        assert not stood.enforcement.is_settled()
        async with asyncio.timeout(20):
            while not stood.enforcement.is_settled():
                await asyncio.sleep(0)
        assert not await stood.connects(address, within_s=0.1)
        assert not await stood.connects(address, SERVICE, 0.1)
    assert await stood.connects(WEB)


async def test_a_change_of_a_pod_has_those_looked_at_that_it_concerns(
    stood: Stood, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = {stood.listen(), stood.listen(SERVICE, "")}
    for host in range(1, 60):
        stood.ground.listen(f"127.244.{BLOCK}.{host}", PORT, "TCP")
    stood.pod("other", f"127.244.{BLOCK}.208")
    stood.forbid(ONLY_WEB)
    assert await stood.becomes(False, f"127.244.{BLOCK}.208")
    looked: list[Listener] = []
    close = Enforcement._close
    monkeypatch.setattr(Enforcement, "_close", lambda *each: (looked.append(each[1]), close(*each)))
    stood.pod("late", LATE)
    async with asyncio.timeout(20):
        while len(looked) < len(guarded):
            await asyncio.sleep(0.005)
    for _ in range(3):
        await asyncio.sleep(0)
    assert {*looked} == guarded
    looked.clear()
    late = stood.storage.get(PODS, "shop", "late")
    started = {**late["status"], "startTime": "2026-01-01T00:00:00Z"}
    stood.storage.update(PODS, "shop", "late", {**late, "status": started}, part="status")
    for _ in range(3):
        await asyncio.sleep(0)
    assert looked == [], "what policies do not see concerns nobody"


async def test_labels_decide_and_a_service_is_as_what_is_behind_it(stood: Stood) -> None:
    stood.forbid(ONLY_WEB)
    stood.listen()
    stood.listen(SERVICE, "")
    assert await stood.becomes(True, WEB)
    assert await stood.connects(WEB, SERVICE)
    web = stood.storage.get(PODS, "shop", "web")
    other: dict[str, Any] = {**web, "metadata": {**web["metadata"], "labels": {"app": "x"}}}
    stood.storage.update(PODS, "shop", "web", other)
    assert await stood.becomes(False, WEB)
    assert await stood.becomes(False, WEB, SERVICE)
    assert await stood.connects(DB), "a pod reaches itself"


async def test_egress_holds_for_what_is_no_pod(stood: Stood) -> None:
    stood.forbid({"podSelector": {}, "policyTypes": ["Egress"], "egress": []})
    stood.listen(SERVICE, "")
    assert await stood.becomes(False, WEB, SERVICE)
    assert await stood.connects(NODE, SERVICE)


async def test_a_pod_that_is_put_up_anew_is_kept_from_dns_again(
    stood: Stood, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(stood.ground, "block", lambda uid, _: blocked.put_nowait(uid))
    stood.forbid({"podSelector": {}, "policyTypes": ["Egress"], "egress": []})
    async with asyncio.timeout(20):
        assert await blocked.get() == "web"
        stood.ground.put_up(Stand("web", "shop/web", (WEB,)))
        stood.enforcement.look_again({(stood.ground.ranges.dns, 53, "UDP")})
        assert await blocked.get() == "web"


async def test_hundreds_of_pods_with_two_addresses_can_be_kept_away(stood: Stood) -> None:
    for number in range(400):
        stood.pod(f"pod-{number}", f"127.244.{number >> 8}.{number & 255}", f"fd00::{number:x}")
    stood.forbid({"podSelector": {}, "ingress": []})
    stood.listen()
    assert not await stood.connects(WEB, within_s=0.3)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_filters_of_many_addresses_and_both_families(family: socket.AddressFamily) -> None:
    host, other = ("127.0.0.1", "127.9.9.9") if family == socket.AF_INET else ("::1", "::1")
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        many = [f"10.1.{at >> 8}.{at & 255}" for at in range(1500)]
        filters.attach(listener, frozenset([*many, "fd00::1"]))
        assert _connects(listener, family, other)
        filters.attach(listener, frozenset([*many, other]))
        assert not _connects(listener, family, other, 0.3)
        filters.attach(listener, frozenset())
        assert _connects(listener, family, other)
        with pytest.raises(OSError, match="2100 addresses are too many"):
            filters.attach(listener, frozenset(f"10.2.{at >> 8}.{at & 255}" for at in range(2100)))


def _connects(listener: socket.socket, family: int, source: str, within_s: float = 20) -> bool:
    with socket.socket(family) as one:
        one.settimeout(within_s)
        one.bind((source, 0))
        try:
            one.connect(listener.getsockname())
        except TimeoutError:
            return False
    return True
