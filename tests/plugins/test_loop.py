"""loop: what comes back is found and isolated, what does not is left alone, an end is noticed."""

import asyncio
import socket

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins import loop
from kdns.plugins.base import SKIP, Backend, Client, Filter, Life, Next, Query, Result, Stamps
from kdns.plugins.loop import Loop
from kdns.server.assembly import Services, build
from kdns.server.chain import join
from kdns.server.peers import address_of
from kdns.server.pipeline import Pipeline
from kdns.server.router import Block, Router
from kdns.server.table import AnswerTable
from kdns.server.udp.udp import UdpListener
from kdns.wire import names, types
from kdns.wire.message import Answer
from tests import fakes
from tests.running import free_port
from tests.stubs import addresses
from tests.waiting import until

CLUSTER = names.parse_key("cluster.local")


class Cluster(Backend):
    """Answers cluster names, in front of the loop."""

    name = "kubernetes"

    def __init__(self) -> None:
        pass

    async def answer(self, query: Query) -> Result:
        return addresses(query, 7) if names.is_below(query.key, CLUSTER) else SKIP


class Forward(Filter):
    """Forwards to this very server while it loops; else it knows all names."""

    name = "forward"

    def __init__(self, site) -> None:
        self.site = site
        self.loops = True
        self.is_down = False
        self.asked = 0
        self.route = None

    async def around(self, query: Query, next_: Next) -> Result:
        self.asked += 1
        query.forget()
        if self.asked > 50:
            raise RecursionError("it was not noticed")
        if self.is_down:
            return Answer(types.SERVFAIL)
        return await self.route(query) if self.loops else addresses(query, 9)


class Server:
    """Cluster, loop, forward, on a real socket."""

    def __init__(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        self.stamps = Stamps()
        self.site = fakes.site(
            stamps=self.stamps,
            listen=(("", sock.getsockname()[1]),),
            clock=asyncio.get_running_loop().time,
            life=Life(),
        )
        [self.loop] = fakes.plugins("loop", self.site, Loop)
        self.forward = Forward(self.site)
        self.forward.settings = self.loop.settings
        self.plugins = (Cluster(), self.loop, self.forward)
        self.site.life.plugins = self.plugins[1:]
        block = Block(names.ROOT, join(self.plugins), self.plugins, ())
        router = Router([block], recurses=True)
        self.forward.route = router.route
        self.pipeline = Pipeline(
            router, self.stamps, self.site.counters, self.site.clock, self.site.chance,
            table=AnswerTable(self.stamps, self.site.chance, address_of),
        )  # fmt: skip
        self.udp = UdpListener(sock, self.pipeline, self.site.clock)
        self.work: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> "Server":
        self.udp.start()
        await self.loop.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.work:
            one.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        await self.udp.stop(0.5)

    def watch(self) -> None:
        self.work = [asyncio.ensure_future(work) for work in self.loop.tasks()]

    @property
    def probe(self):
        return self.loop.probes[names.ROOT]

    def gauge(self) -> list[float]:
        read = self.site.counters.asked["kdns_loop_detected"]
        return [value for _, value in read()]

    async def ask(self, name: str) -> bytes:
        """The reply, from the table if it is there."""
        packet = (
            b"\0\1\1\0\0\1\0\0\0\0\0\1"
            + names.parse(name)
            + b"\0\1\0\1"
            + b"\0\0\x29\4\xd0"
            + bytes(6)
        )
        now = self.site.clock()
        reply = self.pipeline.recall(packet, ("127.0.0.1", 1), now)
        if reply is None:
            reply = await self.pipeline.respond(packet, Client(b"\x7f\0\0\1", 1), now)
        return reply

    async def rcode(self, name: str) -> int:
        return (await self.ask(name))[3] & 15


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "EVERY_S", 0.02)
    monkeypatch.setattr(loop, "EVERY_LOOPING_S", 0.01)
    monkeypatch.setattr(loop, "RETRY_S", 0.01)


