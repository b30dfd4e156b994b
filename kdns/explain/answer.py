"""A question about a name becomes its Explanation: who asks, what is asked, what is known, why.

Where the answers and the facts come from is given by a Scene: a running server, manifests, a
cluster and a server seen from outside. The rest is the same for all of them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final, Protocol

from kdns.client.search import Heard, Libc, Resolv, Walk, parse_resolv, walk
from kdns.explain.connect import connect
from kdns.explain.facts import Facts, PodFact
from kdns.explain.place import resolv_of_namespace, resolv_of_pod
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.diagnosis import diagnose
from kdns.explain.said import Connection, Explanation, Trace
from kdns.wire import types

LIBCS: Final[tuple[Libc, ...]] = ("glibc", "musl")
MOST_CONNECTIONS: Final = 8
MOST_SKIPPED: Final = 3
"""Objects that could not be read and are named; of the rest the number."""
FROM_HERE: Final = "whether the pod connects, too: it was tried from where this kdns runs"
DNS_SERVICE: Final = "kube-system/kube-dns"
"""What CoreDNS is found by, whoever serves."""


class QuestionError(ValueError):
    """A question that is none, and why."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants explained."""

    name: str
    type: str = ""
    """Empty for addresses of both families, as applications ask."""
    asker: str = ""
    """NAMESPACE/POD, NAMESPACE or an address; empty for a pod of the namespace `default`."""
    resolv_conf: str = ""
    """The text of one, in place of what the asker's would be."""
    connects: bool = False
    """Try whether what was resolved takes connections."""
    port: int = 0
    """The port to try; 0 for those of the service."""

    @property
    def types(self) -> tuple[int, ...]:
        """What is asked for."""
        if not self.type and self.name.lower().rstrip(".").endswith(".arpa"):
            return (types.PTR,)  # whoever types that has an address
        try:
            return (types.parse_type(self.type),) if self.type else (types.A, types.AAAA)
        except ValueError as error:
            raise QuestionError(
                f"{self.type} is no record type, such as A, AAAA, SRV, PTR or MX"
            ) from error


class Asking(Protocol):
    """Who answers."""

    async def ask(self, nameserver: tuple[str, int], packet: bytes, transport: str) -> Heard:
        """See client.search.Ask."""

    @property
    def traces(self) -> Mapping[tuple[str, int], Trace]:
        """What happened inside for what was asked so far; empty where nobody can know."""


class Scene(Protocol):
    """Where answers and facts come from."""

    nameservers: tuple[tuple[str, int], ...]
    """Who is asked whatever the asker's resolv.conf says; empty for those in there."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """What nobody can know from here, a line each."""

    async def facts(self, names: Sequence[str], asker: str) -> Facts:
        """What is known that has to do with these names, and with who asks."""

    def asking(self, address: str, cluster_dns: Sequence[str], patience_s: float) -> Asking:
        """Who answers somebody at this address (empty when not known), who waits so long; the
        cluster's DNS service has these addresses."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and how his lookups go."""

    says: str
    namespace: str
    resolvs: Mapping[Libc, Resolv]
    pod: PodFact | None = None
    address: str = ""
    """Empty when not known."""


async def explain(question: Question, scene: Scene) -> Explanation:
    """The name explained; raises QuestionError."""
    kinds = question.types
    facts = await scene.facts((), question.asker)
    servers = cluster_dns(facts)
    asker = _asker(question, facts, servers, scene.nameservers)
    asking = scene.asking(asker.address, servers, asker.resolvs[LIBCS[0]].timeout_s)
    walks = await _walks(question.name, kinds, asker.resolvs, asking)
    asked = tuple(dict.fromkeys(one.name for found in walks for one in found.asked))
    facts = await scene.facts(asked or (question.name,), question.asker)
    case = Case(
        question.name,
        question.type,
        facts,
        walks,
        dict(asking.traces),
        (),
        asker.pod,
        asker.namespace,
    )
    if question.connects:
        case = replace(case, connections=await _connections(case, question.port))
    return Explanation(
        question.name,
        question.type,
        walks,
        # perf: with 10,000 services it takes 16 ms, and the loop may have queries to answer.
        await asyncio.to_thread(diagnose, case),
        dict(asking.traces),
        case.connections,
        (*scene.unknown, *_unread(case)),
        asker.says,
    )


def cluster_dns(facts: Facts) -> tuple[str, ...]:
    """The addresses of the cluster's DNS service, which the kubelet gives to pods."""
    service = facts.services.get(DNS_SERVICE)
    return tuple(one for one in service.addresses if _is_address(one)) if service else ()


