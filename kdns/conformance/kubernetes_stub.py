"""Look-ups as pods make them: glibc and musl walk a search path, retry over TCP, change servers.

The walks are those of kdns.client.search, over real sockets; what a libc would tell the
application is what counts, and how many questions it took is noted.
"""

from kdns.client.search import Ask, Heard, Libc, Resolv, Walk, walk
from kdns.conformance.case import Case
from kdns.conformance.clauses import Failed, Group, Skipped
from kdns.conformance.kubernetes import known
from kdns.conformance.objects import Service
from kdns.wire import types

GROUP = Group("Look-ups as pods make them")

_E2E = "Kubernetes e2e"
_BOTH = (types.A, types.AAAA)
_LIBCS: tuple[Libc, ...] = ("glibc", "musl")
_SECOND = "192.0.2.53", 53
"""A second nameserver, played by us: it has an address for every name."""
_ITS_ADDRESS = b"\xc0\0\2\x54"


def _asking(case: Case) -> Ask:
    """Asks the server under test; the second nameserver answers at once."""

    async def ask(server: tuple[str, int], packet: bytes, transport: str) -> Heard:
        if server == _SECOND:
            return Heard(_second(packet), transport=transport)
        came = await case.send(packet, transport=transport, attempts=1)
        if came is None:
            return Heard(error="no reply in time", transport=transport)
        return Heard(came[0], took_s=came[1], transport=transport)

    return ask


def _second(packet: bytes) -> bytes:
    """Its reply: an address to A, no data to anything else."""
    end = packet.index(b"\0", 12) + 5
    head, asked = packet[:2] + b"\x81\x80\0\1", packet[12:end]
    if asked[-4:-2] != b"\0\1":
        return head + bytes(6) + asked
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4" + _ITS_ADDRESS
    return head + b"\0\1\0\0\0\0" + asked + record


def _pods(case: Case, namespace: str) -> Resolv:
    """The resolv.conf of a pod with dnsPolicy ClusterFirst."""
    zone = case.target.zone.rstrip(".")
    search = f"{namespace}.svc.{zone}", f"svc.{zone}", zone
    return Resolv(((case.target.host, case.target.port),), search, ndots=5)


async def _walked(case: Case, name: str, resolv: Resolv, libc: Libc) -> Walk:
    found = await walk(name, _BOTH, resolv, libc, _asking(case))
    case.note(f"{libc}, {name}: {len(found.asked)} questions")
    return found


def _told(found: Walk) -> str:
    """What the libc made of each question."""
    lines = [f"{found.libc}: {found.outcome} {found.says}".rstrip()]
    lines += [
        f"{types.type_name(one.type)} {one.name} ({one.because}): {one.then}" for one in found.asked
    ]
    return "\n".join(lines)


def _expect_addresses(found: Walk, service: Service) -> None:
    wanted = {*service.addresses("A"), *service.addresses("AAAA")}
    if found.outcome != "answered" or set(found.addresses) != wanted:
        raise Failed(f"{found.libc} finds {', '.join(sorted(wanted)[:5])}", _told(found))


def _plain(case: Case) -> Service:
    def suits(one: Service) -> bool:
        return one.kind == "ClusterIP" and bool(one.cluster_ips)

    return known(case, suits, "service with a ClusterIP")[-1]


async def _finds(case: Case, libc: Libc) -> None:
    service = _plain(case)
    whole = service.fqdn(case.target.zone)
    short = f"{service.name}.{service.namespace}"
    for name in (service.name, short, f"{short}.svc", whole.rstrip("."), whole):
        found = await _walked(case, name, _pods(case, service.namespace), libc)
        _expect_addresses(found, service)


@GROUP.clause(
    "k8s-search-glibc",
    "A service is found by each part of its name that a pod may write, with glibc.",
    f"{_E2E}: should resolve DNS of partial qualified names for services",
    needs=("cluster",),
    limit_s=20,
)
async def _(case: Case) -> None:
    await _finds(case, "glibc")


@GROUP.clause(
    "k8s-search-musl",
    "A service is found by each part of its name that a pod may write, with musl.",
    f"{_E2E}: should resolve DNS of partial qualified names for services",
    needs=("cluster",),
    limit_s=20,
)
async def _(case: Case) -> None:
    await _finds(case, "musl")


