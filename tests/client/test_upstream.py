"""What leaves on the wire, what is taken for a reply, and what becomes of the sockets."""

import asyncio

import dns.message
import dns.name
import pytest

from kdns.client.ask import ask
from kdns.client.datagrams import Datagrams
from kdns.client.line import MiscasedError, MismatchError, StaleError, UpstreamError
from kdns.client.upstream import TCP, UDP, Keeping, Upstream
from tests import upstream as peer
from tests.running import free_port

BOTH = pytest.mark.parametrize("transport", [UDP, TCP])
ANSWER = peer.answers("a.example. 60 IN A 10.0.0.1")


def packet(name: str = "a.example.", type_: str = "A") -> bytes:
    return dns.message.make_query(name, type_, id=7).to_wire()


def to(server: peer.Upstream, **keeping) -> Upstream:
    return Upstream("127.0.0.1", server.port, Keeping(**keeping))


def address(reply: bytes) -> str:
    return dns.message.from_wire(reply).answer[0][0].to_text()


@BOTH
async def test_a_query_is_answered(transport):
    async with peer.Upstream(ANSWER) as server:
        up = to(server)
        assert address(await up.ask(packet(), transport, 20)) == "10.0.0.1"
        assert server.transports() == [transport]
        up.close()


@BOTH
async def test_ids_are_ours_and_differ(transport):
    async with peer.Upstream(ANSWER) as server:
        up = to(server)
        await asyncio.gather(*(up.ask(packet(), transport, 20) for _ in range(40)))
        ids = {asked.wire[:2] for asked in server.asked}
        assert len(ids) > 35
        up.close()


@BOTH
async def test_replies_out_of_order_find_their_queries(transport):
    gate = asyncio.Event()

    async def script(asked):
        if asked.name == "slow.example.":
            await gate.wait()
            return peer.wire(peer.reply(asked, "slow.example. 1 IN A 10.0.0.2"))
        return peer.wire(peer.reply(asked, f"{asked.name} 1 IN A 10.0.0.1"))

    async with peer.Upstream(script) as server:
        up = to(server)
        slow = up.send(packet("slow.example."), transport, 20)
        await server.received(1)
        assert address(await up.ask(packet("fast.example."), transport, 20)) == "10.0.0.1"
        assert not slow.done()
        gate.set()
        assert address(await slow) == "10.0.0.2"
        up.close()


@BOTH
async def test_a_reply_with_another_id_is_skipped(transport):
    def script(asked):
        forged = peer.wire(peer.reply(asked, "a.example. 60 IN A 10.6.6.6"))
        right = peer.wire(peer.reply(asked, "a.example. 60 IN A 10.0.0.1"))
        return [peer.with_id(forged, 1), peer.with_id(forged, -1), b"\0", right]

    async with peer.Upstream(script) as server:
        up = to(server)
        assert address(await up.ask(packet(), transport, 20)) == "10.0.0.1"
        up.close()


def _with_question(name: str, type_: int = 1):
    def script(asked):
        reply = peer.reply(asked)
        reply.question[0].name = dns.name.from_text(name)
        reply.question[0].rdtype = type_
        return peer.wire(reply)

    return script


def _no_question(asked):
    reply = peer.reply(asked)
    reply.question = []
    return peer.wire(reply)


@BOTH
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(_with_question("b.example."), id="another-name"),
        pytest.param(_with_question("a.example.", 28), id="another-type"),
        pytest.param(_no_question, id="no-question"),
        pytest.param(lambda asked: asked.wire, id="the-query-itself"),
    ],
)
async def test_a_reply_to_another_question_is_no_reply(script, transport):
    async with peer.Upstream(script) as server:
        up = to(server)
        with pytest.raises(MismatchError):
            await up.ask(packet(), transport, 20)
        up.close()


async def test_another_letter_case_is_not_trusted_over_udp():
    async with peer.Upstream(_with_question("A.EXAMPLE.")) as server:
        up = to(server)
        with pytest.raises(MiscasedError):
            await up.ask(packet(), UDP, 20)
        assert await up.ask(packet(), TCP, 20)
        up.close()


@BOTH
async def test_no_reply_ends_in_a_time_out(transport):
    async with peer.Upstream(peer.drops) as server:
        up = to(server)
        began = asyncio.get_running_loop().time()
        waiting = up.send(packet(), transport, 20)
        sent = asyncio.get_running_loop().time()
        await server.received(1)
        up.turn(began + 19.9)
        assert not waiting.done()
        up.turn(sent + 20.1)
        error = await waiting
        assert isinstance(error, UpstreamError)
        assert str(error).startswith(f"read {transport} 127.0.0.1:")
        assert str(error).endswith(f"->{server.address}: i/o timeout")
        up.close()


