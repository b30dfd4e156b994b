"""A client of a UDP listener, and the two ways in which one moves packets."""

import pytest

from kdns.server.udp import udp
from tests.server.test_udp import Asker


@pytest.fixture
def asker() -> Asker:
    asker = Asker()
    yield asker
    asker.sock.close()


@pytest.fixture(params=["batches", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "one by one":
        monkeypatch.setattr(udp, "_fits", lambda: False)
    return request.param
