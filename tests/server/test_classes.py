"""Questions of other classes than IN come to what is not of class IN by itself."""

from pathlib import Path

import dns.message
import dns.rdataclass

from tests.socketless import Socketless

COREFILE = """
. {
    chaos v1
    hosts {
        10.0.0.1 a.example
        fallthrough
    }
    template CH A b.example {
        rcode NXDOMAIN
    }
}
"""


async def asked(server: Socketless, name: str, cls: str, type_: str = "A") -> tuple[str, int]:
    query = dns.message.make_query(name, type_, cls)
    reply = dns.message.from_wire(await server.ask(query.to_wire()))
    return dns.rcode.to_text(reply.rcode()), len(reply.answer)


async def test_records_of_class_in_answer_no_other_class(tmp_path: Path) -> None:
    async with Socketless(tmp_path / "Corefile", COREFILE) as server:
        assert await asked(server, "a.example", "IN") == ("NOERROR", 1)
        assert await asked(server, "a.example", "ANY") == ("NOERROR", 1)
        for cls in ("CH", "HS", "CLASS4711"):
            assert await asked(server, "a.example", cls) == ("SERVFAIL", 0)
        assert await asked(server, "version.bind", "CH", "TXT") == ("NOERROR", 1)
        assert await asked(server, "b.example", "CH") == ("NXDOMAIN", 0)


async def test_a_class_that_was_rewritten_counts(tmp_path: Path) -> None:
    text = COREFILE.replace("    chaos v1\n", "    chaos v1\n    rewrite class CH IN\n")
    async with Socketless(tmp_path / "Corefile", text) as server:
        assert await asked(server, "a.example", "CH") == ("NOERROR", 1)
