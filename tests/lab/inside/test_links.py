"""Services' variables, as the documentation of Kubernetes shows them."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.inside.links import capitals, links


def service(name: str, address: str | None = "10.0.0.11", **spec: Any) -> dict[str, Any]:
    ports = spec.pop("ports", [{"port": 6379}])
    return {"metadata": {"name": name}, "spec": {"clusterIP": address, "ports": ports, **spec}}


def test_the_example_of_the_documentation() -> None:
    assert links([service("redis-primary")], 0) == {
        "REDIS_PRIMARY_SERVICE_HOST": "10.0.0.11",
        "REDIS_PRIMARY_SERVICE_PORT": "6379",
        "REDIS_PRIMARY_PORT": "tcp://10.0.0.11:6379",
        "REDIS_PRIMARY_PORT_6379_TCP": "tcp://10.0.0.11:6379",
        "REDIS_PRIMARY_PORT_6379_TCP_PROTO": "tcp",
        "REDIS_PRIMARY_PORT_6379_TCP_PORT": "6379",
        "REDIS_PRIMARY_PORT_6379_TCP_ADDR": "10.0.0.11",
    }


def test_ports_by_name_and_by_transport() -> None:
    ports = [
        {"port": 53, "name": "dns", "protocol": "UDP"},
        {"port": 53, "name": "dns-tcp", "protocol": "TCP"},
    ]
    found = links([service("kube-dns", "10.96.0.10", ports=ports)], 0)
    assert found["KUBE_DNS_SERVICE_PORT"] == "53"
    assert found["KUBE_DNS_SERVICE_PORT_DNS"] == "53"
    assert found["KUBE_DNS_SERVICE_PORT_DNS_TCP"] == "53"
    assert found["KUBE_DNS_PORT"] == "udp://10.96.0.10:53"
    assert found["KUBE_DNS_PORT_53_UDP"] == "udp://10.96.0.10:53"
    assert found["KUBE_DNS_PORT_53_TCP_PROTO"] == "tcp"
    assert len(found) == 2 + 2 + 1 + 8


def test_a_port_without_a_name_has_no_variable_of_its_own() -> None:
    found = links([service("a", ports=[{"port": 1}, {"port": 2, "name": "b"}])], 0)
    assert {name for name in found if "SERVICE_PORT" in name} == {
        "A_SERVICE_PORT", "A_SERVICE_PORT_B",
    }  # fmt: skip


def test_services_without_an_address_have_none() -> None:
    external = service("out", "", type="ExternalName")
    assert not links([service("a", "None"), service("b", ""), service("c", None), external], 0)
    assert not links([service("d", ports=[])], 0)
    assert not links([{"metadata": {"name": "e"}}], 0)


def test_shifted_ports_are_those_that_listen_and_names_stay() -> None:
    ports = [{"port": 80, "name": "http"}, {"port": 8080, "name": "alt"}]
    found = links([service("web", "127.96.0.20", ports=ports)], 20000)
    assert found["WEB_SERVICE_PORT"] == found["WEB_SERVICE_PORT_HTTP"] == "20080"
    assert found["WEB_SERVICE_PORT_ALT"] == "8080"
    assert found["WEB_PORT"] == found["WEB_PORT_80_TCP"] == "tcp://127.96.0.20:20080"
    assert found["WEB_PORT_80_TCP_PORT"] == "20080"


def test_addresses_of_the_other_family_stand_in_brackets() -> None:
    found = links([service("six", "fd00::1")], 0)
    assert found["SIX_SERVICE_HOST"] == found["SIX_PORT_6379_TCP_ADDR"] == "fd00::1"
    assert found["SIX_PORT"] == "tcp://[fd00::1]:6379"


NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, st.integers(1, 65535), st.sampled_from(["TCP", "UDP", "SCTP"]))
def test_every_name_gives_variables_that_shells_know(
    name: str, port: str, number: int, transport: str
) -> None:
    ports = [{"port": number, "name": port, "protocol": transport}]
    found = links([service(name, ports=ports)], 0)
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", one) for one in found)
    assert bool(found) is not name[0].isdigit()
    if found:
        assert found[f"{capitals(name)}_SERVICE_HOST"] == "10.0.0.11"


@given(st.text(max_size=20))
def test_no_name_at_all_makes_another_variable(name: str) -> None:
    for one in links([service(name)], 0):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", one)