def _asker(
    question: Question,
    facts: Facts,
    servers: tuple[str, ...],
    given: tuple[tuple[str, int], ...],
) -> Asker:
    """Who asks, as the question says it."""
    zone = facts.zones[0] if facts.zones else "cluster.local."
    pod = _pod(question.asker, facts)
    name = question.asker.partition("/")[0]
    is_address = _is_address(question.asker)
    namespace = pod.namespace if pod is not None else "" if is_address else name
    if pod is not None:
        resolv, says = resolv_of_pod(pod, zone, servers, None)
    else:
        resolv, says = resolv_of_namespace(namespace or "default", zone, servers)
    resolvs = dict.fromkeys(LIBCS, resolv)
    if question.resolv_conf:
        resolvs = {libc: parse_resolv(question.resolv_conf, libc) for libc in LIBCS}
        says = "the resolv.conf given"
    if given:
        resolvs = {libc: replace(one, nameservers=given) for libc, one in resolvs.items()}
    address = next(iter(pod.addresses), "") if pod is not None else ""
    where = question.asker if is_address else address
    return Asker(says, namespace or "default", resolvs, pod, where)


def _pod(asker: str, facts: Facts) -> PodFact | None:
    """The pod of `NAMESPACE/POD` or of an address; raises QuestionError where it is not there."""
    namespace, slash, name = asker.partition("/")
    if slash:
        found = [one for one in facts.pods.get(namespace, ()) if one.name == name]
        if not found and "pods" not in facts.unknown:
            there = ", ".join(sorted(one.name for one in facts.pods.get(namespace, ()))[:5])
            hint = f"; pods there: {there}" if there else f"; no pods are known in {namespace}"
            raise QuestionError(f"there is no pod {asker}{hint}")
        return found[0] if found else None
    if not _is_address(asker):
        return None
    every = (pod for pods in facts.pods.values() for pod in pods)
    return next((pod for pod in every if asker in pod.addresses and not pod.host_network), None)


def _unread(case: Case) -> tuple[str, ...]:
    """What could not be read and would have told more, by the reason why."""
    kinds: dict[str, list[str]] = {}
    for kind, why in case.facts.unknown.items():
        if kind != "policies" or _asks_policies(case):
            kinds.setdefault(why, []).append(kind)
    skipped = case.facts.skipped
    lines = tuple(f"{', '.join(named)}: {why}" for why, named in kinds.items())
    lines += skipped[:MOST_SKIPPED]
    if len(skipped) > MOST_SKIPPED:
        lines += (f"{len(skipped) - MOST_SKIPPED} more objects that could not be read",)
    return lines if not (case.asker and case.connections) else (FROM_HERE, *lines)


def _asks_policies(case: Case) -> bool:
    """NetworkPolicies would tell why nobody answered, or whether a service can be reached."""
    is_cut_off = not any(step.rcode for step in case.steps)
    is_reached = case.is_answered and case.service is not None
    is_in_question = case.asker is not None or bool(case.connections)
    return bool(case.steps) and is_in_question and (is_cut_off or is_reached)


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


async def _walks(
    name: str, kinds: tuple[int, ...], resolvs: Mapping[Libc, Resolv], asking: Asking
) -> tuple[Walk, ...]:
    """The look-up as each libc makes it; what both ask is asked once."""
    heard: dict[tuple[tuple[str, int], bytes, str], Heard] = {}

    async def once(nameserver: tuple[str, int], packet: bytes, transport: str) -> Heard:
        key = (nameserver, packet[2:], transport)
        if key not in heard:
            heard[key] = await asking.ask(nameserver, packet, transport)
        found = heard[key]
        if found.reply is None or found.reply[:2] == packet[:2]:
            return found
        return replace(found, reply=packet[:2] + found.reply[2:])

    return tuple([await walk(name, kinds, resolvs[libc], libc, once) for libc in LIBCS])


async def _connections(case: Case, port: int) -> tuple[Connection, ...]:
    """Tries the ports of what was resolved."""
    addresses = case.walk.addresses if case.walk is not None else ()
    service = case.service
    ports = [("TCP", port)] if port else []
    if not ports and service is not None:
        ports = [(one.protocol, one.number) for one in service.ports]
    tried = [(address, *each) for address in addresses for each in ports]
    return tuple(
        [
            await connect(address, number, protocol)
            for address, protocol, number in tried[:MOST_CONNECTIONS]
        ]
    )
