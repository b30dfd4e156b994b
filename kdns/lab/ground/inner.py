"""What the lab's namespaces hold before the lab runs: /proc, lo, and the cluster's addresses.

All of services, nodes and load balancers are local addresses here; pods are behind their links.
"""

import os
import socket
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from kdns.lab.ground import kernel, netlink
from kdns.lab.ranges import USUAL

HOSTNAME = "kdns-lab"
_SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "1",  # of links to pods: none bears another's address
    "ipv6/conf/all/forwarding": "1",
    "ipv6/ip_nonlocal_bind": "1",  # addresses of a local route are bound without it in IPv4 only
}
_REHEARSED = 99


def has_v6() -> bool:
    """Whether this namespace has IPv6."""
    try:
        return Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").read_text("ascii").strip() == "0"
    except OSError:
        return False


def prepare() -> None:
    """Fills new user, mount, network and UTS namespaces; of process 1."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", "/proc", "proc", flags)
    socket.sethostname(HOSTNAME)
    with netlink.Netlink() as net:
        net.run(netlink.link_up(netlink.LO))
        _settle(net)


def _settle(net: netlink.Netlink) -> None:
    for name, value in _SETTINGS.items():
        with suppress(FileNotFoundError):  # without IPv6
            Path("/proc/sys/net", name).write_text(value, "ascii")
    v4, v6 = (USUAL.services, USUAL.nodes, USUAL.outside), (USUAL.services6,)
    local: list[IPv4Network | IPv6Network] = [*v4, *(v6 if has_v6() else ())]
    net.run(*netlink.move_local_rule(is_v6=False), *(netlink.local_route(one) for one in local))
    net.run(netlink.address(str(USUAL.nodes[1]), netlink.LO))  # what we leave from, to pods
    if has_v6() and USUAL.pods6:
        net.run(*netlink.move_local_rule(is_v6=True))
        net.run(netlink.address(str(USUAL.pods6[-1]), netlink.LO))


def rehearse() -> None:
    """Does once what the lab will do for each pod; raises OSError."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    kernel.unshare(kernel.NEWNET)
    there = os.open("/proc/self/ns/net", os.O_RDONLY)
    kernel.setns(home, kernel.NEWNET)
    pod = ip_network(str(USUAL.pods[1]))
    rule = netlink.Rule(1, source=pod, iif="rehearsed", protocol=17, ports=(53, 53))
    with netlink.Netlink() as net:
        net.run(
            netlink.veth("rehearsed", _REHEARSED, peer="eth0", peer_index=2, space=there),
            netlink.route(pod, _REHEARSED),
            netlink.add_rule(rule),
        )
