"""chaos: says in class CH which server this is, its version and who wrote it."""

import logging
import socket

import kdns
from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import SKIP, Backend, Query, Result, Site
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset

log = logging.getLogger("kdns.chaos")

AUTHORS = ("the kdns authors",)
_LONGEST = 255
"""What one string of a TXT record can hold."""
_VERSIONS = (names.parse_key("version.bind"), names.parse_key("version.server"))
_HOSTS = (names.parse_key("hostname.bind"), names.parse_key("id.server"))
_AUTHORS = names.parse_key("authors.bind")


class Chaos(Backend):
    """Answers TXT at five names, and passes all else on. Only the first directive counts."""

    name = "chaos"
    is_of_in = False
    syntax = Syntax(args=Shape(rest=text), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._is_first = site.beside.setdefault("chaos", self) is self
        version, *authors = settings.args or (f"kdns-{kdns.__version__}",)
        host = (socket.gethostname(),)
        self.texts = {
            **{name: _rdatas((version,)) for name in _VERSIONS},
            **{name: _rdatas(host) for name in _HOSTS},
            _AUTHORS: _rdatas(tuple(authors) or AUTHORS),
        }

    async def start(self) -> None:
        """Warns of what counts for nothing."""
        if not self._is_first:
            log.warning("only the first chaos of a server block counts")

    def at_once(self, query: Query) -> Result:
        """What stands at one of the names; authors in a new order each time."""
        if query.cls != types.CH or query.type != types.TXT or not self._is_first:
            return SKIP
        rdatas = self.texts.get(query.key)
        if rdatas is None:
            return SKIP
        if query.key == _AUTHORS and len(rdatas) > 1:
            query.forget()
            rdatas = tuple(self.site.chance.sample(rdatas, len(rdatas)))
        found = RRset(query.key, types.TXT, 0, rdatas, types.CH)
        return Answer(answer=(found,), plugin=self.name)


def _rdatas(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(records.txt(one.encode()[:_LONGEST]) for one in texts)
