"""What an application in the pod is told of a name or an address: /etc/hosts first, then DNS.

As glibc's `hosts: files dns` does it, with the search path and options of resolv.conf.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from kdns.client.search_replies import ADDRESSES, aliases, literal
from kdns.client.search_terms import Walk
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.walking import walked
from kdns.wire import names, types
from kdns.wire.parse import parse

FAMILIES = {"A": 4, "AAAA": 6}
_SAYS = {
    "EAI_NONAME": "Name or service not known",
    "EAI_NODATA": "No address associated with hostname",
    "EAI_AGAIN": "Temporary failure in name resolution",
}


class LookupFailed(LookupError):
    """The words of getaddrinfo for a name without addresses."""


@dataclass(frozen=True, slots=True)
class Found:
    """A host: its name, what else it is called, and where it is."""

    name: str
    aliases: tuple[str, ...]
    addresses: tuple[str, ...]


def find(pod: Pod, name: str, *families: str, within_s: float | None = None) -> Found:
    """Addresses of A, AAAA or both; raises LookupFailed, and TimeoutError if that is all it may
    take."""
    families = families or ("A", "AAAA")
    if address := literal(name):
        moved = pod.moved(address)
        if any(ip_address(moved).version == FAMILIES[one] for one in families):
            return Found(name, (), (moved,))
        raise LookupFailed("Address family for hostname not supported")
    return in_hosts(pod, name, families) or _in_dns(pod, name, families, within_s)


def hosts(pod: Pod) -> Iterator[tuple[str, list[str]]]:
    """Address and names of each line of the hosts file."""
    for line in pod.text("/etc/hosts").splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and (address := literal(words[0])):
            yield address, words[1:]


def in_hosts(pod: Pod, name: str, families: tuple[str, ...]) -> Found | None:
    """What the hosts file says of a name."""
    wanted = name.removesuffix(".").lower()
    lines = [
        (address, called)
        for address, called in hosts(pod)
        if wanted in [one.lower() for one in called]
        and any(ip_address(address).version == FAMILIES[one] for one in families)
    ]
    if not lines:
        return None
    first = lines[0][1]
    others = [one for _, called in lines for one in called if one != first[0]]
    return Found(
        first[0], tuple(dict.fromkeys(others)), tuple(dict.fromkeys(one for one, _ in lines))
    )


def _in_dns(pod: Pod, name: str, families: tuple[str, ...], within_s: float | None) -> Found:
    asked = walked(pod, name, tuple(types.TYPES[one] for one in families), within_s)
    if asked.outcome != "answered":
        raise LookupFailed(_SAYS.get(asked.says, "Temporary failure in name resolution"))
    called = asked.canonical or asked.name
    return Found(called.removesuffix("."), tuple(_aliases(asked)), _ordered(pod, asked.addresses))


def _aliases(asked: Walk) -> Iterator[str]:
    """The names that led to the last one, in order."""
    for one in asked.asked:
        if one.name.lower() == asked.name.lower() and one.type in ADDRESSES and one.heard.reply:
            targets = {
                names.fold(rrset.owner): rrset.rdatas[0]
                for rrset in parse(one.heard.reply).answer
                if rrset.type == types.CNAME
            }
            at = names.parse(asked.name)
            while (target := targets.pop(names.fold(at), None)) is not None:
                yield names.format(at).removesuffix(".")
                at = target
            return


def _ordered(pod: Pod, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Those that there is a way to first; glibc sorts by much more, which is all alike here."""
    return tuple(sorted(dict.fromkeys(addresses), key=lambda one: not _is_reached(pod, one)))


def _is_reached(pod: Pod, address: str) -> bool:
    place = pod.place(address, 9)
    try:
        with pod.socket(place, socket.SOCK_DGRAM) as one:
            one.connect(place)
    except OSError:
        return False
    return True


def find_name(pod: Pod, address: str) -> Found:
    """The name of an address; raises LookupFailed."""
    for known, called in hosts(pod):
        if known == address:
            return Found(called[0], tuple(called[1:]), (address,))
    name = names.format(names.reverse(ip_address(address).packed))
    asked = walked(pod, name, (types.PTR,))
    wanted = names.parse(name)
    for one in asked.asked:
        if asked.outcome == "answered" and one.heard.reply:
            reply = parse(one.heard.reply)
            owner = aliases(wanted, reply.answer)
            for rrset in reply.answer:
                if rrset.type == types.PTR and names.fold(rrset.owner) == names.fold(owner):
                    said = [names.format(rdata).removesuffix(".") for rdata in rrset.rdatas]
                    return Found(said[0], tuple(said[1:]), (address,))
    raise LookupFailed("Name or service not known")
