"""No query is lost or answered wrongly: through fifty reloads, and when processes take turns."""

import asyncio
from pathlib import Path

import pytest

from kdns.server.assembly import Services, build
from kdns.server.reload import Reloader
from kdns.server.service import Service
from tests.running import Running, free_port
from tests.server.load import Load
from tests.upstream import Asked, Upstream, reply, wire

COREFILE = """.:{port} {{
    bind 127.0.0.1
    acl {{
        allow net 127.0.0.0/8
    }}
    template IN A slow.example {{
        match ^never
        fallthrough
    }}
    forward slow.example 127.0.0.1:{upstream}
    template IN A example {{
        match ^[hu]
        answer "{{{{ .Name }}}} 60 IN A 10.0.0.{value}"
        fallthrough
    }}
}}
"""
MORE = """.:{port} {{
    bind 127.0.0.2
    whoami
}}
"""
BROKEN = (
    ". {{\n whoam\n}}\n",
    ".:{port} {{\n bind 127.0.0.1\n forward . /none/resolv.conf\n}}\n",
    ".:{port} {{\n bind 127.0.0.1\n whoami\n}}\n.:53 {{\n bind 240.0.0.1\n whoami\n}}\n",
)


async def slowly(asked: Asked) -> bytes:
    await asyncio.sleep(0.03)
    return wire(reply(asked, f"{asked.name} 60 IN A 10.0.0.99"))


class Reloading:
    """A server in this process, and what replaces its Corefile."""

    def __init__(self, upstream: int, port: int = 0) -> None:
        self.upstream = upstream
        self.port = port
        self.text = self.corefile(1)
        self.services = Services()
        errors: list[Exception] = []
        self.service = Service(build(self.text, "Corefile", self.services, errors), self.services)
        assert not errors
        source = lambda: (self.text, "Corefile")  # noqa: E731
        self.reloader = Reloader(self.service, self.services, source, port=53)

    def corefile(self, value: int) -> str:
        more = MORE.format(port=self.port) if value == 2 else ""
        return COREFILE.format(port=self.port, upstream=self.upstream, value=value) + more


@pytest.mark.slow
async def test_fifty_reloads_lose_no_query_and_answer_none_wrongly() -> None:
    async with Upstream(slowly) as upstream:
        server = Reloading(upstream.port)
        await server.service.start()
        load = Load(server.service.addresses[0][1], [frozenset({1})])
        load.start(udp=12, tcp=4)
        value = 1
        for turn in range(50):
            before, value = value, 3 - value
            if turn % 5 == 2:
                server.text = BROKEN[turn % len(BROKEN)].format(port=0)
                assert not await server.reloader.check()
            server.text = server.corefile(value)
            load.allowed.append(frozenset({before, value}))
            assert await server.reloader.check()
            load.allowed.append(frozenset({value}))
            await asyncio.sleep(0.02)
        await load.end()
        await server.service.stop()
    assert load.lost == []
    assert load.wrong == []
    assert load.reconnects == 0
    assert load.asked > 1000
    assert min(load.answers[1], load.answers[2], load.answers[99]) > 100


@pytest.mark.slow
async def test_processes_that_take_turns_on_a_port_lose_no_query(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    async with Upstream(slowly) as upstream:
        file.write_text(
            COREFILE.format(port=53, upstream=upstream.port, value=1).replace(":53", "")
        )
        port = free_port()
        load = Load(port, [frozenset({1})], pace_s=0.002)
        old = Running(file, port=port)
        await asyncio.to_thread(old.wait)
        load.start(udp=12, tcp=4)
        for _ in range(5):
            new = Running(file, port=port)
            while not (await asyncio.to_thread(new.process.stdout.readline)).startswith("kdns-"):
                pass
            await asyncio.sleep(0.1)
            assert (await asyncio.to_thread(old.end))[0] == 0
            old = new
        await load.end()
        old.end()
    assert load.lost == []
    assert load.wrong == []
    assert load.asked > 1000
