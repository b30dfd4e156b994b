"""Labs that are played, one for each module and ground."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.play.cluster import HERE, Cluster, Way, playing


@pytest.fixture(scope="module", params=["namespaces", "loopback"])
def way(request: pytest.FixtureRequest) -> Way:
    """Where it is played."""
    return request.param


@pytest.fixture(scope="module")
def cluster(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The shop, all of whose pods are ready."""
    manifests = [HERE / "shop.yaml", *([HERE / "shop6.yaml"] if way == "namespaces" else [])]
    with playing(tmp_path_factory.mktemp(way), way, manifests) as found:
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A folder that pods can see: not below /tmp, which is theirs."""
    yield tmp_path
    with suppress(OSError):
        tmp_path.rmdir()
