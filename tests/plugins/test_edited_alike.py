"""What edits or caps answers says the same with the answer table and without, whoever came first."""

from itertools import permutations
from random import Random

import pytest

from kdns.plugins.base import Client
from kdns.server.pipeline import Pipeline
from kdns.wire import records
from tests.tabled import Served, query

REST = "".join(f" 10.0.0.{at} a.example\n" for at in range(40))
BLOCKS = {
    "header": "header {\n query clear rd\n response set ra\n}",
    "minimal": "minimal",
    "bufsize": "bufsize 600",
    "nsid": "nsid here",
    "any": "any",
    "local": "local",
    "ede": "ede verbose",
    "chaos": "chaos v a",
    "cancel": "cancel",
}
WHO = ("127.0.0.1", "10.1.2.3", "fd00::1")
HOW = (
    {"name": "a.example"},
    {"name": "A.Example", "flags": 0},
    {"name": "a.example", "size": 512},
    {"name": "a.example", "size": 4096, "do": True},
    {"name": "a.example", "size": 1232, "options": ((3, b""),)},
    {"name": "a.example", "size": 800, "options": ((10, bytes(8)),)},
    {"name": "a.example", "type_": "AAAA", "size": 1232},
    {"name": "b.a.example", "size": 1232},
    {"name": "a.example", "type_": "ANY"},
    {"name": "localhost.a.example"},
    {"name": "version.bind", "type_": "TXT", "cls": "CH"},
)


@pytest.mark.parametrize("whole", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("names", [*[(name,) for name in BLOCKS], tuple(BLOCKS)], ids=",".join)
async def test_the_table_only_remembers(names, whole):
    blocks = "\n".join(BLOCKS[name] for name in names)
    corefile = f".:0 {{\n {blocks}\n hosts {{\n{REST}}}\n}}\n"
    for order in list(permutations(WHO))[:4]:
        one = Served(corefile, whole=whole)
        bare = Pipeline(
            one.pipeline.router, one.services.stamps, one.counters, one.clock, Random(1),
            table=None, whole=whole,
        )  # fmt: skip
        asked = [(query(**how), who) for _ in range(5) for who in order for how in HOW]
        Random(order[0]).shuffle(asked)
        for packet, address in asked:
            who = Client(records.address(address), 40000, one.transport, b"\x7f\0\0\1", 53)
            expected = await bare.respond(packet, who, one.clock())
            assert await one.wire(packet, address) == expected
        assert one.table.views, "something was remembered"
