"""Labs that are played, one for each module and ground."""

from collections.abc import Iterator

import pytest

from tests.play.cluster import Cluster, Way, playing, shop


@pytest.fixture(scope="module", params=["namespaces", "loopback"])
def way(request: pytest.FixtureRequest) -> Way:
    """Where it is played."""
    return request.param


@pytest.fixture(scope="module")
def cluster(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The shop, all of whose pods are ready."""
    folder = tmp_path_factory.mktemp(way)
    with playing(folder, way, shop(folder, way)) as found:
        yield found
