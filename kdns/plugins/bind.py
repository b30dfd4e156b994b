"""bind: the addresses a server block listens on, given as addresses or as interfaces."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from kdns.client.interfaces import interfaces
from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import Monitor, Site

Interfaces = Mapping[str, Sequence[str]]


class Bind(Monitor):
    """Gives the addresses; the server opens its sockets there instead of on every address."""

    name = "bind"
    syntax = Syntax(
        args=Shape(rest=text, at_least=1),
        options={"except": Shape(rest=text, at_least=1, repeats=True)},
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        before = tuple(dict.fromkeys(host for host, _ in site.listen if host))
        self.hosts = before + self.addresses(interfaces())
        """All the block's addresses: those of earlier `bind` lines first."""
        twice = next((host for at, host in enumerate(self.hosts) if host in self.hosts[:at]), "")
        if twice:
            raise settings.fail(f"bind: {twice} is given twice")

    def addresses(self, table: Interfaces) -> tuple[str, ...]:
        """What the directive means on a machine with these interfaces."""
        excepted = set(self._expanded(self.settings.values("except"), table))
        found = self._expanded(self.settings.args, table)
        kept = tuple(host for host in found if host not in excepted)
        if not kept:
            raise self.settings.fail("bind: no address is left to listen on")
        return kept

    def _expanded(self, words: Sequence[str], table: Interfaces) -> list[str]:
        found: list[str] = []
        for word in words:
            if word in table:
                found += table[word]
                continue
            try:
                found.append(str(ip_address(word)))
            except ValueError:
                known = ", ".join(table)
                raise self.settings.fail(
                    f"bind: expected an address or an interface ({known}), found {word!r}"
                ) from None
        return found
