"""Where something is listened for: names among workers, labels in metrics, ports that are shared."""

import pytest

from kdns.server.places import PROXIED, Place
from tests.serving import mistakes


@pytest.mark.parametrize(
    ("place", "name", "label"),
    [
        (Place("dns", "", 53), "", "dns://:53"),
        (Place(PROXIED, "127.0.0.1", 0), "127.0.0.1", None),
        (Place("tls", "::1", 853), "tls://::1", "tls://[::1]:853"),
        (Place("https", "", 443), "https://", "https://:443"),
    ],
)
def test_names(place: Place, name: str, label: str | None) -> None:
    assert place.name == name
    assert label is None or place.label == label


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ("tls://a https://a:853", "TCP"),
        ("tls://a:53 b", "TCP"),
        ("quic://a:53 b", "UDP"),
        ("quic://a:443 https3://b", "UDP"),
        ("grpc://a https://b", "TCP"),
    ],
)
def test_two_that_speak_differently_cannot_share_a_port(keys: str, kind: str) -> None:
    pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")
    [error] = mistakes(f"{keys} {{\n tls a b\n whoami\n}}\n")
    assert f"cannot share {kind} port" in error


def test_a_stream_and_datagrams_can() -> None:
    pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")
    assert not mistakes("tls://a quic://a https://a https3://a {\n tls a b\n whoami\n}\n")
    assert not mistakes("tls://a:0 https://a:0 {\n tls a b\n whoami\n}\n")
