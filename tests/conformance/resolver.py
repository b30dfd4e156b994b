"""A recursive resolver of a few names, on a thread of its own: what lies outside the cluster."""

import asyncio
import threading

from tests.upstream import Asked, Upstream, reply, wire

RECORDS = {
    ("www.outside.test.", "A"): ("www.outside.test. 300 IN A 192.0.2.80",),
    ("www.outside.test.", "AAAA"): ("www.outside.test. 300 IN AAAA 2001:db8::80",),
    ("80.2.0.192.in-addr.arpa.", "PTR"): ("80.2.0.192.in-addr.arpa. 300 IN PTR www.outside.test.",),
}
NAMES = {name for name, _ in RECORDS}
SOA = (". 86400 IN SOA a.root.test. hostmaster.root.test. 1 1800 900 604800 86400",)


def script(asked: Asked) -> bytes:
    """Answers what it knows; everything else does not exist."""
    question = asked.message.question[0]
    name = question.name.to_text().lower()
    if question.rdclass != 1:
        return wire(reply(asked, rcode="REFUSED"))
    found = RECORDS.get((name, question.rdtype.name), ())
    if found:
        return wire(reply(asked, *found))
    return wire(reply(asked, rcode="NOERROR" if name in NAMES else "NXDOMAIN", authority=SOA))


class Resolver:
    """A context manager that resolves from entry to exit."""

    address = ""

    def __enter__(self) -> "Resolver":
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the scripted resolver did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with Upstream(script) as upstream:
            self.address = upstream.address
            self._ready.set()
            await self._end.wait()
