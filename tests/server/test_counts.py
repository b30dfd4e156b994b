"""What the answer table gives is told as sums; the page is as if every packet had been told of.

The same traffic goes over sockets to two servers: one whose `prometheus` takes sums, one whose
`prometheus` wants each reply. All but the times of their pages is equal.
"""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random

import dns.flags
import dns.message
import pytest

from kdns.observe import pauses
from kdns.observe.lists import TopLists
from kdns.plugins.base import Client, Hits, Observer, Seen
from kdns.plugins.prometheus import Prometheus
from kdns.plugins.status import Status
from kdns.server.assembly import Services, build
from kdns.server.chain import join
from kdns.server.router import Block, Router
from kdns.server.service import Service
from kdns.wire import names
from tests.socketless import Socketless
from tests.stubs import Told, World, addresses

A, B = names.parse_key("a"), names.parse_key("b")

COREFILE = """
example.org:0 {
    prometheus
    acl {
        drop type MX
        block type TXT
    }
    loadbalance
    hosts {
        10.0.0.1 a.example.org
        10.0.0.2 a.example.org
        10.0.0.3 a.example.org
        fd00::1 b.example.org
        fallthrough b.example.org
    }
}
whoami.test:0 {
    prometheus
    whoami
}
many.test:0 {
    prometheus
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.9"
    }
}
empty.test:0 {
}
quiet.test:0 {
    whoami
}
"""
ASKED = 400
TIMES = re.compile(r"coredns_dns_request_duration_seconds_(bucket|sum)")


def packets(chance: Random) -> list[bytes]:
    """Questions, most of them asked again and again, in various letter cases, sizes and bits."""
    names = [
        "a.example.org", "A.example.ORG", "b.example.org", "none.example.org", "example.org",
        "x.whoami.test", "one.many.test", "two.many.test", "empty.test", "q.quiet.test", "other",
    ]  # fmt: skip
    made = []
    for at in range(40):
        asked = dns.message.make_query(
            chance.choice(names),
            chance.choice(["A", "A", "AAAA", "TXT", "TYPE999"]),
            chance.choice(["IN", "IN", "IN", "CH"]),
            use_edns=chance.choice([-1, 0, 0, 1 if at % 10 == 0 else 0]),
            want_dnssec=chance.random() < 0.3,
            payload=chance.choice([512, 1232]),
        )
        made.append(asked.to_wire()[2:])
    return [chance.choice(made) for _ in range(ASKED)]


async def asked_over_udp(host: str, port: int, queries: list[bytes]) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((host, port))
        for at in range(0, len(queries), 16):
            batch = queries[at : at + 16]
            for id_, query in enumerate(batch):
                sock.send(id_.to_bytes(2, "big") + query)
            left = set(range(len(batch)))
            while left:
                readable = loop.create_future()
                loop.add_reader(sock, readable.set_result, None)
                await readable
                loop.remove_reader(sock)
                left.remove(int.from_bytes(sock.recv(4096)[:2], "big"))


