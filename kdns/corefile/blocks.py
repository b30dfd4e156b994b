"""Blocks as written become server blocks: keys read, names of directives and conflicts checked.

Every function appends the mistakes it finds to a list, so that `kdns check` can tell all of them.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from kdns.corefile.keys import BlockKey, is_preferred, read_key
from kdns.corefile.tree import Block, ConfigError, Directive, Word, nearest
from kdns.wire import names
from kdns.wire.names import Key

_REMOVED = {
    "proxy": "use forward instead",
    "federation": "CoreDNS 1.7.0 removed it; nothing takes its place",
    "upstream": "the server itself looks up such names now; delete the line",
    "reverse": "use template instead",
}
"""Directives of old CoreDNS releases, each with what to do about it."""


@dataclass(frozen=True, slots=True)
class ServerBlock:
    """A server block: what it serves and how."""

    keys: tuple[BlockKey, ...]
    directives: tuple[Directive, ...]
    word: Word
    """Its first key, to name the block by."""

    @property
    def origins(self) -> tuple[Key, ...]:
        """The zones its plugins have by default. CoreDNS: of an address block only the first."""
        return tuple(dict.fromkeys(key.zone for key in self.keys if key.is_first))

    def named(self, name: str) -> tuple[Directive, ...]:
        """The directives of one name, in file order."""
        return tuple(one for one in self.directives if one.name.text == name)


def read_blocks(
    blocks: Iterable[Block],
    errors: list[ConfigError],
    *,
    port: int = 53,
    warn: Callable[[str], None] = lambda _: None,
) -> list[ServerBlock]:
    """Reads the keys of all blocks; `port` is the default port of `dns` keys (-dns.port)."""
    found = []
    for block in blocks:
        keys: list[BlockKey] = []
        for word in block.keys:
            try:
                keys += read_key(word, port=port)
            except ConfigError as error:
                errors.append(error)
        for key in keys:
            if key.is_first and not is_preferred(key.zone):
                where = f"{key.word.file}:{key.word.line}"
                warn(f"{where}: zone {key.text!r} is no ordinary domain name; is it meant?")
        found.append(ServerBlock(tuple(keys), block.directives, block.keys[0]))
    return found


def check_names(
    directives: Iterable[Directive],
    errors: list[ConfigError],
    *,
    known: Collection[str],
    implemented: Collection[str],
    repeatable: Collection[str],
) -> None:
    """Checks that the directives of one block exist, and that only repeatable ones repeat."""
    seen: dict[str, Word] = {}
    for directive in directives:
        word = directive.name
        name = word.text
        if name not in implemented:
            errors.append(_missing(word, known, implemented))
        elif name in seen and name not in repeatable:
            errors.append(
                word.fail(
                    f"{name} may stand once in a server block", f"first on {_at(seen[name], word)}"
                )
            )
        seen.setdefault(name, word)


def _at(word: Word, beside: Word) -> str:
    return f"line {word.line}" + (f" of {word.file}" if word.file != beside.file else "")


def _missing(word: Word, known: Collection[str], implemented: Collection[str]) -> ConfigError:
    name = word.text
    if name in known:
        return word.fail(f"{name}: this plugin of CoreDNS is not implemented in kdns")
    if name in _REMOVED:
        return word.fail(f"{name} is no plugin any more", _REMOVED[name])
    return word.fail(f"unknown directive {name!r}", nearest(name, {*known, *implemented}))


@dataclass(frozen=True, slots=True)
class Bound:
    """A server block with the addresses it listens on; none means all of them."""

    block: ServerBlock
    hosts: tuple[str, ...] = ()


def check_overlap(bound: Sequence[Bound], errors: list[ConfigError]) -> None:
    """Checks that no zone is served twice on one listener, nor on one address and on all.

    CoreDNS: blocks with a `view` are left out, since they take only some of the queries.
    """
    taken: dict[tuple[str, Key, int], dict[str, Word]] = {}
    told: set[tuple[Word, str]] = set()
    for each in bound:
        if each.block.named("view"):
            continue
        for key in each.block.keys:
            hosts = taken.setdefault((key.scheme, key.zone, key.port), {})
            for host in each.hosts or ("",):
                error = _conflict(key, host, hosts)
                # One error is enough for an address block of 128 zones.
                if error and (key.word, host) not in told:
                    told.add((key.word, host))
                    errors.append(error)
                hosts.setdefault(host, key.word)


def _conflict(key: BlockKey, host: str, hosts: dict[str, Word]) -> ConfigError | None:
    what = f"{key.scheme}://{names.format(key.zone)}:{key.port}" + (f" on {host}" if host else "")
    if host in hosts:
        return key.word.fail(
            f"cannot serve {what}: it is already served", _at(hosts[host], key.word)
        )
    others = [other for other in hosts if not (other and host)]
    if not others:
        return None
    where = others[0] or "all addresses"
    return key.word.fail(
        f"cannot serve {what}: the zone is also bound to {where}", _at(hosts[others[0]], key.word)
    )
