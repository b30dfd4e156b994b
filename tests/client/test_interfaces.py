"""The addresses of this machine, as a listener owns them."""

from kdns.client import interfaces as module
from kdns.wire import records


def test_wildcard_listeners_own_every_address_but_loopback(monkeypatch):
    tables = {"lo": ("127.0.0.1", "::1"), "eth0": ("192.0.2.2", "fd00::2"), "tun0": ()}
    monkeypatch.setattr(module, "interfaces", lambda: tables)
    found = [records.address("192.0.2.2"), records.address("fd00::2")]
    assert list(module.own_addresses((("", 53), ("0.0.0.0", 54)))) == found
    assert module.own_addresses((("127.0.0.1", 53), ("fe80::1%eth0", 53))) == (
        records.address("127.0.0.1"),
        records.address("fe80::1"),
    )
