"""minimal: takes authority and additional records from answers that found what was asked.

Failures, delegations and answers of nothing keep theirs: there these records are the answer.
"""

from kdns.corefile.options import Syntax
from kdns.plugins.base import DROP, Editor, Query
from kdns.wire import types
from kdns.wire.carried import Carried
from kdns.wire.message import Answer

_TELLING = frozenset((types.SOA, types.NS))
_TRANSFERS = frozenset((types.AXFR, types.IXFR))


class Minimal(Editor):
    """Stands around all that answers."""

    name = "minimal"
    syntax = Syntax(repeats=True)

    def edit(self, query: Query, answer: Answer) -> Answer:
        """The answer alone, where there is one."""
        if answer.rcode or answer is DROP or query.type in _TRANSFERS or query.opcode:
            return answer
        if type(answer) is Carried and not answer.cargo.counts[1] | answer.cargo.counts[2]:
            return answer  # perf: it stays the upstream's message
        if not (answer.authority or answer.additional):
            return answer
        if not answer.answer and any(rrset.type in _TELLING for rrset in answer.authority):
            return answer
        return answer.but(authority=(), additional=())
