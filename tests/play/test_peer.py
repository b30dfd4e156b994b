"""CoreDNS in our place: clients in pods find and reach the same."""

from collections.abc import Iterator

import pytest

from tests.differential.peer import coredns
from tests.play.cluster import Cluster, Way, playing, shop
from tests.play.test_clients import (
    test_programs_that_are_built_find_and_connect,
    test_services_of_both_families_are_reached_by_both,
    test_who_fetches_is_told_by_whom,
    test_who_looks_a_name_up_finds_its_addresses,
)  # fmt: skip

BINARY = coredns()
pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(BINARY is None, reason="coredns is not installed"),
]
__all__ = [
    "test_programs_that_are_built_find_and_connect",
    "test_services_of_both_families_are_reached_by_both",
    "test_who_fetches_is_told_by_whom",
    "test_who_looks_a_name_up_finds_its_addresses",
]


@pytest.fixture(scope="module")
def cluster(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The shop, whose names CoreDNS serves."""
    folder = tmp_path_factory.mktemp(way)
    server = f"{BINARY} -conf {{corefile}}"
    with playing(folder, way, shop(folder, way), dns=server) as found:
        yield found
