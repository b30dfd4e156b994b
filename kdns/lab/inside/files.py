"""The texts a pod finds in /etc: resolv.conf, hosts, hostname, as a kubelet writes them.

A node of the lab knows no DNS server beside the cluster's: with dnsPolicy Default (and ClusterFirst
on the host network, which means the same) the file names none, so that cluster names do not
resolve there, as they do not in a real cluster.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kdns.lab.errors import Obj

DOMAIN = "cluster.local"
_SERVERS = 3
_SEARCHES = 32
_SEARCH_SIZE = 2048
_LONGEST = 63
"""Of a hostname; what is longer is cut."""
_LONGEST_FQDN = 64
_HEAD = "# Kubernetes-managed hosts file"
_LOCAL = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a pod is called."""

    host: str
    domain: str
    """`subdomain.namespace.svc.cluster.local`, or ""."""
    shown: str
    """What `hostname` prints, and HOSTNAME is."""


def is_on_host(pod: Obj) -> bool:
    """True on the host network."""
    return bool((pod.get("spec") or {}).get("hostNetwork"))


def identity(pod: Obj) -> Identity:
    """Raises LookupError for a name that is to be shown whole and is too long."""
    spec = pod.get("spec") or {}
    host = _short(spec.get("hostname") or pod["metadata"]["name"])
    domain = ""
    if spec.get("subdomain"):
        domain = f"{spec['subdomain']}.{pod['metadata']['namespace']}.svc.{DOMAIN}"
    if is_on_host(pod):
        return Identity(host, domain, spec.get("nodeName") or host)
    if not domain or not spec.get("setHostnameAsFQDN"):
        return Identity(host, domain, host)
    whole = f"{host}.{domain}"
    if len(whole) > _LONGEST_FQDN:
        raise LookupError(
            f"Failed to construct FQDN from Pod hostname and cluster domain, FQDN {whole} is too "
            f"long ({_LONGEST_FQDN} characters is the max, {len(whole)} characters requested)"
        )
    return Identity(host, domain, whole)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[:_LONGEST].rstrip("-.")


# /etc/resolv.conf


def resolv_conf(pod: Obj, server: str) -> str:
    """The resolver's file; `server` is the cluster's DNS."""
    spec = pod.get("spec") or {}
    given = spec.get("dnsConfig") or {}
    servers, searches, options = _policy(pod, spec.get("dnsPolicy") or "ClusterFirst", server)
    servers = _once([*servers, *(given.get("nameservers") or ())])[:_SERVERS]
    searches = _fitting(_once([*searches, *(given.get("searches") or ())]))
    for one in given.get("options") or ():
        options[one["name"]] = one.get("value")
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {one}" for one in servers]
    if options:
        lines.append("options " + " ".join(_option(*one) for one in options.items()))
    return "".join(f"{line}\n" for line in lines)


def _policy(
    pod: Obj, policy: str, server: str
) -> tuple[list[str], list[str], dict[str, str | None]]:
    """Servers, search path and options, before what dnsConfig adds."""
    is_first = policy == "ClusterFirst" and not is_on_host(pod)
    if not is_first and policy != "ClusterFirstWithHostNet":
        return [], [], {}
    below = f"svc.{DOMAIN}"
    return [server], [f"{pod['metadata']['namespace']}.{below}", below, DOMAIN], {"ndots": "5"}


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _fitting(searches: list[str]) -> list[str]:
    """As many as resolvers take."""
    found = searches[:_SEARCHES]
    while len(" ".join(found)) > _SEARCH_SIZE:
        found.pop()
    return found


def _option(name: str, value: str | None) -> str:
    return f"{name}:{value}" if value else name


# /etc/hosts


def hosts(pod: Obj) -> str:
    """The hosts file: the pod's own name, or its node's, and its hostAliases."""
    return "".join(_hosts(pod))


def _hosts(pod: Obj) -> Iterator[str]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    yield f"{_HEAD} (host network).\n" if is_on_host(pod) else f"{_HEAD}.\n"
    yield _LOCAL
    if is_on_host(pod):
        if status.get("hostIP"):
            yield f"{status['hostIP']}\t{spec.get('nodeName', '')}\n"
    else:
        name = identity(pod)
        names = f"{name.host}.{name.domain}\t{name.host}" if name.domain else name.host
        yield from (f"{one['ip']}\t{names}\n" for one in status.get("podIPs") or ())
    if aliases := spec.get("hostAliases"):
        yield "\n# Entries added by HostAliases.\n"
        for one in aliases:
            yield "\t".join([one["ip"], *(one.get("hostnames") or ())]) + "\n"
