"""The `ask` of a walk over real sockets: one question to one nameserver, once."""

from time import perf_counter

from kdns.client.ask import ask as ask_once
from kdns.client.line import MismatchError, UpstreamError
from kdns.client.search_terms import Failure, Heard

PATIENCE_S = 5.0
"""What both libcs wait for where a resolv.conf says nothing."""


async def ask(
    nameserver: tuple[str, int], packet: bytes, transport: str, within: float = PATIENCE_S
) -> Heard:
    """What came of it; whatever the network does is told, never raised."""
    began = perf_counter()
    try:
        reply = await ask_once(nameserver, packet, transport, within)
    except MismatchError as error:
        # To another question: glibc waits on, musl takes it. The walk knows.
        reply = packet[:2] + error.reply[2:]
    except (UpstreamError, OSError) as error:
        took_s = perf_counter() - began
        failure = _failure(str(error), took_s, within, transport)
        return Heard(None, _words(str(error), failure, within), took_s, transport, failure)
    return Heard(reply, "", perf_counter() - began, transport)


def _failure(why: str, took_s: float, within: float, transport: str) -> Failure:
    """What kind of failure it is: time is over, or it was known before."""
    if why.endswith("i/o timeout") or took_s >= within:
        return "silent"
    return "cut" if transport == "tcp" and not why.startswith("dial ") else "refused"


def _words(why: str, failure: Failure, within: float) -> str:
    """For people: the end of the reason, without the sockets it names."""
    if failure == "silent":
        return f"no answer within {within:g} s"
    return why.rpartition(": ")[2] or why
