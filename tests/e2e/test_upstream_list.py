"""What Kubernetes' own end-to-end tests ask of cluster DNS, but for what only a kubelet can do.

Each test carries the title of the one it stands for; every name is asked over UDP and TCP, whole
and through a pod's search list.
"""

import subprocess
from ipaddress import ip_address
from pathlib import Path

import dns.rdatatype
import dns.resolver
import pytest

from tests.e2e import things
from tests.e2e.conftest import COREFILE, Start
from tests.referee.asking import ask, eventually, texts
from tests.referee.kube import Kube
from tests.referee.names import serve

ZONE = "cluster.local"


def answers(port: int, name: str, type_: str = "A") -> list[str]:
    """The data of the answer, the same over both transports."""
    found = [texts(ask(port, name, type_, tcp=tcp), type_) for tcp in (False, True)]
    assert found[0] == found[1], name
    return found[0]


def awaited(port: int, name: str, type_: str = "A") -> list[str]:
    """The answer, once there is one."""
    eventually(lambda: bool(ask(port, name, type_).answer), within_s=60, what=f"{name} {type_}")
    return answers(port, name, type_)


def searched(port: int, name: str, space: str, *, more: tuple[str, ...] = ()) -> list[str]:
    """What a pod of a namespace gets for a short name, by its search list, over both transports."""
    pod = dns.resolver.Resolver(configure=False)
    pod.nameservers, pod.port, pod.ndots = ["127.0.0.1"], port, 5
    domains = (f"{space}.svc.{ZONE}", f"svc.{ZONE}", ZONE, *more)
    pod.search = [dns.name.from_text(each) for each in domains]
    type_ = "SRV" if name.startswith("_") else "A"
    found = [
        sorted(
            each.to_text() for each in pod.resolve(name, type_, tcp=tcp, search=True, lifetime=20)
        )
        for tcp in (False, True)
    ]
    assert found[0] == found[1], name
    return found[0]


