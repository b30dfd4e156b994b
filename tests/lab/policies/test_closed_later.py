"""A listener that has served already can be closed by a pit, as a policy that comes later does."""

import socket
from contextlib import closing

import pytest

from kdns.lab.ground.loopback import Loopback
from kdns.lab.policies import pits

AWAY = "127.0.0.9"


@pytest.mark.parametrize("has_ended", [False, True], ids=["connected", "in TIME_WAIT"])
def test_a_listener_that_has_served_is_closed_all_the_same(has_ended: bool) -> None:
    with closing(Loopback()) as ground:
        listener = ground.listen(ground.ranges.server, 0, "TCP")
        listener.socket.listen()
        listener.socket.setblocking(True)
        where = listener.socket.getsockname()
        with socket.create_connection(where) as asker, listener.socket.accept()[0] as served:
            if has_ended:
                served.close()
                assert not asker.recv(1)
                asker.close()
            pits.attach(listener, frozenset({AWAY}))
        with socket.socket() as kept_away:
            kept_away.bind((AWAY, 0))
            kept_away.settimeout(0.3)
            with pytest.raises(TimeoutError):
                kept_away.connect(where)