async def test_a_short_time_out_runs_out_by_itself():
    async with peer.Upstream(peer.drops) as server:
        up = to(server)
        late = up.send(packet(), UDP, 20)
        with pytest.raises(UpstreamError, match="i/o timeout"):
            await up.ask(packet(), UDP, 0.01)
        assert not late.done()
        up.close()
        assert isinstance(await late, UpstreamError)


async def test_a_late_reply_is_never_taken_for_another_query():
    gate = asyncio.Event()

    async def script(asked):
        if asked.name == "late.example.":
            await gate.wait()
        return peer.wire(peer.reply(asked, f"{asked.name} 1 IN A 10.0.0.1"))

    async with peer.Upstream(script) as server:
        up = to(server)
        late = up.send(packet("late.example."), UDP, 20)
        await server.received(1)
        up.turn(asyncio.get_running_loop().time() + 30)
        assert isinstance(await late, UpstreamError)
        gate.set()
        await up.ask(packet(), UDP, 20)
        ports = [asked.peer[1] for asked in server.asked]
        assert ports[0] != ports[1]
        up.close()


@BOTH
async def test_a_refused_port_fails_at_once(transport):
    up = Upstream("127.0.0.1", free_port())
    for _ in range(3):
        with pytest.raises(UpstreamError, match=r"connect(ion refused|: connection refused)$"):
            await up.ask(packet(), transport, 30)
    up.close()


async def test_a_closed_connection_is_stale_only_once_it_has_served():
    async with peer.Upstream(lambda asked: peer.CLOSE) as server:
        up = to(server)
        with pytest.raises(UpstreamError, match=r"^EOF$") as caught:
            await up.ask(packet(), TCP, 20)
        assert not caught.value.is_stale
        server.script = lambda asked: peer.CLOSE if asked.name == "b.example." else ANSWER(asked)
        await up.ask(packet(), TCP, 20)
        with pytest.raises(StaleError):
            await up.ask(packet("b.example."), TCP, 20)
        up.close()


async def test_a_connection_is_kept_and_an_idle_one_that_the_peer_closed_is_replaced():
    seen = []
    async with peer.Upstream(ANSWER) as server:
        up = Upstream("127.0.0.1", server.port, observe=lambda *how: seen.append(how[:2]))
        for _ in range(3):
            await up.ask(packet(), TCP, 20)
        assert server.connections == 1
        server.hang_up()
        while up.count(TCP):
            await asyncio.sleep(0)
        await up.ask(packet(), TCP, 20)
        assert server.connections == 2
        assert seen == [(TCP, False), (TCP, True), (TCP, True), (TCP, False)]
        up.close()


@pytest.mark.parametrize(
    ("keeping", "sockets"),
    [
        pytest.param({}, 1, id="kept"),
        pytest.param({"expire": 0.0}, 3, id="expired"),
        pytest.param({"max_age": 1e-9, "expire": 10.0}, 3, id="too-old"),
    ],
)
async def test_how_long_a_connection_is_kept(keeping, sockets):
    async with peer.Upstream(ANSWER) as server:
        up = to(server, **keeping)
        for _ in range(3):
            await up.ask(packet(), TCP, 20)
            await _clock_moves()
        assert server.connections == sockets
        up.close()


async def _clock_moves() -> None:
    loop = asyncio.get_running_loop()  # uvloop's clock moves in milliseconds
    start = loop.time()
    while loop.time() == start:
        await asyncio.sleep(0)


async def test_busy_connections_get_company_and_max_idle_keeps_few():
    gate = asyncio.Event()

    async def script(asked):
        await gate.wait()
        return ANSWER(asked)

    async with peer.Upstream(script) as server:
        up = to(server, max_idle=1)
        waiting = [up.send(packet(), TCP, 20) for _ in range(70)]
        await server.received(70)
        assert server.connections == 3
        gate.set()
        for future in waiting:
            assert isinstance(await future, bytes)
        assert up.count(TCP) == 1
        up.close()


async def test_udp_ports_change_with_use():
    async with peer.Upstream(lambda q: q.wire[:2] + b"\x81\x80" + q.wire[4:]) as server:
        up = to(server)
        for _ in range(60):
            await asyncio.gather(*(up.ask(packet(), UDP, 20) for _ in range(100)))
        ports = {asked.peer[1] for asked in server.asked}
        assert len(ports) >= 7
        assert up.count(UDP) <= 4
        up.close()


