"""whoami: answers every name with the asker's own address, port and protocol."""

from struct import pack

from kdns.corefile.options import Syntax
from kdns.plugins.base import Backend, Query, Result
from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import ROOT

_PROTOCOLS = {"udp": b"\x04_udp"}


class Whoami(Backend):
    """Answers nothing but the additional section: an address record and an SRV record."""

    name = "whoami"
    syntax = Syntax(repeats=True)

    async def answer(self, query: Query) -> Result:
        """The asker in the additional section, for any name and type."""
        query.reads_client()
        client = query.client
        type_ = types.A if len(client.address) == 4 else types.AAAA
        additional = [RRset(query.key, type_, 0, (client.address,), query.cls)]
        owner = _PROTOCOLS.get(client.protocol, b"\x04_tcp") + query.key
        if len(owner) <= 255:
            srv = pack("!HHH", 0, 0, client.port) + ROOT
            additional.append(RRset(owner, types.SRV, 0, (srv,), query.cls))
        return Answer(additional=tuple(additional), flags=types.AA, plugin=self.name)