@GROUP.clause(
    "k8s-search-long",
    "A search list of more than six domains and 256 characters leads to the service in the end.",
    f"{_E2E}: should work with more than 6 search paths and longer than 256 search list characters",
    needs=("cluster", "recursion"),
    limit_s=60,
)
async def _(case: Case) -> None:
    service = _plain(case)
    usual = _pods(case, service.namespace)
    domains = [f"{letter * 60}.kdns-conformance.test" for letter in "abcdef"]
    long = Resolv(usual.nameservers, (*domains, *usual.search), ndots=5)
    for libc in _LIBCS:
        # musl reads 255 characters of a search list: what is behind them does not exist for it.
        resolv = (
            long if libc == "glibc" else Resolv(long.nameservers, (domains[0], *usual.search), 5)
        )
        found = await _walked(case, f"{service.name}.{service.namespace}", resolv, libc)
        _expect_addresses(found, service)


@GROUP.clause(
    "k8s-search-odd",
    "Search domains with an underscore, and the root among them, do not end the search.",
    f"{_E2E}: should work with a search path containing an underscore and a search path "
    "containing a single dot",
    needs=("cluster", "recursion"),
    limit_s=60,
)
async def _(case: Case) -> None:
    service = _plain(case)
    usual = _pods(case, service.namespace)
    odd = (".", "_sip._tcp.abc_d.kdns-conformance.test", *usual.search)
    for libc in _LIBCS:
        resolv = Resolv(usual.nameservers, odd, ndots=5)
        found = await _walked(case, f"{service.name}.{service.namespace}", resolv, libc)
        _expect_addresses(found, service)


@GROUP.clause(
    "k8s-search-ndots",
    "With ndots 2 of a pod's dnsConfig, a name that was denied as written is found by the search.",
    f"{_E2E}: should support configurable pod resolv.conf",
    needs=("cluster", "recursion"),
    limit_s=60,
)
async def _(case: Case) -> None:
    service = _plain(case)
    usual = _pods(case, service.namespace)
    for libc in _LIBCS:
        resolv = Resolv(usual.nameservers, usual.search, ndots=2)
        name = f"{service.name}.{service.namespace}"
        if libc == "glibc":  # musl searches for no name with two dots then
            name += ".svc"
        _expect_addresses(await _walked(case, name, resolv, libc), service)


@GROUP.clause(
    "k8s-search-miss",
    "A name that is nowhere ends in 'no such name' for both libcs, not in a failure.",
    "RFC 1034 §5.2.2",
    needs=("recursion",),
    limit_s=60,
)
async def _(case: Case) -> None:
    name = case.target.missing().partition(".")[0] + ".kdns-conformance.test"
    for libc in _LIBCS:
        found = await _walked(case, name, _pods(case, "default"), libc)
        if found.outcome != "no such name":
            raise Failed(f"{libc} says that there is no such name", _told(found))


@GROUP.clause(
    "k8s-stub-tcp",
    "What does not fit a UDP reply is marked (TC), and TCP brings all of it to both libcs.",
    "RFC 7766 §5, RFC 2181 §9",
    needs=("cluster",),
    limit_s=20,
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "Headless" and len(one.addresses("A")) > 40

    service = known(case, suits, "headless service with more than 40 IPv4 endpoints")[0]
    for libc in _LIBCS:
        name = service.fqdn(case.target.zone)
        found = await _walked(case, name, _pods(case, service.namespace), libc)
        if not any(one.heard.transport == "tcp" for one in found.asked):
            raise Failed(f"{libc} is told by TC to ask over TCP", _told(found))
        _expect_addresses(found, service)


@GROUP.clause(
    "k8s-second-nameserver",
    "A server that does not know a name leaves it to the next in resolv.conf, and never denies it.",
    "RFC 1035 §4.1.1, glibc and musl",
)
async def _(case: Case) -> None:
    if "recursion" in case.target.has:
        raise Skipped("the server looks up such names itself (RA is set)")
    name = case.target.missing().partition(".")[0] + ".kdns-conformance.test."
    resolv = Resolv(((case.target.host, case.target.port), _SECOND))
    for libc in _LIBCS:
        found = await _walked(case, name, resolv, libc)
        if found.outcome != "answered":
            raise Failed(f"{libc} gets the second server's answer", _told(found))
