"""The comparison of metrics sees what it must, and finds nothing between CoreDNS and kdns."""

import pytest

from tests.differential import peer
from tests.differential.metrics import compare, grown, run

ZONE = (("server", "dns://:PORT"), ("zone", "."))


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("coredns_dns_requests_total", {ZONE: 2.0}, {ZONE: 3.0}),
        ("coredns_dns_requests_total", {ZONE: 2.0}, {}),
        ("coredns_dns_requests_total", {ZONE: 2.0}, {(*ZONE, ("more", "x")): 2.0}),
        ("coredns_new_total", {(): 1.0}, {}),
        ("coredns_dns_request_duration_seconds_bucket", {ZONE: 1.0}, {}),
        ("coredns_dns_response_size_bytes_sum", {ZONE: 1.0}, {}),
        ("coredns_cache_hits_total", {ZONE: 1.0}, {ZONE: 2.0}),
        ("process_open_fds", {(): 9.0}, {}),
        ("coredns_build_info", {(("version", "1"),): 1.0}, {(("release", "1"),): 1.0}),
    ],
)
def test_a_difference_is_seen(name, theirs, ours):
    assert compare({name: theirs}, {name: ours}).wrong


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "known"),
    [
        ("coredns_dns_responses_total", {(("plugin", "errors"), *ZONE): 2.0},
         {(("plugin", "hosts"), *ZONE): 1.0, (("plugin", ""), *ZONE): 1.0}, "plugin"),
        ("coredns_dns_response_size_bytes_sum", {ZONE: 1.0}, {ZONE: 2.0}, "response size"),
        ("kdns_refused_total", {}, {(): 1.0}, "ours"),
        ("go_threads", {(): 1.0}, {}, "theirs"),
    ],
)  # fmt: skip
def test_a_known_difference_has_its_name(name, theirs, ours, known):
    found = compare({name: theirs}, {name: ours})
    assert not found.wrong
    assert found.known == {known: 1}


def test_counts_are_compared_by_how_much_they_grew():
    before = {"a_total": {(): 5.0}, "a": {(): 5.0}}
    after = {"a_total": {(): 7.0}, "a": {(): 7.0}}
    assert grown(before, after) == {"a_total": {(): 2.0}, "a": {(): 7.0}}


@pytest.mark.peer
@pytest.mark.skipif(peer.coredns() is None, reason="CoreDNS is not installed")
async def test_both_count_alike():
    assert (await run("test", 60)).wrong == []
