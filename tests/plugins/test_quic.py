"""quic: what is taken, and what is said where the package or a certificate is missing."""

import pytest

from kdns.server import terms as terms_module
from kdns.server.assembly import Services, build
from kdns.server.terms import UNLIMITED
from tests.serving import mistakes

BLOCK = "quic://. {{\n tls a b\n quic {{\n{}\n }}\n whoami\n}}\n"


@pytest.fixture
def _there() -> None:
    pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", (200, 256, 1024)),
        ("max_connections 0\nmax_streams 20\nworker_pool_size 7", (UNLIMITED, 20, 7)),
    ],
)
def test_bounds_are_kept_to(inside: str, expected: tuple[int, int, int]) -> None:
    errors: list[Exception] = []
    [terms] = build(BLOCK.format(inside), "Corefile", Services(), errors).terms.values()
    assert not errors
    assert (terms.max_connections, terms.max_streams, terms.pool) == expected


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("max_streams 0", "at least 1"),
        ("max_streams 1 2", "unexpected '2'"),
        ("max_streams 1\nmax_streams 1", "may stand once"),
        ("worker_pool_size 0", "at least 1"),
        ("max_connections -1", "at least 0"),
        ("max_connections x", "a whole number"),
        ("bogus", "unknown option"),
    ],
)
def test_what_is_wrong_is_said(inside: str, why: str) -> None:
    [error] = mistakes(BLOCK.format(inside))
    assert why in error


@pytest.mark.usefixtures("_there")
def test_it_needs_a_certificate_and_cannot_ask_for_one() -> None:
    [error] = mistakes("quic://. {\n whoami\n}\n")
    assert "quic:// needs `tls`" in error
    asks = "quic://. {\n tls a b c {\n  client_auth require\n }\n whoami\n}\n"
    [error] = mistakes(asks)
    assert "client_auth require is not implemented for quic://" in error


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_module, "find_spec", lambda _name: None)
    [error] = mistakes("quic://. {\n tls a b\n whoami\n}\n")
    assert "pip install 'kdns[quic]'" in error
