"""nsid: tells askers who want to know which server it was (RFC 5001)."""

import socket

from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import DROP, Editor, Query, Site
from kdns.wire import edns
from kdns.wire.message import Answer

_ASKED = frozenset((edns.NSID,))


class Nsid(Editor):
    """Puts the identifier into replies to those who sent the option."""

    name = "nsid"
    syntax = Syntax(args=Shape(rest=text))
    reads = _ASKED

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.id = (" ".join(settings.args) or socket.gethostname()).encode()

    def edit(self, query: Query, answer: Answer) -> Answer:
        """The answer with the identifier; a failure has none (CoreDNS)."""
        options = query.question.options
        if not options or answer is DROP or answer.error or not edns.has(options, _ASKED):
            return answer
        named = edns.edit(answer.options, "set", edns.NSID, self.id)
        return answer.but(options=named or answer.options)
