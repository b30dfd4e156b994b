"""Search paths are walked as the real tools walk them, whatever resolv.conf says."""

import pytest

from tests.lab.tools.comparing import comparable
from tests.lab.tools.conftest import RESOLV, Bench


@pytest.mark.parametrize("tool", ["getent hosts", "nslookup", "dig +search +noall +answer"])
@pytest.mark.parametrize("name", ["web.shop", "www.example.org", "nosuch"])
@pytest.mark.parametrize(
    "resolv",
    [
        RESOLV.replace("ndots:5", "ndots:1"),
        "nameserver 127.96.0.99\nnameserver 127.96.0.10\nsearch svc.cluster.local\n",
        "search a.example\nsearch svc.cluster.local.\nnameserver 127.96.0.10\noptions ndots:2\n",
    ],
)
def test_search_paths_are_walked_as_the_real_ones_walk_them(
    bench: Bench, tool: str, name: str, resolv: str
) -> None:
    ours, real = bench.both(*tool.split(), name, resolv=resolv)
    assert comparable(ours) == comparable(real)