async def asked_over_tcp(host: str, port: int, queries: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for at in range(0, len(queries), 50):
        batch = queries[at : at + 50]
        writer.write(b"".join((len(one) + 2).to_bytes(2, "big") + b"\0\0" + one for one in batch))
        for _ in batch:
            size = int.from_bytes(await reader.readexactly(2), "big")
            await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()


async def page(asking: list[tuple[str, str]], *, reload: bool) -> list[str]:
    """The lines of what a new server has counted after the traffic."""
    services, errors = Services(chance=Random(3)), []
    service = Service(build(COREFILE, "Corefile", services, errors), services)
    assert not errors
    await service.start()
    [(_, port)] = service.addresses
    chance = Random(7)
    for transport, host in asking:
        ask = asked_over_udp if transport == "udp" else asked_over_tcp
        await ask(host, port, packets(chance))
        if reload:
            await service.reload(build(COREFILE, "Corefile", services, errors))
    plugins = service.assembly.plugins
    prometheus = next(one for one in plugins if isinstance(one, Prometheus))
    reply = await prometheus.endpoints()[0].serve({})
    await service.stop()
    return [
        line.replace(f":{port}", ":PORT")
        for line in reply.body.decode().splitlines()
        if line.startswith(("coredns_dns", "coredns_acl")) and not TIMES.match(line)
    ]


@pytest.mark.parametrize("reload", [False, True], ids=["at rest", "through reloads"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sums_are_what_telling_each_would_have_counted(
    transport: str, reload: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = [(transport, "127.0.0.1"), (transport, "::1"), (transport, "127.0.0.1")]
    sums = await page(asking, reload=reload)
    monkeypatch.setattr(Prometheus, "wants_each", True)
    each = await page(asking, reload=reload)
    assert sorted(sums) == sorted(each)
    requests = [line for line in each if line.startswith("coredns_dns_requests_total")]
    assert len({line.split()[0] for line in requests}) > 15
    # Answers of empty.test are of the zone `dropped`, those of quiet.test are not counted.
    assert ASKED * 2 < sum(int(line.split()[1]) for line in requests) < ASKED * 3


async def test_a_page_asked_for_right_after_a_query_shows_it() -> None:
    lines = await page([("tcp", "127.0.0.1")] * 2, reload=False)
    each = await page([("tcp", "127.0.0.1")], reload=False)
    assert sum(int(line.split()[1]) for line in lines if "_requests_total" in line) > sum(
        int(line.split()[1]) for line in each if "_requests_total" in line
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_lists_know_what_is_asked_often_and_by_whom(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = TopLists(lambda: 0.0)
    count, count_hits = Prometheus.observe, Prometheus.observe_hits

    def observe(self: Prometheus, batch: list[Seen]) -> None:
        lists.observe(batch)
        count(self, batch)

    def observe_hits(self: Prometheus, hits: Hits) -> None:
        lists.observe_hits(hits)
        count_hits(self, hits)

    monkeypatch.setattr(Prometheus, "observe", observe)
    monkeypatch.setattr(Prometheus, "observe_hits", observe_hits)
    monkeypatch.setattr(Prometheus, "wants_callers", True)
    await page([(transport, "127.0.0.1"), (transport, "::1")], reload=False)
    asked = Counter(
        message.question[0].name.to_wire().lower()
        for chance in [Random(7)]
        for _ in range(2)
        for message in map(dns.message.from_wire, (b"\0\0" + one for one in packets(chance)))
    )
    del asked[b"\1q\5quiet\4test\0"]
    # Of what the table does not give, some stand for others.
    found = {one.key: one.least for one in lists.names.top(20)}
    assert found.keys() <= asked.keys()
    for name, times in asked.most_common(3):
        assert found[name] == pytest.approx(times, abs=60)
    clients = {one.key for one in lists.clients.top(9)}
    assert clients == {b"\x7f\0\0\1", bytes(15) + b"\1"}
    assert lists.clients.total > lists.names.total / 2


class Lists(Observer):
    """Keeps what it is told of who asked."""

    name = "lists"
    wants_each = False
    wants_callers = True

    def __init__(self) -> None:
        self.callers: list[tuple[bytes, int]] = []

    def observe(self, batch: Sequence[Seen]) -> None:
        """Only hits matter here."""

    def observe_hits(self, hits: Hits) -> None:
        self.callers += hits.callers


async def test_who_asks_for_a_zone_without_lists_is_in_no_list() -> None:
    told, lists = Told(lambda query: addresses(query, 1)), Lists()
    world = World(told)
    plain = Block(A, join([told]), (told,), ())
    listed = Block(B, join([told, lists]), (told, lists), (lists,))
    pipeline = world.with_table
    pipeline.replace(Router([plain, listed], recurses=False))
    for name, address in (("x.a", b"\x0a\0\0\1"), ("x.b", b"\x0a\0\0\2")):
        asked = dns.message.make_query(name, "A").to_wire()
        for _ in range(5):
            now = world.clock()
            if pipeline.recall(asked, address, now) is None:
                await pipeline.respond(asked, Client(address, 4000), now)
            else:
                pipeline.served(1, now, address)
            world.clock.now += 2
    assert set(lists.callers) == {(b"\x0a\0\0\2", 1)}


async def test_pauses_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "REST_S", 0.001)
    services, errors = Services(), []
    service = Service(build(COREFILE, "Corefile", services, errors), services)
    await service.start()
    looks = services.counters.histograms["kdns_loop_stall_seconds", "clock"]
    while sum(looks.counts) < 3:
        await asyncio.sleep(0.001)
    await service.reload(build(COREFILE, "Corefile", services, errors))
    before = sum(looks.counts)
    while sum(looks.counts) < before + 3:
        await asyncio.sleep(0.001)
    await service.stop()
    ended = list(looks.counts)
    await asyncio.sleep(0.01)
    assert looks.counts == ended


@pytest.mark.parametrize("more", ["", "log", "status 127.0.0.1:0"], ids=["sums", "each", "lists"])
async def test_hits_are_what_the_table_answered_and_nothing_else(
    tmp_path: Path, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f". {{\n prometheus 127.0.0.1:0\n {more}\n hosts {{\n 10.0.0.1 a.example\n }}\n}}\n"
    async with Socketless(tmp_path / "Corefile", text) as server:

        async def hits(*packets: bytes) -> float:
            """Of all asked up to now, these last."""
            for packet in packets:
                assert await server.ask(packet)
            await server.pipelines[False].tell_all()
            counted = server.services.counters.values
            return sum(counted[key] for key in counted if key[0] == "kdns_table_hits_total")

        once = [dns.message.make_query(f"n{at}.example", "A").to_wire() for at in range(40)]
        assert await hits(*once) == 0
        again = dns.message.make_query("a.example", "A").to_wire()
        assert await hits(again, again) == 0, "the second is let into the table"
        same = await hits(*[again] * 6)
        assert same == 6
        # One answer for all of these: their names are spelled otherwise, as resolvers do (0x20).
        letters = ["".join(one) for one in product(*zip("exampl", "EXAMPL", strict=True))]
        other = [dns.message.make_query(f"A.{one}e", "A").to_wire() for one in letters]
        assert await hits(*other) == same + len(other)
        boards = [one.board for one in server.assembly.plugins if isinstance(one, Status)]
        assert [board.hits for board in boards] == [same + len(other)] * len(boards)