@pytest.mark.parametrize("text", ["loop x", "loop {\n x\n}"])
def test_it_takes_nothing(text: str) -> None:
    with pytest.raises(ConfigError, match="loop"):
        fakes.chain(text, Loop)


async def test_a_loop_is_isolated_and_all_else_answered(
    hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with Server() as server:
        assert server.gauge() == [0]
        server.watch()
        await until(lambda: server.probe.is_looping)
        asked = server.forward.asked
        reply = await server.ask("example.org")
        assert reply[3] & 15 == types.SERVFAIL
        assert b"a forwarding loop" in reply
        assert await server.rcode("web.a.svc.cluster.local") == types.NOERROR
        assert server.forward.asked <= asked + 4  # probes at most
        assert server.gauge() == [1]
    [said] = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert said.startswith("loop detected for zone .: what forward (Corefile:2) sends comes back")
    assert "127.0.0.53" in said


async def test_a_loop_that_ends_is_lifted_and_what_was_remembered_forgotten(
    hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kdns.loop")
    async with Server() as server:
        server.watch()
        await until(lambda: server.probe.is_looping)
        for _ in range(3):
            assert await server.rcode("example.org") == types.SERVFAIL
        server.forward.loops = False
        await until(lambda: not server.probe.is_looping)
        assert await server.rcode("example.org") == types.NOERROR
        assert server.gauge() == [0]
        server.forward.asked = 0
        server.forward.loops = True  # and one that begins later is found
        await until(lambda: server.probe.is_looping)
    assert "the loop of zone . has ended" in caplog.text


async def test_a_server_that_does_not_loop_forwards(hurried: None) -> None:
    async with Server() as server:
        server.forward.loops = False
        server.watch()
        await until(lambda: server.probe.clean >= 3)
        assert await server.rcode("example.org") == types.NOERROR
        assert server.gauge() == [0]


async def test_a_probe_that_does_not_get_through_is_repeated_and_proves_nothing(
    hurried: None,
) -> None:
    async with Server() as server:
        port = free_port()
        there = server.loop._own_address
        server.loop._own_address = lambda: ("127.0.0.1", port)
        names_tried = {server.probe.name}

        def tries() -> int:
            names_tried.add(server.probe.name)
            return len(names_tried)

        server.watch()
        await until(lambda: tries() > 4)
        assert not server.probe.is_looping
        assert not server.probe.clean
        server.loop._own_address = there
        await until(lambda: server.probe.is_looping)


async def test_a_probe_that_fails_on_its_way_is_no_end_of_a_loop(hurried: None) -> None:
    """So does another server that has isolated the same loop."""
    async with Server() as server:
        server.watch()
        await until(lambda: server.probe.is_looping)
        server.forward.asked = 0
        server.forward.is_down = True
        await until(lambda: server.forward.asked > 6)
        assert server.probe.is_looping
        server.forward.asked = 0
        server.forward.loops = server.forward.is_down = False
        await until(lambda: not server.probe.is_looping)


async def test_a_loop_behind_an_upstream_that_is_late_is_found_at_the_start(
    hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "EVERY_S", 60)
    async with Server() as server:
        server.forward.is_down = True
        server.watch()
        await until(lambda: server.forward.asked > 2)
        assert not server.probe.is_looping
        server.forward.is_down = False
        await until(lambda: server.probe.is_looping)


async def test_a_process_without_sockets_left_goes_on(
    hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server() as server:
        tries = 0

        def none_left(*_: object) -> socket.socket:
            nonlocal tries
            tries += 1
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as context:
            context.setattr(loop.socket, "socket", none_left)
            server.watch()
            await until(lambda: tries > 2)
        await until(lambda: server.probe.is_looping)


async def test_a_reload_keeps_the_isolation_and_tries_again_at_once(hurried: None) -> None:
    async with Server() as server:
        server.watch()
        await until(lambda: server.probe.is_looping)
        [new] = fakes.plugins("loop", server.site, Loop)
        assert new.probes[names.ROOT] is server.probe
        [watching] = [asyncio.ensure_future(work) for work in new.tasks()]
        name = server.probe.name
        server.work[0].cancel()
        await asyncio.sleep(0.02)
        assert server.probe.name == name  # it does not serve yet, and asks nothing
        server.loop = new
        server.site.life.plugins = (new, server.forward)
        await until(lambda: server.probe.name != name)
        assert server.probe.is_looping
        server.forward.loops = False
        await until(lambda: not server.probe.is_looping)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def test_probes_have_names_that_nobody_can_guess() -> None:
    probe = loop.Probe(CLUSTER, "0123456789abcdef")
    packets = {probe.renew() for _ in range(100)}
    assert len({packet[12:] for packet in packets}) == 100
    assert all(len(packet) == 12 + 2 * 17 + len(CLUSTER) + 4 for packet in packets)


async def test_probes_of_other_workers_pass_while_the_zone_loops(hurried: None) -> None:
    async with Server() as server:
        server.forward.loops = False
        server.probe.renew()
        server.probe.is_looping = True
        for mark, passes in ((server.site.life.mark, True), ("f" * 16, False)):
            other = loop.Probe(names.ROOT, mark)
            before = server.forward.asked
            await server.pipeline.respond(other.renew(), Client(b"\x7f\0\0\1", 1), 0.0)
            assert server.forward.asked - before == passes
        assert server.probe.seen == 0


async def test_other_zones_pass() -> None:
    made = fakes.chain("loop", Loop, zones=(CLUSTER,))

    async def next_(query: Query) -> Result:
        return Answer()

    [plugin] = made.plugins
    plugin.probes[CLUSTER].is_looping = True
    await made.ask("a.cluster.local")
    answer = await plugin.around(query("a.cluster.local", CLUSTER, made), next_)
    assert answer.rcode == types.SERVFAIL
    answer = await plugin.around(query("a.example", names.ROOT, made), next_)
    assert answer.rcode == types.NOERROR


@pytest.mark.parametrize(("start_s", "said"), [(30, "no route"), (0, "")])
async def test_failures_of_probes_are_logged_at_the_start_only(
    hurried: None, monkeypatch: pytest.MonkeyPatch, start_s: float, said: str
) -> None:
    """Else there is a line a minute for good where no upstream is."""
    monkeypatch.setattr(loop, "START_S", start_s)
    async with Server() as server:
        server.forward.is_down = True
        server.forward.loops = False
        server.watch()
        await until(lambda: server.forward.asked > 1)

        async def next_(query: Query) -> Result:
            return Answer(types.SERVFAIL, error="no route")

        made = fakes.chain("loop", Loop)
        await made.ask("a.example")
        for name, expected in ((names.format(server.probe.name), said), ("a.example", "no route")):
            asked = Query.of(fakes.question(name, "HINFO"), fakes.client(), 0, made.ledger)
            asked.zone = names.ROOT
            answer = await server.loop.around(asked, next_)
            assert answer.rcode == types.SERVFAIL
            assert answer.error == expected


def query(name: str, zone: names.Key, made: fakes.Chain) -> Query:
    asked = Query.of(fakes.question(name), fakes.client(), 0, made.ledger)
    asked.zone = zone
    return asked


async def test_a_block_without_plain_dns_is_not_probed_and_says_so(caplog):
    site = fakes.site(is_plain=False, label="tls://:853")
    [made] = fakes.plugins("loop", site, Loop)
    await made.start()
    assert not made.tasks()
    assert "tls://:853" in caplog.text


def test_the_probe_goes_to_the_plain_address_whatever_comes_first():
    errors = []
    text = "tls://.:8853 .:5301 {\n tls c k\n loop\n forward . 127.0.0.1\n}\n"
    plugins = build(text, "Corefile", Services(), errors).plugins
    assert not errors
    [made] = [one for one in plugins if isinstance(one, Loop)]
    assert (made.site.label, made.site.is_plain) == ("tls://:8853", True)
    assert made._own_address() == ("127.0.0.1", 5301)
