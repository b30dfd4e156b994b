"""What endpoints see of who asks."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from kdns.lab.ground.base import Listener
from kdns.lab.ground.loopback import Loopback
from kdns.lab.proxy.dial import Dial
from kdns.lab.proxy.slices import Endpoint

POD = "127.244.207.3"


@pytest.fixture
def ground() -> Iterator[Loopback]:
    with closing(Loopback()) as found:
        yield found


@pytest.mark.parametrize(
    ("asker", "seen"),
    [
        (POD, POD),
        ("127.18.0.12", "127.18.0.12"),
        ("127.96.20.1", "127.0.0.1"),
        ("127.51.100.2", "127.0.0.1"),
    ],
    ids=["a pod", "a node", "the host network, of a service", "the host network, of a balancer"],
)
async def test_no_endpoint_is_asked_by_a_service(ground: Loopback, asker: str, seen: str) -> None:
    listener: Listener = ground.listen(ground.ranges.server, 0, "TCP")
    listener.socket.listen()
    port = listener.socket.getsockname()[1]
    ground.admit(ground.ranges.server, port)
    with await Dial(ground).connect(Endpoint(ground.ranges.server, port), asker) as made:
        assert made.getsockname()[0] == seen
