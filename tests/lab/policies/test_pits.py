"""Where a user may put no filter on a listener, those kept away wait all the same."""

import socket
from collections.abc import Iterator

import pytest

from kdns.lab.ground.base import Listener, Listeners
from kdns.lab.policies import enforcement, filters, pits

HERE, FRIEND, OTHER = "127.244.9.9", "127.244.9.1", "127.244.9.2"


@pytest.fixture(params=[True, False], ids=["listening", "not yet"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    made = socket.socket()
    made.bind((HERE, 0))
    if request.param:
        made.listen()
    found = Listener(made, HERE, made.getsockname()[1], "TCP")
    yield found
    Listeners().close(found)


def connects(listener: Listener, source: str, within_s: float = 0.5) -> bool:
    with socket.socket() as asker:
        asker.bind((source, 0))
        asker.settimeout(within_s)
        try:
            asker.connect((HERE, listener.port))
        except TimeoutError:
            return False
        accepted, peer = listener.socket.accept()
        accepted.close()
        assert peer[0] == source
        return True


def test_who_is_kept_away_waits(listener: Listener) -> None:
    pits.attach(listener, frozenset({OTHER}))
    assert [connects(listener, one) for one in (OTHER, FRIEND, OTHER, HERE)] == [
        False,
        True,
        False,
        True,
    ]
    pits.attach(listener, frozenset({FRIEND}))
    assert [connects(listener, one) for one in (OTHER, FRIEND)] == [True, False]
    pits.attach(listener, frozenset())
    assert [connects(listener, one) for one in (OTHER, FRIEND)] == [True, True]


def test_it_ends_with_its_listener(listener: Listener) -> None:
    pits.attach(listener, frozenset({OTHER}))
    Listeners().close(listener)
    with socket.socket() as asker, pytest.raises(ConnectionRefusedError):
        asker.connect((HERE, listener.port))


def test_nothing_is_dug_for_nobody(listener: Listener) -> None:
    pits.attach(listener, frozenset())
    assert not listener.beside


def test_it_is_taken_where_filters_are_forbidden(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(filters, "attach", forbidden)
    enforcement._attach(listener, frozenset({OTHER}))
    assert [connects(listener, one) for one in (OTHER, FRIEND)] == [False, True]
    monkeypatch.undo()
    enforcement._attach(listener, frozenset())
    assert connects(listener, OTHER)
