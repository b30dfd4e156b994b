"""The answer at the end of a search path, under its first step's name, and how long it holds."""

from collections.abc import Iterable

from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key

_LONGEST = 1 << 31


def led(owner: Key, name: Key, found: Answer) -> Answer:
    """An answer with the CNAME that leads to it, which lasts as long as its first record."""
    if not found.answer:
        return found
    cname = RRset(owner, types.CNAME, found.answer[0].ttl, (name,))
    return found.but(answer=(cname, *found.answer))


def limit(now: float, denials: Iterable[Answer], found: Answer) -> tuple[int, float]:
    """The longest TTL that what follows denials may have, and until when that is so.

    It lasts no longer than any denial; the TTL is 0 where one does not say how long it does. What
    is cached counts down: the limit is right until one of these comes below it.
    """
    least = _LONGEST
    ageing: list[tuple[float, int]] = []
    for answer in denials:
        soa = next((one for one in answer.authority if one.type == types.SOA), None)
        if soa is None:
            return 0, now
        ttl = soa.ttl
        if answer.aging is not None:
            ttl = _left(now, answer.aging)
            ageing.append(answer.aging)
        least = min(least, ttl, int.from_bytes(soa.rdatas[0][-4:], "big"))
    if found.aging is not None:
        least = min(least, _left(now, found.aging))
        ageing.append(found.aging)
    ends = [stored + ttl - least + 1 for stored, ttl in ageing]
    return least, min(ends, default=float("inf"))


def _left(now: float, aging: tuple[float, int]) -> int:
    stored, ttl = aging
    return max(ttl - max(int(now - stored), 0), 0)


def shortened(owner: Key, name: Key, found: Answer, ttl: int) -> Answer:
    """An answer under the CNAME that leads to it, all of it with at most this TTL."""
    cname = RRset(owner, types.CNAME, ttl, (name,))
    return found.but(
        answer=(cname, *_within(found.answer, ttl)),
        authority=_within(found.authority, ttl),
        additional=_within(found.additional, ttl),
        aging=None,
    )


def _within(part: tuple[RRset, ...], ttl: int) -> tuple[RRset, ...]:
    return tuple(
        [RRset(one.owner, one.type, min(one.ttl, ttl), one.rdatas, one.cls) for one in part]
    )
