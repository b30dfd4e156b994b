"""loadbalance: spreads clients over the addresses of an answer.

round_robin leaves the spreading to whoever copies the answer: CNAMEs come first, addresses behind
all but MX, and `rotate` lets the answer table cut the addresses at a random record. Where the order
depends on more than chance alone (weights, some preferred nets) it is drawn here for each query,
and the answer is not remembered.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, address, duration, text
from kdns.corefile.tree import nearest
from kdns.plugins.base import DROP, Editor, Query, Site
from kdns.wire import names, types
from kdns.wire.carried import Carried
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key

log = logging.getLogger("kdns.loadbalance")

Network = IPv4Network | IPv6Network
Weights = Mapping[Key, Mapping[bytes, int]]
"""Weights of addresses, by owner name."""

POLICIES = ("round_robin", "weighted")
RELOAD_S = 30.0
_ADDRESSES = frozenset((types.A, types.AAAA))
_TRANSFERS = frozenset((types.AXFR, types.IXFR))
_PLACES = {types.CNAME: 0, types.A: 2, types.AAAA: 2, types.MX: 3}
"""Where types stand in a section, all others at 1."""
_PREFERRED_PLACES = {types.CNAME: 0, types.A: 1, types.AAAA: 2, types.MX: 3}
"""The same where nets are preferred, all others at 4 (CoreDNS)."""


def _net(word: str) -> Network:
    """An address block; a bare address is none (CoreDNS)."""
    try:
        return ip_network(word if "/" in word else "", strict=False)
    except ValueError:
        raise ValueError("an address block such as 10.0.0.0/8") from None


class Loadbalance(Editor):
    """Orders the records of every section, and draws which address comes first."""

    name = "loadbalance"
    syntax = Syntax(
        args=Shape(maybe=(text, text)),
        options={"prefer": Shape(rest=_net, repeats=True), "reload": Shape(words=(duration(0),))},
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        policy, *file = settings.args or ("round_robin",)
        if policy not in POLICIES:
            raise settings.fail(
                f"loadbalance: unknown policy {policy!r}", nearest(policy, POLICIES)
            )
        is_weighted = policy == "weighted"
        if is_weighted != bool(file):
            raise settings.fail(
                "loadbalance weighted: expected a file of weights, found the end of the line"
                if is_weighted
                else f"loadbalance round_robin: unexpected {file[0]!r} at the end of the line"
            )
        for line in settings.all("prefer" if is_weighted else "reload"):
            raise line.fail(f"loadbalance {policy}: {line.name} is no option of this policy")
        self.nets: tuple[Network, ...] = settings.values("prefer")
        self.reload_s: float = settings.get("reload", RELOAD_S)
        self.path = Path(site.root, file[0]) if file else None
        self._is_plain = not (file or self.nets)
        self.weights: Weights = {}
        self._text: str | None = None

    def look(self) -> None:
        """Reads the weights once; a file that is not there yet may still come."""
        if self.path is None or (self.reload_s and not self.path.exists()):
            return
        try:
            parse_weights(self.path.read_text(encoding="utf-8"), str(self.path))
        except OSError as error:
            why = f"loadbalance: cannot read {self.path}: {error.strerror}"
            raise self.settings.fail(why) from error
        except ValueError as error:
            raise self.settings.fail(f"loadbalance: {error}") from error

    async def start(self) -> None:
        """Reads the weights. A file that is not there yet is waited for, if it is read again."""
        if self.path is None:
            return
        try:
            await self._read(self.path)
        except OSError as error:
            why = f"loadbalance: cannot read {self.path}: {error.strerror}"
            if not self.reload_s:
                raise self.settings.fail(why) from error
            log.warning("%s; trying again in %gs", why.removeprefix("loadbalance: "), self.reload_s)
        except ValueError as error:
            raise self.settings.fail(f"loadbalance: {error}") from error

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Reads the weights again and again."""
        return (self._follow(self.path),) if self.path is not None and self.reload_s else ()

    def edit(self, query: Query, answer: Answer) -> Answer:
        """The answer in its order; zone transfers keep theirs."""
        if type(answer) is Carried and self._is_plain:  # perf: bench forward; in order already
            is_turning = answer.cargo.block is not None and query.type not in _TRANSFERS
            return answer.but(rotate=True) if is_turning else answer
        sets = answer.answer
        if len(sets) < 2 > len(answer.additional) and self._is_plain:
            # perf: bench miss A; what most answers are
            is_one = not sets or len(sets[0].rdatas) < 2 or sets[0].type not in _ADDRESSES
            if is_one and len(answer.authority) < 2:
                return answer
        if answer is DROP or query.type in _TRANSFERS:
            return answer
        if self.path is not None:
            return self._weighted(query, _ordered(answer, _PLACES, 1))
        if self.nets:
            return self._preferring(query, _ordered(answer, _PREFERRED_PLACES, 4))
        return _spread(_ordered(answer, _PLACES, 1))

    def _weighted(self, query: Query, answer: Answer) -> Answer:
        """One address, drawn by weight, changes places with the first."""
        singles = _singles(answer)
        if len(singles) < 2:
            return answer
        query.forget()
        draw = self.site.chance.choices(range(len(singles)), [self._weight(r) for r in singles])
        at = draw[0]
        singles[0], singles[at] = singles[at], singles[0]
        return _with_addresses(answer, singles)

    def _weight(self, single: RRset) -> int:
        return self.weights.get(names.fold(single.owner), {}).get(single.rdatas[0], 1)

    def _preferring(self, query: Query, answer: Answer) -> Answer:
        """Addresses of preferred nets first, in the order of the nets, each rank shuffled."""
        singles = _singles(answer)
        ranks = {single.rdatas[0]: self._rank(single.rdatas[0]) for single in singles}
        if len(set(ranks.values())) < 2:
            return _spread(answer)
        query.forget()
        self.site.chance.shuffle(singles)
        singles.sort(key=lambda single: (single.type, ranks[single.rdatas[0]]))
        return _with_addresses(answer, singles)

    def _rank(self, packed: bytes) -> int:
        address = ip_address(packed)
        return next((at for at, net in enumerate(self.nets) if address in net), len(self.nets))

    async def _follow(self, path: Path) -> None:
        while True:
            await asyncio.sleep(self.reload_s)
            try:
                if await self._read(path):
                    log.info("read new weights from %s", path)
            except OSError as error:
                log.warning("cannot read %s, keeping the weights: %s", path, error.strerror)
            except ValueError as error:
                log.warning("%s, keeping the weights", error)

    async def _read(self, path: Path) -> bool:
        """Takes the file's weights; False when it is as it was. What is wrong is said once."""
        content = await asyncio.to_thread(path.read_text, encoding="utf-8")
        if content == self._text:
            return False
        self._text = content
        self.weights = parse_weights(content, str(path))
        return True