async def test_a_frame_in_pieces_is_one_message():
    reply = []
    closed = asyncio.Event()

    async def serve(reader, writer):
        size = int.from_bytes(await reader.readexactly(2), "big")
        asked = peer.Asked(await reader.readexactly(size), TCP, ())
        message = ANSWER(asked)
        for byte in len(message).to_bytes(2, "big") + message:
            writer.write(bytes((byte,)))
            await writer.drain()
        reply.append(message)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    up = Upstream("127.0.0.1", server.sockets[0].getsockname()[1])
    assert await up.ask(packet(), TCP, 20) == reply[0]
    up.close()
    await closed.wait()
    server.close()


@BOTH
async def test_ask_keeps_the_id_of_the_query(transport):
    async with peer.Upstream(ANSWER) as server:
        reply = await ask(("127.0.0.1", server.port), packet(), transport, 20)
        assert reply[:2] == b"\0\7"


async def test_the_source_address_is_used():
    async with peer.Upstream(ANSWER) as server:
        up = to(server, source="127.0.0.9")
        await up.ask(packet(), UDP, 20)
        await up.ask(packet(), TCP, 20)
        assert [asked.peer[0] for asked in server.asked] == ["127.0.0.9"] * 2
        up.close()


async def test_a_source_address_that_is_not_ours_is_an_error_not_a_crash():
    up = Upstream("127.0.0.1", 53, Keeping(source="192.0.2.1"))
    for transport in (UDP, TCP):
        with pytest.raises(UpstreamError, match="cannot assign requested address"):
            await up.ask(packet(), transport, 20)
    up.close()


async def test_an_abandoned_query_leaves_nothing_behind():
    async with peer.Upstream(peer.drops) as server:
        up = to(server)
        waiting = up.send(packet(), UDP, 20)
        waiting.cancel()
        await server.received(1)
        up.turn(asyncio.get_running_loop().time() + 30)
        assert up.count(UDP) == 0
        up.close()


async def test_after_close_nothing_is_opened_again():
    up = Upstream("127.0.0.1", free_port())
    up.close()
    with pytest.raises(UpstreamError, match="closed"):
        await up.ask(packet(), UDP, 20)
    assert up.count(UDP) == 0


async def test_queries_of_one_turn_go_over_one_socket_and_other_turns_over_others():
    async with peer.Upstream(ANSWER) as server:
        up = to(server, expire=600)
        for _ in range(8):
            await up.ask(packet(), UDP, 20)
        ports = []
        for _ in range(40):
            before = len(server.asked)
            await asyncio.gather(*[up.ask(packet(), UDP, 20) for _ in range(5)])
            ports.append({asked.peer[1] for asked in server.asked[before:]})
        assert {len(here) for here in ports} == {1}
        assert 1 < len(set.union(*ports)) <= 4
        up.close()


async def test_every_query_is_counted_with_the_kind_of_its_socket():
    counted = {True: 0, False: 0}

    def count(transport: str, is_kept: bool, by: int) -> None:
        assert transport == UDP
        counted[is_kept] += by

    async with peer.Upstream(ANSWER) as server:
        up = Upstream("127.0.0.1", server.port, observe=count)
        for _ in range(3):
            await asyncio.gather(*[up.ask(packet(), UDP, 20) for _ in range(7)])
        assert counted == {True: 17, False: 4}
        up.close()


@BOTH
async def test_a_query_too_long_to_be_sent_fails_alone(transport):
    gate = asyncio.Event()

    async def script(asked):
        await gate.wait()
        return peer.wire(peer.reply(asked, f"{asked.name} 1 IN A 10.0.0.1"))

    async with peer.Upstream(script) as server:
        up = to(server)
        others = [up.send(packet(), transport, 20) for _ in range(20)]
        await server.received(20)
        too_long = packet() + bytes({UDP: 65508, TCP: 65536}[transport] - len(packet()))
        with pytest.raises(UpstreamError, match="too long"):
            await up.ask(too_long, transport, 20)
        gate.set()
        assert {address(await one) for one in others} == {"10.0.0.1"}
        up.close()


async def test_a_reply_that_raises_is_not_the_next_ones_loss(monkeypatch):
    line = object.__new__(Datagrams)
    taken = []

    def take(message):
        taken.append(message)
        if message in (b"b", b"c"):
            raise ValueError(message)

    monkeypatch.setattr(line, "take", take, raising=False)
    with pytest.raises(ValueError, match="b"):
        line._take(iter([b"a", b"b", b"c", b"d"]))
    assert taken == [b"a", b"b", b"c", b"d"]
