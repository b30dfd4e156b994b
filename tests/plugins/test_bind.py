"""bind: what addresses and interfaces mean, on a machine of the test's making and on this one."""

import socket

import pytest

from kdns.client.interfaces import interfaces
from kdns.corefile.tree import ConfigError
from kdns.plugins.bind import Bind
from kdns.server.assembly import Services, build
from tests import fakes

MACHINE = {
    "lo": ("127.0.0.1", "::1"),
    "eth0": ("192.0.2.2", "fd00::2", "fe80::1%eth0"),
    "down0": (),
}


class Reading(Bind):
    """A directive that is checked but does not look at this machine."""

    def __init__(self, text: str) -> None:
        directive = fakes.parse(
            f".:53 {{\n{text}\n}}\n", "Corefile", environ={}, read=None, glob=None
        )[0].directives[0]
        self.settings = fakes.check(directive, Bind.syntax)


def bound(text: str) -> tuple[str, ...]:
    return Reading(text).addresses(MACHINE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bind 10.0.0.1", ["10.0.0.1"]),
        ("bind 10.0.0.1 ::1", ["10.0.0.1", "::1"]),
        ("bind 0:0::1", ["::1"]),
        ("bind lo", ["127.0.0.1", "::1"]),
        ("bind eth0", ["192.0.2.2", "fd00::2", "fe80::1%eth0"]),
        ("bind fe80::1%eth0", ["fe80::1%eth0"]),
        ("bind lo {\n except ::1\n}", ["127.0.0.1"]),
        ("bind lo {\n except 0::1\n}", ["127.0.0.1"]),
        ("bind lo eth0 {\n except lo fd00::2\n}", ["192.0.2.2", "fe80::1%eth0"]),
        ("bind lo eth0 {\n except lo\n except fd00::2\n}", ["192.0.2.2", "fe80::1%eth0"]),
        ("bind 10.0.0.1 {\n except eth0\n}", ["10.0.0.1"]),
    ],
)
def test_addresses(text, expected):
    assert list(bound(text)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bind eth1", "expected an address or an interface (lo, eth0, down0), found 'eth1'"),
        ("bind 127.0.0.1:53", "found '127.0.0.1:53'"),
        ("bind [::1]", "found '[::1]'"),
        ("bind localhost", "found 'localhost'"),
        ("bind lo {\n except nix\n}", "found 'nix'"),
        ("bind lo {\n except lo\n}", "no address is left"),
        ("bind down0", "no address is left"),
        ("bind", "end of the line"),
        ("bind lo {\n except\n}", "end of the line"),
        ("bind lo {\n only ::1\n}", "unknown option 'only'"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        bound(text)
    assert why in str(caught.value)


def test_several_directives_add_up():
    errors = []
    text = ".:0 {\n bind 127.0.0.5\n bind 127.0.0.6 ::1\n whoami\n}\n"
    assembly = build(text, "Corefile", Services(), errors)
    assert not errors
    assert [(one.host, one.port) for one in assembly.routers] == [
        ("127.0.0.5", 0), ("127.0.0.6", 0), ("::1", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["bind 127.0.0.5 127.0.0.5", "bind 127.0.0.5\n bind 127.0.0.6 127.0.0.5"]
)
def test_an_address_given_twice_is_a_mistake(text):
    errors = []
    build(f".:0 {{\n {text}\n whoami\n}}\n", "Corefile", Services(), errors)
    assert "127.0.0.5 is given twice" in str(errors)


def test_this_machine_has_a_loopback_whose_addresses_can_be_bound():
    table = interfaces()
    assert set(table) >= {name for _, name in socket.if_nameindex()}
    [name] = [name for name, addresses in table.items() if "127.0.0.1" in addresses]
    assert table[name][0] == "127.0.0.1"
    for address in table[name]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        place = socket.getaddrinfo(address, 0, family, socket.SOCK_DGRAM)[0][4]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(place)
