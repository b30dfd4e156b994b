"""The texts in a pod's /etc."""

from typing import Any

import pytest

from kdns.lab.inside import files

SEARCH = "search shop.svc.cluster.local svc.cluster.local cluster.local\n"


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": "node-a", **spec},
        "status": {
            "hostIP": "172.18.0.11",
            "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00:10:244:1::5"}],
        },
    }


CLUSTER = f"{SEARCH}nameserver 10.96.0.10\noptions ndots:5\n"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst"}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, ""),
        ({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, CLUSTER),
        ({"dnsPolicy": "ClusterFirstWithHostNet"}, CLUSTER),
        ({"dnsPolicy": "Default"}, ""),
        (
            {"dnsPolicy": "None", "dnsConfig": {
                "nameservers": ["192.0.2.1"], "searches": ["ns1.svc.cluster-domain.example", "my.dns.search.suffix"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}},
            "search ns1.svc.cluster-domain.example my.dns.search.suffix\n"
            "nameserver 192.0.2.1\noptions ndots:2 edns0\n",
        ),
        (
            {"dnsConfig": {"nameservers": ["10.96.0.10", "1.1.1.1", "8.8.8.8", "9.9.9.9"],
                           "searches": ["svc.cluster.local", "corp.example"],
                           "options": [{"name": "ndots", "value": "1"}, {"name": "timeout", "value": "1"}]}},
            "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
            "nameserver 10.96.0.10\nnameserver 1.1.1.1\nnameserver 8.8.8.8\noptions ndots:1 timeout:1\n",
        ),
        ({"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["9.9.9.9"]}}, "nameserver 9.9.9.9\n"),
    ],
)  # fmt: skip
def test_resolv_conf(spec: dict[str, Any], text: str) -> None:
    assert files.resolv_conf(pod(**spec), "10.96.0.10") == text


def test_a_search_path_is_no_longer_than_resolvers_take() -> None:
    many = [f"s{at}.example" for at in range(40)]
    text = files.resolv_conf(pod(dnsConfig={"searches": many}), "10.96.0.10")
    assert len(text.splitlines()[0].split()) == 1 + 32
    long = [f"{at}{'x' * 240}.example" for at in range(20)]
    text = files.resolv_conf(pod(dnsConfig={"searches": long}), "10.96.0.10")
    assert len(text.splitlines()[0]) - len("search ") <= 2048


LOCAL = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "10.244.1.5\tweb\nfd00:10:244:1::5\tweb\n"),
        ({"hostname": "mysql-0"}, "10.244.1.5\tmysql-0\nfd00:10:244:1::5\tmysql-0\n"),
        ({"hostname": "mysql-0", "subdomain": "mysql"},
         "10.244.1.5\tmysql-0.mysql.shop.svc.cluster.local\tmysql-0\n"
         "fd00:10:244:1::5\tmysql-0.mysql.shop.svc.cluster.local\tmysql-0\n"),
        ({"hostAliases": [{"ip": "127.0.0.1", "hostnames": ["foo.local", "bar.local"]}, {"ip": "10.1.2.3"}]},
         "10.244.1.5\tweb\nfd00:10:244:1::5\tweb\n"
         "\n# Entries added by HostAliases.\n127.0.0.1\tfoo.local\tbar.local\n10.1.2.3\n"),
    ],
)  # fmt: skip
def test_hosts(spec: dict[str, Any], text: str) -> None:
    assert files.hosts(pod(**spec)) == LOCAL + text


def test_hosts_of_a_node() -> None:
    text = files.hosts(pod(hostNetwork=True, hostAliases=[{"ip": "10.1.2.3", "hostnames": ["a"]}]))
    assert text.startswith(
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n"
    )
    assert text.endswith("172.18.0.11\tnode-a\n\n# Entries added by HostAliases.\n10.1.2.3\ta\n")
    assert "web" not in text


LONG = "a" * 62 + "-" + "b" * 30


@pytest.mark.parametrize(
    ("name", "spec", "shown"),
    [
        ("web", {}, "web"),
        ("web", {"hostname": "other"}, "other"),
        ("web", {"subdomain": "sub"}, "web"),
        ("web", {"subdomain": "sub", "setHostnameAsFQDN": True}, "web.sub.shop.svc.cluster.local"),
        ("web", {"setHostnameAsFQDN": True}, "web"),
        ("web", {"hostNetwork": True}, "node-a"),
        (LONG, {}, "a" * 62),
        ("b" * 70, {}, "b" * 63),
    ],
)
def test_hostname(name: str, spec: dict[str, Any], shown: str) -> None:
    assert files.identity(pod(name, **spec)).shown == shown


def test_a_whole_name_that_no_kernel_takes() -> None:
    with pytest.raises(LookupError, match=r"is too long \(64 characters is the max, 88 characters"):
        files.identity(pod("b" * 63, subdomain="s", setHostnameAsFQDN=True))
