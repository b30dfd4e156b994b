"""A reload is all or nothing: what is kept, what ends, what a refused Corefile leaves behind."""

import asyncio
import gc
import logging
import socket
import weakref
from collections import Counter
from itertools import pairwise
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from kdns.cluster.cluster import Cluster
from kdns.plugins.base import Client
from kdns.plugins.hosts import Hosts
from kdns.server.assembly import Services, build, read
from kdns.server.reload import Reloader, version_of
from kdns.server.service import Service, Stopping
from tests.certificates import Authority
from tests.running import free_port

HOSTS = ".:0 {{\n bind 127.0.0.1\n{more}\n hosts {{\n  10.0.0.{last} a.example\n }}\n}}\n"


def hosts(last: int, more: str = "") -> str:
    return HOSTS.format(last=last, more=more)


class World:
    """A server on its own sockets; its Corefile is a string or a file."""

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self.text = text
        self.path = str(file) if file else "Corefile"
        self.file = file
        self.services = Services()
        text, path = self.source()
        errors: list[Exception] = []
        self.service = Service(build(text, path, self.services, errors), self.services)
        assert not errors
        self.reloader = Reloader(self.service, self.services, self.source, port=53)

    def source(self) -> tuple[str, str]:
        return self.file.read_text() if self.file else self.text, self.path

    async def __aenter__(self) -> "World":
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()

    async def reload(self, text: str) -> bool:
        self.text = text
        return await self.reloader.check()

    async def address(self, name: str = "a.example") -> str:
        packet = dns.message.make_query(name, "A").to_wire()
        pipeline = self.service.pipelines[0]
        now = self.services.clock()
        reply = pipeline.recall(packet, ("127.0.0.1", 1), now)
        reply = reply or await pipeline.respond(packet, Client(b"\x7f\0\0\1", 1), now)
        message = dns.message.from_wire(reply)
        return message.answer[0][0].address if message.answer else str(message.rcode())

    def failures(self) -> float:
        return self.services.counters.values["coredns_reload_failed_total",]


def clusters_of(world: World) -> list[Cluster]:
    return [one for one in world.services.shared.values() if isinstance(one, Cluster)]


async def test_a_changed_corefile_serves_on_the_same_sockets() -> None:
    async with World(hosts(1)) as world:
        [listener] = world.service._listeners.values()
        assert await world.address() == "10.0.0.1"
        assert await world.reload(hosts(2))
        assert await world.address() == "10.0.0.2"
        assert [listener] == list(world.service._listeners.values())
        assert world.services.life.version == version_of(hosts(2), "Corefile")
        assert [one.name for one in world.services.life.plugins] == ["bind", "hosts"]


@pytest.mark.parametrize("ask", [dns.asyncquery.udp, dns.asyncquery.tcp])
async def test_plugins_learn_when_a_query_last_came_in(ask) -> None:
    async with World(hosts(1)) as world:
        heard_at, began = world.services.life.heard_at, world.services.clock()
        assert heard_at() < began
        [(host, port)] = world.service.addresses
        await ask(dns.message.make_query("a.example", "A"), host, port=port, timeout=20)
        assert began < heard_at() <= world.services.clock()


async def test_an_equal_one_is_left_alone_unless_it_is_ordered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with World(hosts(1)) as world:
        assert not await world.reload(hosts(1))
        assert not await world.reload("# a comment\n\n" + hosts(1))
        assert not caplog.records
        world.reloader.order()
        await asyncio.gather(*world.reloader._tasks)
        said = [(one.levelname, one.getMessage()) for one in caplog.records]
        assert said == [("INFO", "Reloading"), ("INFO", "Reloading complete")]


async def test_orders_that_wait_are_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with World(hosts(1)) as world:
        for _ in range(100):
            world.reloader.order()
        await asyncio.sleep(0)
        world.reloader.order()  # the first has begun to read; this may be for something newer
        world.reloader.order()
        await asyncio.gather(*world.reloader._tasks)
        assert [one.getMessage() for one in caplog.records].count("Reloading") == 2


@pytest.fixture
def taken():
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        yield foreign.getsockname()[1]