def dig(port: int, *words: str) -> list[str]:
    """What dig +short prints."""
    command = ["dig", "@127.0.0.1", "-p", str(port), "+short", "+tries=2", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.fixture
def pair(kube: Kube, space: str) -> tuple[str, str, str]:
    """A headless and a regular service with a pod behind both: namespace, ClusterIP, pod's address."""
    kube.create(
        things.service(space, "headless", clusterIP="None", selector={"app": "x"}),
        things.service(space, "regular", selector={"app": "x"}),
        things.pod(space, "x-0", "x"),
    )
    eventually(
        lambda: "podIP" in kube.get("Pod", space, "x-0").get("status", {}), within_s=60, what="x-0"
    )
    regular = kube.get("Service", space, "regular")["spec"]["clusterIP"]
    return space, regular, kube.get("Pod", space, "x-0")["status"]["podIP"]


def test_should_provide_dns_for_the_cluster(dns_port: int, kube: Kube):
    address = kube.get("Service", "default", "kubernetes")["spec"]["clusterIP"]
    assert answers(dns_port, f"kubernetes.default.svc.{ZONE}") == [address]
    assert answers(dns_port, "google.com") == ["192.0.2.80"]


def test_should_resolve_partial_names_for_the_cluster(dns_port: int, space: str):
    for name in ("kubernetes.default", "kubernetes.default.svc"):
        assert searched(dns_port, name, space)


def test_should_provide_dns_for_services(dns_port: int, pair: tuple[str, str, str]):
    space, regular, pod = pair
    assert awaited(dns_port, f"headless.{space}.svc.{ZONE}") == [pod]
    assert awaited(dns_port, f"regular.{space}.svc.{ZONE}") == [regular]
    target = f"regular.{space}.svc.{ZONE}."
    assert answers(dns_port, f"_http._tcp.regular.{space}.svc.{ZONE}", "SRV") == [
        f"0 100 80 {target}"
    ]
    [srv] = awaited(dns_port, f"_http._tcp.headless.{space}.svc.{ZONE}", "SRV")
    assert answers(dns_port, srv.split()[-1]) == [pod]
    assert answers(dns_port, ip_address(regular).reverse_pointer, "PTR") == [target]
    assert dig(dns_port, "-x", regular) == [target]


def test_should_resolve_partial_names_for_services(dns_port: int, pair: tuple[str, str, str]):
    space, _, pod = pair
    awaited(dns_port, f"headless.{space}.svc.{ZONE}")
    for name in ("headless", f"headless.{space}", f"headless.{space}.svc"):
        assert searched(dns_port, name, space) == [pod]
    for name in (f"_http._tcp.headless.{space}.svc", f"_http._tcp.regular.{space}.svc"):
        assert searched(dns_port, name, space)


def test_should_provide_dns_for_pods_for_hostname_and_subdomain(
    dns_port: int, kube: Kube, space: str
):
    kube.create(
        things.service(space, "sub", clusterIP="None", selector={"app": "named"}),
        things.pod(space, "named-0", "named", hostname="querier", subdomain="sub"),
    )
    [whole] = awaited(dns_port, f"sub.{space}.svc.{ZONE}")
    assert awaited(dns_port, f"querier.sub.{space}.svc.{ZONE}") == [whole]
    assert kube.get("Pod", space, "named-0")["status"]["podIP"] == whole


def test_should_provide_dns_for_pods_by_address(dns_port: int, pair: tuple[str, str, str]):
    space, _, pod = pair
    assert answers(dns_port, f"{pod.replace('.', '-')}.{space}.pod.{ZONE}") == [pod]


def test_should_provide_dns_for_externalname_services(dns_port: int, kube: Kube, space: str):
    name = f"outside.{space}.svc.{ZONE}"
    kube.create(things.external(space, "outside", "foo.example.com"))
    assert awaited(dns_port, name, "CNAME") == ["foo.example.com."]
    assert dig(dns_port, name) == ["foo.example.com.", "192.0.2.1"]
    kube.patch("Service", space, "outside", {"spec": {"externalName": "bar.example.com"}})
    eventually(
        lambda: texts(ask(dns_port, name, "CNAME"), "CNAME") == ["bar.example.com."], within_s=20
    )
    assert answers(dns_port, name, "CNAME") == ["bar.example.com."]
    ports = [things.port("http", 80)]
    to = {"type": "ClusterIP", "externalName": None, "ports": ports, "clusterIP": None}
    kube.patch("Service", space, "outside", {"spec": to})
    address = kube.get("Service", space, "outside")["spec"]["clusterIP"]
    eventually(lambda: texts(ask(dns_port, name)) == [address], within_s=20)
    assert answers(dns_port, name) == [address]
    assert answers(dns_port, name, "CNAME") == []


def test_should_work_with_more_than_6_search_paths_and_256_characters(dns_port: int, space: str):
    long = tuple(f"{letter * 60}.{letter * 60}.example.com" for letter in "abcdef")
    for name in ("kubernetes.default", "kubernetes.default.svc"):
        assert searched(dns_port, name, space, more=long)


def test_should_work_with_a_search_path_with_underscore_and_dot(dns_port: int, space: str):
    odd = (".", "_sip._tcp.abc_d.example.com")
    for name in ("kubernetes.default", "kubernetes.default.svc"):
        assert searched(dns_port, name, space, more=odd)
    # and with the odd ones first, as a pod with dnsPolicy None may have them
    pod = odd_first(dns_port, odd)
    assert pod.resolve(f"kubernetes.default.svc.{ZONE}", search=True, lifetime=20)


def odd_first(port: int, domains: tuple[str, ...]) -> dns.resolver.Resolver:
    pod = dns.resolver.Resolver(configure=False)
    pod.nameservers, pod.port, pod.ndots = ["127.0.0.1"], port, 5
    pod.search = [dns.name.from_text(each) for each in (*domains, ZONE)]
    return pod


def test_should_resolve_a_service_whose_name_begins_with_a_digit(
    dns_port: int, kube: Kube, space: str
):
    try:
        kube.create(things.service(space, "1kubernetes"))
    except Exception as error:
        pytest.skip(f"the cluster takes no such name: {error}")
    address = kube.get("Service", space, "1kubernetes")["spec"]["clusterIP"]
    assert awaited(dns_port, f"1kubernetes.{space}.svc.{ZONE}") == [address]


def test_a_service_without_ready_pods_and_publish_not_ready(dns_port: int, kube: Kube, space: str):
    asleep = things.pod(space, "asleep", "asleep")
    asleep["metadata"]["annotations"] = {"test/ready": "false"}
    kube.create(
        things.service(space, "hidden", clusterIP="None", selector={"app": "asleep"}),
        things.service(
            space, "shown", clusterIP="None", selector={"app": "asleep"},
            publishNotReadyAddresses=True,
        ),
        asleep,
    )  # fmt: skip
    assert awaited(dns_port, f"shown.{space}.svc.{ZONE}")
    assert answers(dns_port, f"hidden.{space}.svc.{ZONE}") == []


STUB = """
acme.local:PORT {
    bind 127.0.0.1
    errors
    forward . STUB
    cache 30
}
"""


def swap(server_folder: Path, text: str) -> None:
    """Writes a Corefile as a ConfigMap volume does: whole, by renaming."""
    new = server_folder / "Corefile.new"
    new.write_text(text)
    new.rename(server_folder / "Corefile")


def test_should_be_able_to_change_stub_domain_configuration(
    limited: Path, start: Start, upstream: int
):
    known = {("abc.acme.local.", "A"): ["192.0.2.11"], ("def.acme.local.", "A"): ["192.0.2.12"]}
    with serve(known) as stub:
        plain = COREFILE.replace("    loadbalance\n", "    loadbalance\n    reload 2s 1s\n")
        server = start(limited, plain)
        before = (server.folder / "Corefile").read_text()
        assert answers(server.port, "abc.acme.local") == []
        more = STUB.replace("PORT", str(server.port)).replace("STUB", f"127.0.0.1:{stub}")
        swap(server.folder, before + more)
        eventually(lambda: texts(ask(server.port, "abc.acme.local")) == ["192.0.2.11"], within_s=60)
        assert answers(server.port, "def.acme.local") == ["192.0.2.12"]
        assert answers(server.port, f"kubernetes.default.svc.{ZONE}")
        swap(server.folder, before)
        eventually(lambda: texts(ask(server.port, "abc.acme.local")) == [], within_s=60)


def test_should_forward_ptr_records_to_another_server(limited: Path, start: Start, dns_port: int):
    assert answers(dns_port, "8.8.8.8.in-addr.arpa", "PTR") == ["dns.google."]
    mine = {("123.2.0.192.in-addr.arpa.", "PTR"): ["my.test."],
            (ip_address("2001:db8::29").reverse_pointer + ".", "PTR"): ["my.test."]}  # fmt: skip
    with serve(mine) as other:
        server = start(limited, COREFILE.replace("UPSTREAM", f"127.0.0.1:{other}"))
        assert answers(server.port, "123.2.0.192.in-addr.arpa", "PTR") == ["my.test."]
        assert answers(server.port, ip_address("2001:db8::29").reverse_pointer, "PTR") == [
            "my.test."
        ]


def test_should_forward_externalname_to_another_server(
    limited: Path, start: Start, kube: Kube, space: str
):
    kube.create(things.external(space, "far", "dns.google"))
    known = {("dns.google.", "A"): ["192.0.2.123"], ("dns.google.", "AAAA"): ["2001:db8::29"]}
    with serve(known) as other:
        server = start(limited, COREFILE.replace("UPSTREAM", f"127.0.0.1:{other}"))
        name = f"far.{space}.svc.{ZONE}"
        eventually(lambda: texts(ask(server.port, name)) == ["192.0.2.123"], within_s=60)
        assert dig(server.port, name) == ["dns.google.", "192.0.2.123"]
        assert dig(server.port, name, "AAAA") == ["dns.google.", "2001:db8::29"]


def test_a_namespace_that_goes_takes_its_names_along(dns_port: int, kube: Kube, space: str):
    kube.create(things.service(space, "short"))
    assert awaited(dns_port, f"short.{space}.svc.{ZONE}")
    kube.delete("Service", space, "short")
    eventually(lambda: texts(ask(dns_port, f"short.{space}.svc.{ZONE}")) == [], within_s=20)
