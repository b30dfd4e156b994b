"""The lab's endpoint controller and that of kdns.cluster agree: two codes, one set of rules."""

from ipaddress import ip_address
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.endpoints import PodIndex, mirror, select
from kdns.cluster.objects import Slice
from kdns.cluster.parse import parse
from kdns.cluster.workloads import Endpoints, PodState, ServiceSpec
from kdns.lab.controllers import endpoints, mirroring
from kdns.lab.controllers.slices import Frame, Group, plan
from kdns.lab.errors import Obj

FRAME = Frame("shop", "web", {"kubernetes.io/service-name": "web"}, {})
BOTH = [["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]]

ports = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["http", "rpc", "other"]),
            "port": st.just(80),
            "targetPort": st.sampled_from([8080, "http", "rpc", "missing"]),
        },
        optional={"protocol": st.sampled_from(["TCP", "UDP"])},
    ),
    max_size=3,
    unique_by=lambda port: port["name"],
)


@st.composite
def services(draw: st.DrawFn) -> Obj:
    spec: Obj = {
        "selector": draw(st.sampled_from([{"app": "web"}, {"app": "web", "tier": "a"}])),
        "clusterIP": draw(st.sampled_from(["None", "10.96.0.9"])),
        "ipFamilies": draw(st.sampled_from(BOTH)),
        "ports": draw(ports),
    }
    if draw(st.booleans()):
        spec["publishNotReadyAddresses"] = True
    metadata = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@st.composite
def pods(draw: st.DrawFn, number: int) -> Obj:
    metadata: Obj = {
        "name": f"pod-{number}",
        "namespace": "shop",
        "uid": f"uid-{number}",
        "labels": draw(st.sampled_from([{"app": "web"}, {"app": "web", "tier": "a"}, {}])),
    }
    if draw(st.booleans()):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    named = draw(st.sampled_from([[], ["http"], ["http", "rpc"]]))
    given = [{"name": name, "containerPort": 9000 + at} for at, name in enumerate(named)]
    spec: Obj = {"containers": [{"name": "a", "image": "a", "ports": given}]}
    if draw(st.booleans()):
        spec |= {"hostname": f"host-{number}", "subdomain": draw(st.sampled_from(["web", "x"]))}
    status: Obj = {
        "phase": draw(st.sampled_from(["Running", "Succeeded", "Failed", "Pending"])),
        "conditions": [{"type": "Ready", "status": draw(st.sampled_from(["True", "False"]))}],
    }
    found = draw(
        st.sampled_from([[], [f"10.244.0.{number}"], [f"10.244.0.{number}", f"fd00::{number:x}"]])
    )
    if found:
        status |= {"podIP": found[0], "podIPs": [{"ip": one} for one in found]}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status,
    }  # fmt: skip


def rows(slices: list[Slice]) -> set[tuple[object, ...]]:
    return {
        (str(ip_address(s.address(at))), s.is_ready(at), s.hostname(at), s.pod(at),
         frozenset(s.ports))
        for s in slices
        for at in range(s.count)
    }  # fmt: skip


def written(groups: dict[Group, list[Obj]]) -> list[Slice]:
    """The slices that the lab would store, as a source reads them."""
    numbers = iter(range(1000))
    todo = plan(FRAME, groups, [], now="", suffix=lambda: str(next(numbers)))
    return [cast("Slice", parse(one)) for one in todo.create]


@settings(max_examples=150, deadline=None)
@given(
    services(), st.integers(0, 6).flatmap(lambda n: st.tuples(*(pods(at + 1) for at in range(n))))
)
def test_selected_endpoints(service: Obj, found: tuple[Obj, ...]) -> None:
    ours = written(endpoints.groups_of(service, found, {}))
    states = [cast("PodState", parse(pod)) for pod in found]
    theirs = select(cast("ServiceSpec", parse(service)), PodIndex(states))
    assert rows(ours) == rows(theirs)


def test_mirrored_endpoints() -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "None"},
    }  # fmt: skip
    given = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [
            {
                "addresses": [{"ip": "192.0.2.1", "hostname": "a"}, {"ip": "2001:db8::1"}],
                "notReadyAddresses": [{"ip": "192.0.2.2"}],
                "ports": [
                    {"name": "db", "port": 1521},
                    {"name": "x", "port": 9, "protocol": "UDP"},
                ],
            },
            {"addresses": [{"ip": "192.0.2.3"}]},
        ],
    }
    theirs = mirror(cast("ServiceSpec", parse(service)).service, cast("Endpoints", parse(given)))
    assert rows(written(mirroring.groups_of(given))) == rows(theirs)
