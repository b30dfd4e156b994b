"""From who asks to the resolv.conf he asks by: what the kubelet writes for a pod.

By dnsPolicy first, then dnsConfig: its nameservers and searches are appended and those that are
there already left out, its options override by name. Then the limits: 3 nameservers, 32 search
domains of 2048 characters together. What had to be assumed is said in the sentence.
"""

from dataclasses import dataclass
from typing import Final

from kdns.client.search import Resolv, parse_resolv
from kdns.explain.facts import PodFact

MOST_NAMESERVERS: Final = 3
MOST_SEARCHES: Final = 32
MOST_CHARACTERS: Final = 2048
_NDOTS: Final = "5"
_CLUSTER_FIRST: Final = frozenset({"ClusterFirst", "ClusterFirstWithHostNet"})
_NO_NODE: Final = "the search domains of its node are not known and left out"
_NO_SERVER: Final = "the address of the cluster DNS is not known"


@dataclass(frozen=True, slots=True)
class Conf:
    """A resolv.conf before its limits."""

    nameservers: tuple[str, ...]
    searches: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    assumed: tuple[str, ...] = ()


def resolv_of_pod(
    pod: PodFact, zone: str, cluster_dns: tuple[str, ...], node: Resolv | None
) -> tuple[Resolv, str]:
    """How a pod's look-ups go, and who that is in a sentence."""
    policy, aside = _policy(pod)
    if policy == "None":
        conf = Conf((), (), ())
    elif policy in _CLUSTER_FIRST:
        conf = _cluster_first(pod.namespace, zone, cluster_dns, node)
    else:
        conf = _of_node(node, cluster_dns)
    has_config = bool(pod.nameservers or pod.searches or pod.options)
    if has_config:
        conf = Conf(
            _distinct(conf.nameservers, pod.nameservers),
            _distinct(conf.searches, pod.searches),
            tuple({**dict(conf.options), **dict(pod.options)}.items()),
            conf.assumed,
        )
    address = f" ({pod.addresses[0]})" if pod.addresses else ""
    config = " and its dnsConfig" if has_config else ""
    who = f"pod {pod.namespace}/{pod.name}{address}, dnsPolicy {pod.dns_policy}{aside}{config}"
    return _limited(conf, who)


def resolv_of_namespace(
    namespace: str, zone: str, cluster_dns: tuple[str, ...], node: Resolv | None = None
) -> tuple[Resolv, str]:
    """How look-ups go for a pod of a namespace that sets nothing itself."""
    conf = _cluster_first(namespace, zone, cluster_dns, node)
    return _limited(conf, f"any pod of namespace {namespace} with dnsPolicy ClusterFirst")


def _policy(pod: PodFact) -> tuple[str, str]:
    """The policy that is heeded, and a word where it is not the one that is written."""
    if pod.dns_policy == "ClusterFirst" and pod.host_network:
        return "Default", " (with hostNetwork: as Default)"
    return pod.dns_policy or "ClusterFirst", ""


def _cluster_first(
    namespace: str, zone: str, cluster_dns: tuple[str, ...], node: Resolv | None
) -> Conf:
    bare = zone.rstrip(".")
    own = (f"{namespace}.svc.{bare}", f"svc.{bare}", bare)
    of_node = node.search if node is not None else ()
    assumed = [] if cluster_dns else [_NO_SERVER]
    if node is None:
        assumed.append(_NO_NODE)
    return Conf(cluster_dns, _distinct(own, of_node), (("ndots", _NDOTS),), tuple(assumed))


def _of_node(node: Resolv | None, cluster_dns: tuple[str, ...]) -> Conf:
    """What the node itself asks by; of a node that is not known, no more than that it asks."""
    if node is None:
        assumed = "the resolv.conf of its node is not known: asked is the cluster DNS, unsearched"
        return Conf(cluster_dns, (), (), (assumed,))
    numbers = {"ndots": node.ndots, "timeout": int(node.timeout_s), "attempts": node.attempts}
    options = {key: str(number) for key, number in numbers.items()}
    for word in node.options:
        key, _, value = word.partition(":")
        options[key] = value
    servers = tuple(host for host, _ in node.nameservers)
    return Conf(servers, node.search, tuple(options.items()))


def _distinct(base: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*base, *more)))


def _limited(conf: Conf, who: str) -> tuple[Resolv, str]:
    """The resolv.conf as it is written, read again, and all there is to say of it."""
    servers = conf.nameservers[:MOST_NAMESERVERS]
    searches = conf.searches[:MOST_SEARCHES]
    while len(" ".join(searches)) > MOST_CHARACTERS:
        searches = searches[:-1]
    options = " ".join(f"{key}:{value}" if value else key for key, value in conf.options)
    lines = [f"nameserver {one}" for one in servers]
    lines += [f"search {' '.join(searches)}", f"options {options}"]
    left_out = [
        f"{len(every) - len(kept)} {what}{'s' if len(every) - len(kept) > 1 else ''}"
        for every, kept, what in (
            (conf.nameservers, servers, "nameserver"),
            (conf.searches, searches, "search domain"),
        )
        if len(every) > len(kept)
    ]
    limits = (f"over the limits and left out: {', '.join(left_out)}",) if left_out else ()
    return parse_resolv("\n".join(lines), "glibc"), "; ".join((who, *limits, *conf.assumed))
