"""dnstap: what was asked and answered, read by the real readers and by a decoder of our own."""

import asyncio
import shutil
import ssl
import struct
import subprocess
from contextlib import asynccontextmanager

import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.observe.frames import ACCEPT, READY, START, STOP, Queue, control
from kdns.plugins.base import Client, Life, Seen
from kdns.plugins.dnstap import Dnstap
from kdns.wire.names import ROOT
from tests import fakes
from tests.tabled import query, served
from tests.upstream import Upstream, reply, wire

CORE = ".:0 {{\n dnstap {} {{\n {}\n }}\n hosts {{\n 10.0.0.1 a.example\n }}\n}}\n"


def fields(data):
    """A message of protocol buffers as {field: value}."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            octet = data[at]
            at += 1
            value |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found[tag >> 3] = varint()
            continue
        size = varint() if tag & 7 == 2 else 4
        found[tag >> 3] = data[at : at + size]
        at += size
    return found


class Reader:
    """A reader of frame streams that says what it got."""

    def __init__(self):
        self.got = []
        self.kinds = []
        self.came = asyncio.Event()

    async def read(self, reader, writer):
        try:
            while True:
                size = struct.unpack("!I", await reader.readexactly(4))[0]
                if size:
                    self.got.append(fields(await reader.readexactly(size)))
                else:
                    size = struct.unpack("!I", await reader.readexactly(4))[0]
                    body = await reader.readexactly(size)
                    self.kinds.append(struct.unpack("!I", body[:4])[0])
                    if self.kinds[-1] == READY:
                        writer.write(control(ACCEPT, body[12:]))
                self.came.set()
        except (EOFError, OSError):
            pass
        finally:
            self.came.set()
            writer.close()

    async def until(self, count):
        while len(self.got) < count:
            await self.came.wait()
            self.came.clear()
        return self.got


@asynccontextmanager
async def reading(path=None, context=None):
    one = Reader()
    if path:
        server = await asyncio.start_unix_server(one.read, str(path))
    else:
        server = await asyncio.start_server(one.read, "127.0.0.1", 0, ssl=context)
        one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one


async def test_query_and_reply_are_told_over_a_unix_socket(tmp_path):
    path = tmp_path / "s"
    core = CORE.format(f"{path} full", 'identity me\n version 1\n extra "x {/a/b}"')
    async with reading(path) as reader:
        async with served(core) as one:
            packet = query("a.example", size=1232)
            reply = await one.wire(packet, "10.1.2.3")
            one.pipeline.tell()
            asked, answered = await reader.until(2)
        while STOP not in reader.kinds:
            await asyncio.sleep(0.005)
    assert [asked[n] for n in (1, 2, 3, 15)] == [b"me", b"1", b"x -", 1]
    message = fields(asked[14])
    assert [message[n] for n in (1, 2, 3, 4, 5, 6, 7)] == [
        5, 1, 1, b"\x0a\1\2\3", b"\x7f\0\0\1", 40000, 53,
    ]  # fmt: skip
    assert (message[8], message[9]) == (1000, bytes(4))
    assert message[10] == packet
    assert not {12, 14} & set(message)
    message = fields(answered[14])
    assert message[1] == 6
    assert message[14] == reply
    assert message[8] == message[12] == 1000
    assert 10 not in message
    assert reader.kinds == [READY, START, STOP]


async def test_hits_of_the_table_are_told_too_and_bare_ones_hold_no_packets(tmp_path):
    async with (
        reading() as reader,
        served(CORE.format(f"tcp://127.0.0.1:{reader.port}", "")) as one,
    ):
        for _ in range(6):
            await one.wire(query("a.example"), "fd00::1")
        one.pipeline.tell()
        found = [fields(one[14]) for one in (await reader.until(12))]
    assert [message[1] for message in found] == [5, 6] * 6
    assert all(message[2] == 2 and message[4][:2] == b"\xfd\0" for message in found)
    assert not any({10, 14} & set(message) for message in found)


async def test_over_tls_the_certificate_must_be_right_unless_that_is_skipped(tmp_path):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    key, cert = str(tmp_path / "key"), str(tmp_path / "cert")
    command += ["-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=x"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with reading(context=context) as reader:
        for option in ("", "skipverify"):
            core = CORE.format(f"tls://127.0.0.1:{reader.port} full", option)
            async with served(core) as one:
                await one.wire(query("a.example"))
                one.pipeline.tell()
                if option:
                    await reader.until(2)
                else:
                    await asyncio.sleep(0.1)
                    assert not reader.got
    assert len(reader.got) == 2


async def test_readers_may_call_us(tmp_path):
    path = tmp_path / "door"
    async with served(CORE.format(f"listen {path} full", "")) as one:
        readers = [Reader(), Reader()]
        for reader in readers:
            while True:
                try:
                    streams = await asyncio.open_unix_connection(str(path))
                    break
                except OSError:
                    await asyncio.sleep(0.01)
            reader.task = asyncio.ensure_future(reader.read(*streams))
            while START not in reader.kinds:
                await asyncio.sleep(0.005)
        await one.wire(query("a.example"))
        one.pipeline.tell()
        for reader in readers:
            assert len(await reader.until(2)) == 2
    for reader in readers:
        await reader.task


@pytest.mark.skipif(
    not (shutil.which("fstrm_capture") and shutil.which("dnstap-read")),
    reason="fstrm_capture (fstrm-bin) and dnstap-read (bind9-dnsutils) are not installed",
)
async def test_the_real_readers_read_it(tmp_path):
    path, file = tmp_path / "s", tmp_path / "file"
    capture = await asyncio.create_subprocess_exec(
        "fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", path, "-w", file,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not path.exists():
            await asyncio.sleep(0.01)
        async with served(CORE.format(f"{path} full", "")) as one:
            await one.wire(query("a.example", size=1232))
            await one.wire(query("b.example", "MX"), "fd00::1")
            sent = ("kdns_dnstap_sent_bytes_total",)
            one.pipeline.tell()
            while not one.counters.values.get(sent):
                await asyncio.sleep(0.01)
        while "\0" not in file.read_bytes().decode("latin1") or file.stat().st_size < 300:
            capture.send_signal(1)
            await asyncio.sleep(0.02)
    finally:
        capture.terminate()
        await capture.wait()
    shown = subprocess.run(["dnstap-read", file], capture_output=True, text=True, check=True)
    lines = [line.split(" ", 2)[2] for line in shown.stdout.splitlines()]
    assert [line.split()[0] for line in lines] == ["CQ", "CR", "CQ", "CR"]
    assert "10.0.0.1" not in shown.stdout
    assert "127.0.0.1:40000 -> 127.0.0.1:53 UDP" in lines[0]
    assert "a.example/IN/A" in lines[1]
    assert "b.example/IN/MX" in lines[2]


@pytest.mark.parametrize("retries", [False, True])
async def test_what_upstreams_are_asked_is_told(tmp_path, retries):
    path = tmp_path / "s"

    def script(asked):
        flags = "RA TC" if retries and asked.transport == "udp" else "RA"
        found = () if "TC" in flags else ("a.example. 5 IN A 10.0.0.1",)
        return wire(reply(asked, *found, flags=flags))

    async with reading(path) as reader, Upstream(script) as upstream:
        core = f".:0 {{\n dnstap {path} full\n forward . 127.0.0.1:{upstream.port} {{\n"
        async with served(core + " prefer_udp\n }\n}\n") as one:
            assert (await one.ask("a.example")).answer
            one.pipeline.tell()
            found = [fields(one[14]) for one in (await reader.until(6 if retries else 4))]
    assert [message[1] for message in found] == [7, 8] * (1 + retries) + [5, 6]
    assert [message[3] for message in found[:-2:2]] == [1, 2][: 1 + retries]
    assert found[0][5] == b"\x7f\0\0\1"
    assert found[0][7] == upstream.port
    assert not {4, 6} & set(found[0])
    asked, said = dns.message.from_wire(found[0][10]), dns.message.from_wire(found[1][14])
    assert asked.question == said.question
    assert said.answer or retries


async def test_of_several_workers_one_listens(tmp_path, caplog):
    where = fakes.site(life=Life(is_lead=False))
    [plugin] = fakes.plugins(f"dnstap listen {tmp_path}/s", where, Dnstap)
    await plugin.start()
    plugin.observe(batch(3, 12))
    assert "one worker alone listens" in caplog.text
    assert not where.shared


def batch(count, size):
    who = Client(b"\x7f\0\0\1", 4000, "udp", b"\x7f\0\0\1", 53)
    packet = dns.message.make_query("a.example", "A").to_wire()
    return [Seen(packet, who, bytes(size), "hosts", ROOT, 0.0, 0.0) for _ in range(count)]


def test_without_a_reader_the_queue_is_bounded_and_drops_are_counted():
    [plugin] = fakes.plugins("dnstap /nowhere full", fakes.site(), Dnstap)
    for _ in range(100):
        plugin.observe(batch(200, 100))
    counted = plugin.site.counters.values[("kdns_dnstap_dropped_total",)]
    assert counted == 100 * 400 - 10_000
    for _ in range(10):
        plugin.observe(batch(200, 60_000))
    assert plugin.site.counters.values[("kdns_dnstap_dropped_total",)] == counted + 4000


def test_a_queue_is_bounded_in_octets_too():
    dropped = []
    queue = Queue(1000, 1000, dropped.append)
    queue.put([bytes(300)] * 10)
    assert dropped == [7]
    assert len(queue.now(2)) == 600
    queue.put([bytes(300)] * 3)
    assert (sum(dropped), len(queue.now(99))) == (8, 900)


async def test_a_reader_that_does_not_read_stops_nobody(tmp_path):
    path = tmp_path / "s"

    async def stuck(reader, writer):
        await reader.readexactly(8)
        writer.write(control(ACCEPT, b"protobuf:dnstap.Dnstap"))
        await over.wait()
        writer.close()
        await writer.wait_closed()

    over = asyncio.Event()
    server = await asyncio.start_unix_server(stuck, str(path), limit=1024)
    async with server, served(CORE.format(f"{path} full", "")) as one:
        plugin = one.plugins[0]
        while not one.counters.values.get(("kdns_dnstap_dropped_total",)):
            plugin.observe(batch(500, 1000))
            await asyncio.sleep(0)
        assert (await one.ask("a.example")).answer
    over.set()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "args",
    [
        "", "listen", "/s full x", "/s full 0", "/s full 1025", "/s full 1 4097", "/s full 1 0",
        "tcp://127.0.0.1", "/s {\n identity\n }", "/s {\n skipverify x\n }", "/s {\n other\n }",
        "listen tls://127.0.0.1:1",
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(args):
    with pytest.raises(ConfigError):
        fakes.chain(f"dnstap {args}", Dnstap)


def test_the_queue_is_as_long_as_asked_for():
    [plugin] = fakes.plugins("dnstap /nowhere full 16 2", fakes.site(), Dnstap)
    assert plugin.sink._queue.most == 20_000
    assert plugin.sink._queue.most_bytes == 16 << 20