BAD = {
    "empty": ("", "has no server block"),
    "comment": ("# to come\n", "has no server block"),
    "parse": (". {\n hosts {\n", "Corefile:"),
    "directive": (". {\n hots\n}\n", "unknown directive 'hots' (did you mean 'hosts'?)"),
    "start": (".:0 {\n bind 127.0.0.1\n forward . /none/at/all\n}\n", "/none/at/all"),
    "port": (hosts(2) + ".:TAKEN {\n bind 127.0.0.1\n whoami\n}\n", "is taken: stop what listens"),
    "http port": (hosts(2, "health 127.0.0.1:TAKEN"), "health: 127.0.0.1, port"),
    "address": (hosts(2) + ".:53 {\n bind 240.0.0.1\n whoami\n}\n", "not an address of this"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_one_leaves_everything_as_it_is(
    kind: str, taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    text, message = BAD[kind]
    text = text.replace("TAKEN", str(taken))
    async with World(hosts(1)) as world:
        before = dict(world.service._listeners), world.services.life.plugins
        tasks = asyncio.all_tasks()
        version = world.services.life.version
        assert not await world.reload(text)
        assert message in caplog.text
        assert "what served before serves on" in caplog.text
        assert await world.address() == "10.0.0.1"
        assert (dict(world.service._listeners), world.services.life.plugins) == before
        assert world.services.life.version == version
        assert asyncio.all_tasks() == tasks
        assert world.failures() == 1
        assert not await world.reload(text)  # once is enough
        assert world.failures() == 1
        assert not await world.reload(hosts(1))
        assert not await world.reload(text)
        assert world.failures() == 2
        assert await world.reload(hosts(3))
        assert await world.address() == "10.0.0.3"


async def test_a_plugin_with_a_mistake_of_its_own_is_refused_like_any_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("our own mistake")

    async with World(hosts(1)) as world:
        with monkeypatch.context() as context:
            context.setattr(Hosts, "__init__", broken)
            assert not await world.reload(hosts(2))
        assert "a plugin could not be made or started" in caplog.text
        assert await world.address() == "10.0.0.1"
        assert world.failures() == 1
        assert await world.reload(hosts(3))


async def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    async with World(hosts(1)) as world:
        world.reloader._source = lambda: (read(str(tmp_path / "none"), port=53), "none")
        assert not await world.reloader.check()
        assert world.failures() == 1
        assert await world.address() == "10.0.0.1"


async def test_a_configmap_that_is_swapped_is_seen_imports_too(tmp_path: Path) -> None:
    for turn in (1, 2, 3):
        folder = tmp_path / f"..{turn}"
        folder.mkdir()
        (folder / "Corefile").write_text("import names\n")
        (folder / "names").write_text(hosts(min(turn, 2)))
    data = tmp_path / "..data"
    data.symlink_to("..1")
    for name in ("Corefile", "names"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    async with World(file=tmp_path / "Corefile") as world:
        for turn, differs in ((2, True), (3, False)):
            new = tmp_path / "..new"
            new.symlink_to(f"..{turn}")
            new.rename(data)
            assert await world.reloader.check() == differs
            assert await world.address() == "10.0.0.2"


@pytest.mark.parametrize("name", ["FIRST", "SECOND"])
async def test_the_environment_is_part_of_the_corefile(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST", "a")
    text = ". {\n hosts {\n  10.0.0.1 {$FIRST}.example\n }\n}\n"
    before = version_of(text, "Corefile")
    monkeypatch.setenv(name, "b")
    assert (version_of(text, "Corefile") == before) == (name == "SECOND")


async def test_addresses_come_and_go() -> None:
    both = hosts(1) + ".:0 {\n bind 127.0.0.2\n whoami\n}\n"
    async with World(hosts(1)) as world:
        assert await world.reload(both)
        assert [host for host, _ in world.service.addresses] == ["127.0.0.1", "127.0.0.2"]
        port = world.service.addresses[1][1]
        assert await world.reload(hosts(1))
        assert [host for host, _ in world.service.addresses] == ["127.0.0.1"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.2", port))


async def test_a_wildcard_and_an_address_of_it_take_turns(free: int, caplog) -> None:
    texts = [
        text.replace(":0", f":{free}")
        for text in (hosts(1), hosts(2).replace(" bind 127.0.0.1\n", ""))
    ]
    async with World(texts[0]) as world:
        for turn in (1, 0, 1):
            assert await world.reload(texts[turn])
            packet = dns.message.make_query("a.example", "A").to_wire()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(("127.0.0.1", free))
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, packet)
                reply = dns.message.from_wire(await loop.sock_recv(sock, 4096))
            assert reply.answer[0][0].address == f"10.0.0.{turn + 1}"
    assert not caplog.records  # nobody else shares the port


@pytest.fixture
def free() -> int:
    return free_port()


async def test_a_wildcard_and_an_address_of_it_are_both_ours(
    free: int, caplog: pytest.LogCaptureFixture
) -> None:
    web = free_port()
    text = f".:{free} {{\n whoami\n health :{web}\n}}\n" + hosts(1, f"ready 127.0.0.1:{web}")
    async with World(text.replace(".:0 {", f"example:{free} {{")) as world:
        assert sorted(world.service.addresses) == [("", free), ("127.0.0.1", free)]
        assert sorted(world.service._http) == [("", web), ("127.0.0.1", web)]
    assert "another process" not in caplog.text


async def test_http_addresses_come_go_and_are_kept(free: int) -> None:
    probes = f"health 127.0.0.1:0\n ready 127.0.0.1:{free}"

    async def status(port: int, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        try:
            return (await reader.read())[9:12]
        finally:
            writer.close()

    async with World(hosts(1, probes)) as world:
        health = world.service._http["127.0.0.1", 0]
        assert await status(health.port, "/health") == b"200"
        assert await status(free, "/ready") == b"200"
        assert await world.reload(hosts(2, "health 127.0.0.1:0"))
        assert world.service._http == {("127.0.0.1", 0): health}
        with pytest.raises(ConnectionRefusedError):
            await status(free, "/ready")
        assert await status(health.port, "/health") == b"200"
        assert await world.reload(hosts(2, f"health 127.0.0.1:{free}\n ready 127.0.0.1:{free}"))
        assert await status(free, "/ready") == await status(free, "/health") == b"200"


async def test_tls_begins_at_no_http_address_that_is_open(
    tmp_path: Path, free: int, caplog: pytest.LogCaptureFixture
) -> None:
    Authority(tmp_path).issue()
    web = tmp_path / "web.yaml"
    web.write_text("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n")
    plain = f"prometheus 127.0.0.1:{free}"
    secured = f"{plain} {{\n tls {web}\n }}"
    async with World(hosts(1, plain)) as world:
        assert not await world.reload(hosts(2, secured))
        assert f"127.0.0.1, port {free} is open with another `tls` file, or none" in caplog.text
        assert await world.reload(hosts(2))
        assert await world.reload(hosts(2, secured))
        assert not await world.reload(hosts(3, plain))
        assert await world.address() == "10.0.0.2"


async def test_http_does_not_share_a_port_with_dns(free: int) -> None:
    text = hosts(2, f"health :{free}").replace(":0 {", f":{free} {{")
    async with World(hosts(1)) as world:
        assert not await world.reload(text)
        assert await world.address() == "10.0.0.1"
        assert await world.reload(hosts(2, f"health 127.0.0.1:{free}"))
        assert not await world.reload(text.replace("health :", "health 127.0.0.1:"))
        assert await world.address() == "10.0.0.2"


async def test_dns_takes_over_a_port_of_http(free: int, caplog: pytest.LogCaptureFixture) -> None:
    async with World(hosts(1, f"health 127.0.0.1:{free}")) as world:
        assert await world.reload(hosts(2).replace(":0 {", f":{free} {{"))
        assert world.service.addresses == [("127.0.0.1", free)]
        assert not world.service._http
        assert "shared with another process" not in caplog.text


async def test_the_plugin_that_asks_for_the_reload_is_stopped_by_it() -> None:
    async with World(hosts(1, "reload 2s 0s")) as world:
        [plugin] = [one for one in world.services.life.plugins if one.name == "reload"]
        world.services.life.reload = world.reloader.check
        plugin.interval_s = 0.01
        world.service._crew._tasks.run(plugin._look())
        world.text = hosts(2, "reload 2s 0s")
        for _ in range(10_000):
            if await world.address() == "10.0.0.2" and not world.reloader._tasks:
                break
            await asyncio.sleep(0.002)
        assert await world.address() == "10.0.0.2"


async def test_a_reload_that_comes_too_late_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with World(hosts(1)) as world:
        world.services.life.is_stopping = True
        assert not await world.reload(hosts(2))
        assert await world.address() == "10.0.0.1"
        assert world.failures() == 0
        assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
        errors: list[Exception] = []
        late = build(hosts(2), "Corefile", world.services, errors)
        with pytest.raises(Stopping):
            await world.service.reload(late)


async def test_the_stop_does_not_wait_for_a_reload_that_waits(tmp_path: Path) -> None:
    waits = (
        ".:0 {\n bind 127.0.0.1\n kubernetes cluster.local {\n"
        f"  manifests {tmp_path}/none.yaml\n  startup_timeout 1m\n }}\n}}\n"
    )
    async with World(hosts(1)) as world:
        world.text = waits
        reloading = asyncio.ensure_future(world.reloader.check())
        while not world.service._runners._running:
            await asyncio.sleep(0.001)
        assert await world.address() == "10.0.0.1"
        world.service.end()
        assert not await reloading
        await world.service.stop()
        assert not world.service._runners._running
        assert world.failures() == 0


async def test_a_store_is_kept_while_its_stanza_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(
        "kind: Service\nmetadata: {name: web, namespace: a}\n"
        "spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n"
    )
    text = ".:0 {{\n bind 127.0.0.1\n kubernetes cluster.local {{\n  manifests {}\n{}\n }}\n}}\n"
    asked = "web.a.svc.cluster.local"
    async with World(text.format(tmp_path, "")) as world:
        [store] = clusters_of(world)
        [task] = world.service._runners._running.values()
        assert await world.reload(text.format(tmp_path, "  ttl 9"))
        assert clusters_of(world) == [store]
        assert list(world.service._runners._running.values()) == [task]
        assert await world.address(asked) == "10.96.0.1"
        assert await world.reload(text.format(tmp_path, "  noendpoints"))
        assert clusters_of(world) != [store]
        assert task.cancelled()
        assert await world.address(asked) == "10.96.0.1"
        world.services.life.plugins[-1].site.kept.clear()
        assert await world.reload(hosts(1))
        assert not clusters_of(world)
        assert not world.service._runners._running


async def test_nothing_is_kept_of_a_cluster_that_nobody_asks_for(
    tmp_path: Path, taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "web.yaml").write_text("kind: Namespace\nmetadata: {name: web}\n")
    stanza = (
        "kubernetes cluster.local {{\n manifests {}\n{}\n }}\n metadata\n reload\n loop\n cache"
    )
    stanza += "\n prometheus 127.0.0.1:0"
    clusters: list[weakref.ref[Cluster]] = []

    def alive() -> int:
        found = clusters_of(world)
        clusters.extend(map(weakref.ref, found))
        del found
        gc.unfreeze()
        gc.collect()
        return len({id(one()) for one in clusters} - {id(None)})

    async with World(hosts(1, stanza.format(tmp_path, ""))) as world:
        assert alive() == 1
        for more in ("noendpoints", "pods verified", ""):
            assert await world.reload(hosts(1, stanza.format(tmp_path, more)))
            await asyncio.sleep(0)
            assert alive() == 1
        refused = stanza.format(tmp_path, "noendpoints") + f"\n health 127.0.0.1:{taken}"
        caplog.set_level("CRITICAL", "kdns")  # pytest keeps what was raised
        assert not await world.reload(hosts(1, refused))
        assert await world.reload(hosts(1))
        await asyncio.sleep(0)
        assert alive() == 0


async def by_type() -> Counter[str]:
    # asyncio keeps timers that were cancelled, until those are a hundred and more than half of all.
    for timer in [asyncio.get_running_loop().call_later(3600, int) for _ in range(1000)]:
        timer.cancel()
    await asyncio.sleep(0)
    gc.collect()
    return Counter(type(one).__qualname__ for one in gc.get_objects())


def grown(before: Counter[str], after: Counter[str], by: int) -> dict[str, int]:
    return {name: count for name, count in (after - before).items() if count > by}


@pytest.mark.slow
async def test_many_reloads_leave_no_object_and_slow_no_hit() -> None:
    acl = "acl {{\n  block net 10.{}.0.0/16\n }}\n cache\n loop\n health 127.0.0.1:0\n errors"
    async with World(hosts(1, acl.format(1))) as world:
        for turn in range(20):
            assert await world.reload(hosts(1, acl.format(turn + 2)))
            for _ in range(3):
                await world.address()
        counted = [await by_type()]
        for turn in range(200):
            assert await world.reload(hosts(1 + turn % 2, acl.format(turn % 200 + 30)))
            for _ in range(3):
                assert await world.address() == f"10.0.0.{1 + turn % 2}"
            if turn % 100 == 99:
                counted.append(await by_type())
        # What is done for the first time in this process, as by a probe that was due, is kept once.
        first, second = (grown(*pair, 20) for pair in pairwise(counted))
        assert not first.keys() & second.keys(), (first, second)
        table = world.service.pipelines[0].table
        assert table is not None
        [item] = table.entries.values()
        assert item.fork is not None
        assert len(item.fork.classifiers) == 1
