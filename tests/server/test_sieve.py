"""The kernel's filter: its program decides as the verdict does, and a real socket obeys it."""

import socket
import struct
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.server.udp.shares import Verdict
from kdns.server.udp.sieve import Kernel, program

NET, RANDOM = -0x100000, -0x1000 + 56


def kept(steps, address: bytes, drawn: int) -> bool:
    """Runs a program on a packet of this sender, as the kernel does."""
    if len(address) == 4:
        header = b"\x45" + bytes(11) + address + bytes(4)
    else:
        header = b"\x60" + bytes(7) + address + bytes(16)
    at, value = 0, 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x20:
            where = operand - NET
            is_drawn = operand == RANDOM
            value = drawn if is_drawn else int.from_bytes(header[where : where + 4], "big")
        elif code == 0x30:
            value = header[operand - NET]
        elif code == 0x54:
            value &= operand
        elif code == 0x05:
            at += operand
        elif code in (0x15, 0x35):
            is_so = value == operand if code == 0x15 else value >= operand
            at += yes if is_so else no
        else:
            assert code == 0x06
            return operand > 0


SENDERS = [
    *("10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1", "192.0.2.1"),
    *("fd00::1", "fd00::2", "fd00:0:0:100::1", "fd01::1"),
]
PACKED = [ip_address(one).packed for one in SENDERS]


@given(
    widths=st.sampled_from([(32, 128), (24, 56)]),
    named=st.dictionaries(st.sampled_from(PACKED), st.floats(0, 0.99), max_size=5),
    rest=st.floats(0, 1),
    sender=st.sampled_from(PACKED),
    drawn=st.integers(0, 2**32 - 1),
    exempt=st.sampled_from([(), ("10.0.0.0/23",), ("fd00::/32", "10.1.0.1/32")]),
)
def test_the_program_decides_as_the_verdict(widths, named, rest, sender, drawn, exempt):
    nets = [ip_network(one) for one in exempt]
    passes = {one[: widths[len(one) == 16] // 8]: share for one, share in named.items()}
    verdict = Verdict(widths, passes, rest)
    is_exempt = any(ip_address(sender) in net for net in nets)
    share = 1.0 if is_exempt else verdict.of(sender)
    expected = share >= 1 or drawn < int(share * 2**32)
    assert kept(program(verdict, nets), sender, drawn) == expected


def test_jumps_of_a_long_program_stay_within_a_byte():
    passes = {bytes([10, 0, at // 256, at % 256]): 0.5 for at in range(64)}
    passes |= {bytes(14) + bytes([1, at]): 0.5 for at in range(64)}
    steps = program(Verdict(passes=passes, rest=0.5))
    assert len(steps) < 4096
    assert all(0 <= yes <= 255 and 0 <= no <= 255 for _, yes, no, _ in steps)
    struct.pack("=HBBI", *steps[0][:3], steps[0][3] & 0xFFFFFFFF)


def bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    if host == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def arrived(server: socket.socket, sender: str, count: int = 1) -> int:
    """How many packets of a sender come through."""
    with bound(sender) as client:
        port = server.getsockname()[1]
        for _ in range(count):
            client.sendto(b"x" * 40, ("::1" if ":" in sender else "127.0.0.1", port))
    found = 0
    while True:
        try:
            server.recv(99)
            found += 1
        except BlockingIOError:
            return found


@pytest.fixture(params=["127.0.0.1", "::"])
def server(request):
    with bound(request.param) as sock:
        if Kernel(sock).is_dumb:
            pytest.skip("this kernel has no SO_MEMINFO")
        yield sock


def test_a_socket_gets_what_the_verdict_lets_through_and_all_of_it_afterwards(server):
    kernel = Kernel(server)
    before = kernel.dropped()
    held = {ip_address("127.0.0.2").packed: 0.0, ip_address("127.0.0.4").packed: 0.5}
    assert kernel.attach(Verdict(passes=held))
    assert arrived(server, "127.0.0.2", 3) == 0
    assert arrived(server, "127.0.0.3", 3) == 3
    assert 100 < arrived(server, "127.0.0.4", 400) < 300
    assert kernel.dropped() - before > 100
    assert kernel.attach(Verdict((24, 56), {b"\x7f\0\1": 0.0}))
    assert [arrived(server, one) for one in ("127.0.0.2", "127.0.1.2")] == [1, 0]
    assert kernel.attach(Verdict(passes={}, rest=0.0), [ip_network("127.0.2.0/24")])
    assert [arrived(server, one) for one in ("127.0.0.2", "127.0.2.2")] == [0, 1]
    kernel.detach()
    assert arrived(server, "127.0.0.2", 3) == 3
    kernel.detach()


def test_ipv6_senders_are_told_apart_from_ipv4_ones():
    with bound("::") as server:
        kernel = Kernel(server)
        if kernel.is_dumb:
            pytest.skip("this kernel has no SO_MEMINFO")
        assert kernel.attach(Verdict(passes={ip_address("::1").packed: 0.0}))
        assert arrived(server, "::1") == 0
        assert arrived(server, "127.0.0.1") == 1


def test_what_cannot_be_attached_is_said_and_nothing_stays():
    sock = bound("127.0.0.1")
    kernel = Kernel(sock)
    sock.close()
    assert not kernel.attach(Verdict(passes={b"\x7f\0\0\2": 0.0}))
    kernel.detach()
