"""A pod asks by the resolv.conf that the kubelet writes for it, and what is assumed is said."""

import pytest

from kdns.client.search import Resolv
from kdns.explain.facts import PodFact
from kdns.explain.place import resolv_of_namespace, resolv_of_pod

DNS = ("10.96.0.10",)
NODE = Resolv(
    (("192.0.2.53", 53), ("192.0.2.54", 53)), ("corp.test", "cluster.local"), 2, 3.0, 1, ("rotate",)
)
SHOP = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")


def pod(**more: object) -> PodFact:
    return PodFact("shop", "web-1", addresses=("10.244.1.5",), **more)


def of(pod: PodFact, node: Resolv | None = NODE, dns: tuple[str, ...] = DNS) -> tuple[Resolv, str]:
    return resolv_of_pod(pod, "cluster.local.", dns, node)


@pytest.mark.parametrize(
    ("policy", "is_on_host"),
    [
        ("ClusterFirst", False),
        ("ClusterFirstWithHostNet", False),
        ("ClusterFirstWithHostNet", True),
    ],
)
def test_cluster_first_searches_the_cluster_then_the_nodes_domains(policy, is_on_host):
    resolv, says = of(pod(dns_policy=policy, host_network=is_on_host))
    assert resolv == Resolv((("10.96.0.10", 53),), (*SHOP, "corp.test"), 5)
    assert says == f"pod shop/web-1 (10.244.1.5), dnsPolicy {policy}"


def test_the_options_of_the_node_are_not_those_of_cluster_first():
    resolv, _ = of(pod())
    assert (resolv.timeout_s, resolv.attempts, resolv.options) == (5.0, 2, ())


def test_cluster_first_on_the_host_network_is_default():
    resolv, says = of(pod(host_network=True))
    assert resolv == NODE
    assert "ClusterFirst (with hostNetwork: as Default)" in says


def test_default_asks_what_the_node_asks():
    assert of(pod(dns_policy="Default"))[0] == NODE


def test_default_on_an_unknown_node_says_what_is_assumed():
    resolv, says = of(pod(dns_policy="Default"), None)
    assert resolv == Resolv((("10.96.0.10", 53),))
    assert says.endswith(
        "; the resolv.conf of its node is not known: asked is the cluster DNS, unsearched"
    )


def test_cluster_first_on_an_unknown_node_says_what_is_left_out():
    resolv, says = of(pod(), None)
    assert resolv.search == SHOP
    assert says.endswith("; the search domains of its node are not known and left out")


def test_an_unknown_cluster_dns_is_said():
    assert "the address of the cluster DNS is not known" in of(pod(), NODE, ())[1]


def test_none_is_only_what_dns_config_says():
    resolv, says = of(
        pod(
            dns_policy="None", nameservers=("192.0.2.1",),
            searches=("ns1.svc.cluster-domain.test", "my.dns.test"),
            options=(("ndots", "2"), ("edns0", "")),
        )
    )  # fmt: skip
    assert resolv == Resolv(
        (("192.0.2.1", 53),), ("ns1.svc.cluster-domain.test", "my.dns.test"), 2, options=("edns0",)
    )
    assert says == "pod shop/web-1 (10.244.1.5), dnsPolicy None and its dnsConfig"


def test_dns_config_is_appended_without_what_is_there():
    resolv, _ = of(
        pod(
            nameservers=("10.96.0.10", "192.0.2.1"),
            searches=("corp.test", "my.test", "cluster.local"),
        )
    )
    assert resolv.nameservers == (("10.96.0.10", 53), ("192.0.2.1", 53))
    assert resolv.search == (*SHOP, "corp.test", "my.test")


def test_dns_config_options_override_by_name():
    resolv, _ = of(pod(options=(("ndots", "1"), ("timeout", "2"), ("single-request-reopen", ""))))
    assert (resolv.ndots, resolv.timeout_s) == (1, 2.0)
    assert resolv.options == ("single-request-reopen",)


def test_dns_config_overrides_the_nodes_options():
    resolv, _ = of(pod(dns_policy="Default", options=(("attempts", "3"),)))
    assert (resolv.attempts, resolv.ndots, resolv.options) == (3, 2, ("rotate",))


def test_three_nameservers_are_written_and_the_rest_is_said():
    resolv, says = of(pod(nameservers=("192.0.2.1", "192.0.2.2", "192.0.2.3")))
    assert [host for host, _ in resolv.nameservers] == ["10.96.0.10", "192.0.2.1", "192.0.2.2"]
    assert says.endswith("over the limits and left out: 1 nameserver")


def test_32_search_domains_are_written():
    resolv, says = of(pod(searches=tuple(f"n{at}.test" for at in range(40))))
    assert len(resolv.search) == 32
    assert resolv.search[:4] == (*SHOP, "corp.test")
    assert says.endswith("over the limits and left out: 12 search domains")


def test_2048_characters_of_search_domains_are_written():
    resolv, says = of(pod(searches=tuple(f"{'d' * 60}.{'e' * 60}.n{at}.test" for at in range(20))))
    assert len(" ".join(resolv.search)) <= 2048
    assert 4 < len(resolv.search) < 24
    assert "search domains" in says


def test_a_namespace_stands_for_any_of_its_pods():
    resolv, says = resolv_of_namespace("shop", "example.org.", DNS, NODE)
    assert resolv.search == (
        "shop.svc.example.org",
        "svc.example.org",
        "example.org",
        "corp.test",
        "cluster.local",
    )
    assert says == "any pod of namespace shop with dnsPolicy ClusterFirst"


def test_a_pod_without_address_has_none_in_the_sentence():
    assert of(PodFact("shop", "web-1"))[1] == "pod shop/web-1, dnsPolicy ClusterFirst"
