"""How a libc looks a name up: which names it asks which server, in which order, and when it ends.

Sans-IO: `ask` is given by the caller, so that the same walk is made over sockets, inside a server,
or on a table in a test. Modelled are glibc 2.36 to 2.41 and musl 1.2.4 and 1.2.5, as they were
seen to ask (tests/client/test_search_libcs.py); neither reads its environment variables here.
"""

from kdns.client.search_conf import parse_resolv
from kdns.client.search_glibc import Glibc
from kdns.client.search_musl import Musl
from kdns.client.search_replies import ADDRESSES, literal
from kdns.client.search_terms import Ask, Asked, Failure, Heard, Libc, Outcome, Resolv, Walk

__all__ = [
    "Ask",
    "Asked",
    "Failure",
    "Heard",
    "Libc",
    "Outcome",
    "Resolv",
    "Walk",
    "parse_resolv",
    "walk",
]


async def walk(name: str, types: tuple[int, ...], resolv: Resolv, libc: Libc, ask: Ask) -> Walk:
    """Looks a name up as getaddrinfo does, for A, AAAA or both; other types as res_search does."""
    if name and set(types) <= ADDRESSES and (address := literal(name)):
        return Walk(libc, (), "answered", "", addresses=(address,))
    kind = Glibc if libc == "glibc" else Musl
    return await kind(types, resolv, ask).look_up(name)
