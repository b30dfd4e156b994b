"""A question becomes an explanation: what is asked for, and what is said not to be known."""

import pytest

from kdns.explain import answer
from kdns.explain.answer import FROM_HERE, Question, QuestionError, explain
from kdns.explain.said import Connection, Explanation
from kdns.explain.scenes import of_corefile, of_files
from kdns.wire import types
from tests.golden.explain.case import CASES, corefile, question

FOLDER = CASES / "resolves"


async def explained(asked: Question) -> Explanation:
    gather = of_files([str(FOLDER / "cluster.yaml")])
    async with of_corefile(corefile(FOLDER), "Corefile", gather) as scene:
        return await explain(asked, scene)


def test_a_reverse_name_is_asked_for_whose_it_is() -> None:
    assert Question("10.0.96.10.in-addr.arpa").types == (types.PTR,)
    assert Question("1.F.IP6.ARPA.").types == (types.PTR,)
    assert Question("10.0.96.10.in-addr.arpa", "A").types == (types.A,)
    assert Question("web.shop").types == (types.A, types.AAAA)


def test_what_is_no_type_is_said_so() -> None:
    with pytest.raises(QuestionError, match="BOGUS is no record type"):
        _ = Question("web.shop", "BOGUS").types


async def test_a_connection_is_not_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(address: str, port: int, protocol: str) -> Connection:
        return Connection(address, port, protocol, "connected", is_open=True)

    monkeypatch.setattr(answer, "connect", connect)
    usual = question(FOLDER)
    tried = await explained(Question(usual.name, asker=usual.asker, connects=True))
    assert tried.connections
    assert FROM_HERE in tried.unknown
    by_nobody = await explained(Question("payments.billing.svc", connects=True))
    assert by_nobody.connections
    assert FROM_HERE not in by_nobody.unknown
    assert FROM_HERE not in (await explained(usual)).unknown


async def test_policies_that_were_not_read_are_told_where_they_matter() -> None:
    def told(found: Explanation) -> bool:
        return any("NetworkPolicies" in line for line in found.unknown)

    usual = question(FOLDER)
    assert told(await explained(usual))
    assert not told(await explained(Question("nobody.billing", asker=usual.asker)))
    assert not told(await explained(Question(usual.name)))