def parse_weights(content: str, file: str) -> Weights:
    """Reads lines of one word, a name, each followed by its lines `address weight`."""
    weights: dict[Key, dict[bytes, int]] = {}
    of_name: dict[bytes, int] | None = None
    for number, line in enumerate(content.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if len(words) == 1:
                of_name = weights.setdefault(_name(words[0]), {})
            else:
                _enter(words, of_name)
        except ValueError as error:
            raise ValueError(f"{file}:{number}: expected {error}, found {line!r}") from error
    return weights


def _name(word: str) -> Key:
    try:
        address(word)
    except ValueError:
        try:
            return names.parse_key(word)
        except ValueError as error:
            raise ValueError(f"a name ({error})") from error
    raise ValueError("a weight from 1 to 255 behind the address")


def _enter(words: Sequence[str], of_name: dict[bytes, int] | None) -> None:
    """Enters an address and its weight; of several for one address the first counts (CoreDNS)."""
    if of_name is None:
        raise ValueError("a name before the first address")
    packed, weight = address(words[0]), words[1]
    if len(words) > 2 or not (weight.isascii() and weight.isdigit() and 1 <= int(weight) <= 255):
        raise ValueError("an address and a weight from 1 to 255")
    of_name.setdefault(packed, int(weight))


def _ordered(answer: Answer, places: Mapping[int, int], other: int) -> Answer:
    """The answer with each section sorted by place; the same object when it is sorted already."""
    if max(len(answer.answer), len(answer.authority), len(answer.additional)) < 2:
        return answer  # perf: bench miss A
    changes: dict[str, object] = {}
    for section in ("answer", "authority", "additional"):
        rrsets: tuple[RRset, ...] = getattr(answer, section)
        if len(rrsets) > 1:
            sorted_ = tuple(sorted(rrsets, key=lambda one: places.get(one.type, other)))
            if sorted_ != rrsets:
                changes[section] = sorted_
    return answer.but(**changes) if changes else answer


def _spread(answer: Answer) -> Answer:
    """Lets the addresses rotate, where there is more than one record of a set."""
    for rrset in answer.answer:
        if len(rrset.rdatas) > 1 and rrset.type in _ADDRESSES:
            return answer.but(rotate=True)
    return answer


def _singles(answer: Answer) -> list[RRset]:
    """Each address record of the answer section as a set of its own."""
    return [
        RRset(one.owner, one.type, one.ttl, (rdata,), one.cls)
        for one in answer.answer
        if one.type in _ADDRESSES
        for rdata in one.rdatas
    ]


def _with_addresses(answer: Answer, singles: Iterable[RRset]) -> Answer:
    """The answer with its address records, which stand together, replaced."""
    joined: list[RRset] = []
    for one in singles:
        last = joined[-1] if joined else None
        if last and (last.owner, last.type, last.ttl) == (one.owner, one.type, one.ttl):
            joined[-1] = RRset(last.owner, last.type, last.ttl, last.rdatas + one.rdatas, last.cls)
        else:
            joined.append(one)
    at = next(i for i, one in enumerate(answer.answer) if one.type in _ADDRESSES)
    rest = tuple(one for one in answer.answer if one.type not in _ADDRESSES)
    return answer.but(answer=(*rest[:at], *joined, *rest[at:]), rotate=False)
