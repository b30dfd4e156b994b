"""Kubernetes objects, friendly and hostile, become compact ones or a ValueError with a path."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.objects import More, Namespace, Pod, Port, Service, ServiceImport, Slice
from kdns.cluster.parse import parse
from kdns.cluster.workloads import EndpointAddress, Endpoints, PodState, ServiceSpec, Subset, Target
from tests.cluster.things import ips

META = {"name": "s", "namespace": "a", "labels": {"app": "web"}, "resourceVersion": "7"}
LABELS = (("app", "web"),)


def service(spec: object, **status: object) -> Service:
    made = parse(
        {"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": spec, "status": status}
    )
    assert isinstance(made, ServiceSpec)
    return made


def test_a_namespace_has_its_labels():
    made = parse({"apiVersion": "v1", "kind": "Namespace", "metadata": META | {"namespace": None}})
    assert made == Namespace("s", LABELS, "7")


def test_a_service_with_everything():
    made = service(
        {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1", "fd00::1"],
            "externalIPs": ["192.0.2.1"],
            "selector": {"app": "web"},
            "publishNotReadyAddresses": True,
            "ports": [
                {"name": "HTTP", "port": 80, "protocol": "TCP", "targetPort": "Web"},
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353, "nodePort": 1},
                {"port": 7},
            ],
        },
        loadBalancer={
            "ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}, {"hostname": "lb.example"}]
        },
    )
    ports = (Port("http", 80, "tcp"), Port("dns", 53, "udp"), Port("", 7, "tcp"))
    assert made.service == Service(
        "a", "s", ips("1", "fd00::1"), False, "", ports,
        ips("192.0.2.1", "192.0.2.2"), ("lb.example",), LABELS, "7",
        More((0, 1, 0)),
    )  # fmt: skip
    assert made.targets == (
        Target("http", "tcp", "web"),
        Target("dns", "udp", 5353),
        Target("", "tcp", 7),
    )
    assert (made.selector, made.families, made.shows_unready, made.lacks) == (
        LABELS,
        (4, 16),
        True,
        (),
    )


@pytest.mark.parametrize(
    ("spec", "headless", "families", "lacks"),
    [
        ({}, False, (4,), (4,)),
        (None, False, (4,), (4,)),
        ({"clusterIP": ""}, False, (4,), (4,)),
        ({"clusterIP": "10.0.0.1"}, False, (4,), ()),
        ({"clusterIP": "fd00::1"}, False, (16,), ()),
        ({"ipFamilies": ["IPv6"]}, False, (16,), (16,)),
        ({"ipFamilyPolicy": "PreferDualStack"}, False, (4, 16), (4, 16)),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}, False, (16, 4), (16, 4)),
        ({"ipFamilyPolicy": "PreferDualStack", "clusterIP": "10.0.0.1"}, False, (4,), ()),
        ({"ipFamilyPolicy": "RequireDualStack", "clusterIP": "10.0.0.1"}, False, (4, 16), (16,)),
        ({"clusterIP": "None"}, True, (4, 16), ()),
        ({"clusterIPs": ["None"], "ipFamilies": ["IPv4"]}, True, (4,), ()),
    ],
    ids=str,
)
def test_families_and_missing_addresses(spec, headless, families, lacks):
    made = service(spec)
    assert (made.service.is_headless, made.families, made.lacks) == (headless, families, lacks)


def test_an_external_name_has_no_addresses_and_no_endpoints():
    made = service(
        {
            "type": "ExternalName",
            "externalName": "Pay.Example.com.",
            "clusterIP": "10.0.0.1",
            "selector": {"a": "b"},
        }
    )
    assert made == ServiceSpec(
        Service("a", "s", (), False, "Pay.Example.com.", labels=LABELS, version="7")
    )


def slice_(**fields: object) -> Slice | None:
    labels = fields.pop("labels", {"kubernetes.io/service-name": "S"})
    base = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "x", "namespace": "a", "labels": labels}, "endpoints": None, "ports": None,
    }  # fmt: skip
    made = parse(base | fields)
    assert made is None or isinstance(made, Slice)
    return made


def test_a_slice_packs_its_endpoints():
    made = slice_(
        endpoints=[
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": True},
                "hostname": "H",
                "zone": "Z",
            },
            {
                "addresses": ["10.0.0.2"],
                "conditions": {"ready": False},
                "targetRef": {"kind": "Pod", "name": "p"},
            },
            {"addresses": ["10.0.0.3", "10.0.0.4"], "conditions": {"ready": None}},
            {
                "addresses": ["10.0.0.5"],
                "conditions": None,
                "targetRef": {"kind": "Node", "name": "n"},
            },
            {"addresses": None},
        ],
        ports=[{"name": "http", "port": 80, "protocol": "TCP"}, {"name": None, "port": None}],
    )
    assert made == Slice(
        "a", "x", "s", 4, b"".join(ips("1", "2", "3", "4", "5")), frozenset({1}),
        ("h", "", "", "", ""), ("", "p", "", "", ""), ("Z", "", "", "", ""),
        (Port("http", 80, "tcp"), Port("", -1, "tcp")), labels=(("kubernetes.io/service-name", "S"),),
    )  # fmt: skip


def test_a_slice_of_usual_endpoints_has_no_columns_of_names():
    made = slice_(endpoints=[{"addresses": ["10.0.0.1"]}])
    assert (made.hostnames, made.pods, made.zones, made.unready) == (None, None, None, frozenset())


def test_a_slice_of_names_answers_nothing():
    made = slice_(addressType="FQDN", endpoints=[{"addresses": ["example.org"]}])
    assert (made.width, made.count, made.addresses) == (0, 0, b"")


def test_a_slice_without_a_service_is_nothing():
    assert slice_(labels=None) is None


def test_a_multicluster_slice_names_its_cluster():
    prefix = "multicluster.kubernetes.io/"
    made = slice_(labels={prefix + "service-name": "s", prefix + "source-cluster": "East"})
    assert (made.service, made.cluster) == ("s", "east")


def test_endpoints_keep_both_kinds_of_addresses():
    made = parse({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": META,
        "subsets": [{
            "addresses": [{"ip": "1.1.1.1", "hostname": "h", "targetRef": {"kind": "Pod", "name": "p"}}],
            "notReadyAddresses": [{"ip": "2.2.2.2"}], "ports": [{"port": 80}],
        }, {"addresses": None, "ports": None}],
    })  # fmt: skip
    one, two = ips("1.1.1.1", "2.2.2.2")
    assert made == Endpoints("a", "s", (
        Subset((EndpointAddress(one, "h", "p"), EndpointAddress(two, is_ready=False)), (Port("", 80, "tcp"),)),
        Subset((), ()),
    ), "7")  # fmt: skip


def pod(spec: object = None, status: object = None, **meta: object) -> PodState:
    made = parse(
        {"apiVersion": "v1", "kind": "Pod", "metadata": META | meta, "spec": spec, "status": status}
    )
    assert isinstance(made, PodState)
    return made


def test_a_pod_with_everything():
    made = pod(
        {
            "hostname": "H", "subdomain": "mysql",
            "containers": [
                {"ports": [{"name": "rpc", "containerPort": 9000}, {"containerPort": 1}, {"name": "x"}]},
                {"ports": None},
            ],
            "initContainers": [
                {"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 2, "protocol": "UDP"}]},
                {"ports": [{"name": "once", "containerPort": 3}]},
            ],
        },
        {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "phase": "Running"},
    )  # fmt: skip
    assert made == PodState(
        Pod("a", "s", ips("1", "fd00::1"), LABELS, "7"), "h", "mysql",
        (Port("rpc", 9000, "tcp"), Port("side", 2, "udp")), True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "ready", "finished"),
    [
        (None, True, False),
        ({"podIP": "10.0.0.1"}, True, False),
        ({"phase": "Running"}, True, False),
        ({"phase": "Pending"}, False, False),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, True, False),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, False, False),
        (
            {
                "conditions": [
                    {"type": "Initialized", "status": "False"},
                    {"type": "Ready", "status": "True"},
                ]
            },
            True,
            False,
        ),
        ({"phase": "Succeeded"}, False, True),
        ({"phase": "Failed"}, False, True),
        ({"phase": "Unknown"}, False, True),
    ],
    ids=str,
)
def test_readiness_of_a_pod(status, ready, finished):
    made = pod(status=status)
    assert (made.is_ready, made.is_finished, made.is_gone) == (ready, finished, finished)


def test_a_pod_that_is_being_deleted_is_gone():
    made = pod(deletionTimestamp="2026-01-01T00:00:00Z")
    assert made.is_terminating
    assert made.is_gone


def test_a_service_import():
    spec = {"type": "ClusterSetIP", "ips": ["10.0.0.1"], "ports": [{"name": "http", "port": 80}]}
    base = {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": META,
    }
    assert parse(base | {"spec": spec}) == ServiceImport(
        "a", "s", ips("1"), False, (Port("http", 80, "tcp"),), "7"
    )
    assert parse(base | {"spec": {"type": "Headless", "ips": None}}).is_headless


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": 5},
        {"apiVersion": "v1", "kind": "EndpointSlice"},
    ],
    ids=["another kind", "another group", "a group it is not in"],
)
def test_what_answers_do_not_need_is_nothing(document):
    assert parse(document) is None


def test_names_are_folded_and_a_namespace_left_out_is_default():
    made = parse({"kind": "Service", "metadata": {"name": "WEB"}})
    assert made.service.key == "default/web"


WRONG = {
    "no object": (5, "$"),
    "no kind": ({"apiVersion": "v1"}, "$.kind"),
    "a kind that is no text": ({"kind": ["Service"]}, "$.kind"),
    "a version that is no text": ({"kind": "Service", "apiVersion": 1}, "$.kind"),
    "no metadata": ({"kind": "Service"}, "$.metadata.name"),
    "a name that is a number": ({"kind": "Service", "metadata": {"name": 5}}, "$.metadata.name"),
    "a name with a slash": ({"kind": "Service", "metadata": {"name": "a/b"}}, "$.metadata.name"),
    "a name with a dot": ({"kind": "Service", "metadata": {"name": "a.b"}}, "$.metadata.name"),
    "a long name": ({"kind": "Service", "metadata": {"name": "a" * 64}}, "$.metadata.name"),
    "a long pod name": ({"kind": "Pod", "metadata": {"name": "a" * 254}}, "$.metadata.name"),
    "a name with a tilde": ({"kind": "Pod", "metadata": {"name": "a~1"}}, "$.metadata.name"),
    "a namespace with a line": ({"kind": "Pod", "metadata": {"name": "a", "namespace": "a\n"}}, "$.metadata.namespace"),
    "labels that are a list": ({"kind": "Service", "metadata": {"name": "a", "labels": []}}, "$.metadata.labels"),
    "a label that is a number": ({"kind": "Service", "metadata": {"name": "a", "labels": {"x": 1}}}, "$.metadata.labels[...]"),
}  # fmt: skip
SPECS = {
    "a ClusterIP that is none": ({"clusterIP": "10.0.0.256"}, "$.spec.clusterIP"),
    "a ClusterIP with a scope": ({"clusterIPs": ["fe80::1%eth0"]}, "$.spec.clusterIPs[0]"),
    "a second ClusterIP that is none": ({"clusterIPs": ["10.0.0.1", ""]}, "$.spec.clusterIPs[1]"),
    "an external IP that is none": ({"externalIPs": ["x"]}, "$.spec.externalIPs[0]"),
    "a port that is text": ({"ports": [{"port": "80"}]}, "$.spec.ports[0].port"),
    "port 0": ({"ports": [{"port": 0}]}, "$.spec.ports[0]"),
    "port 65536": ({"ports": [{"port": 65536}]}, "$.spec.ports[0]"),
    "a huge port": ({"ports": [{"port": 10**30}]}, "$.spec.ports[0]"),
    "a huge target port": ({"ports": [{"port": 80, "targetPort": 65536}]}, "$.spec.ports[0].targetPort"),
    "a negative target port": ({"ports": [{"port": 80, "targetPort": -1}]}, "$.spec.ports[0].targetPort"),
    "a port that is a half": ({"ports": [{"port": 80.5}]}, "$.spec.ports[0].port"),
    "a port name with a dot": ({"ports": [{"name": "a.b", "port": 80}]}, "$.spec.ports[0].name"),
    "a long protocol": ({"ports": [{"port": 80, "protocol": "x" * 64}]}, "$.spec.ports[0].protocol"),
    "ports that are an object": ({"ports": {}}, "$.spec.ports"),
    "a family of tomorrow": ({"ipFamilies": ["IPv4", "IPv8"]}, "$.spec.ipFamilies[1]"),
    "an ExternalName without a name": ({"type": "ExternalName"}, "$.spec.externalName"),
    "the root as external name": ({"type": "ExternalName", "externalName": "."}, "$.spec.externalName"),
    "an external name with an empty label": ({"type": "ExternalName", "externalName": "a..b"}, "$.spec.externalName"),
    "a long external name": ({"type": "ExternalName", "externalName": "a." * 200}, "$.spec.externalName"),
    "a surrogate in an external name": ({"type": "ExternalName", "externalName": "\ud800"}, "$.spec.externalName"),
}  # fmt: skip
SLICES = {
    "no address type": ({"addressType": None}, "$.addressType"),
    "an address that is none": ({"endpoints": [{"addresses": ["x"]}]}, "$.endpoints[0].addresses[0]"),
    "an address of the other family": ({"endpoints": [{"addresses": ["fd00::1"]}]}, "$.endpoints[0]"),
    "a hostname with a dot": ({"endpoints": [{"addresses": [], "hostname": "a.b"}]}, "$.endpoints[0].hostname"),
    "a pod with a slash": ({"endpoints": [{"targetRef": {"kind": "Pod", "name": "a/b"}}]}, "$.endpoints[0].targetRef.name"),
    "a multicluster slice without a cluster": (
        {"labels": {"multicluster.kubernetes.io/service-name": "s"}}, "$.metadata.labels["),
}  # fmt: skip


@pytest.mark.parametrize(("document", "path"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_object_is_a_value_error_with_its_path(document, path):
    with pytest.raises(ValueError, match=r".") as caught:
        parse(document)
    assert f"`{path}" in str(caught.value)


@pytest.mark.parametrize(("spec", "path"), SPECS.values(), ids=SPECS.keys())
def test_a_wrong_service_is_a_value_error_with_its_path(spec, path):
    with pytest.raises(ValueError, match=r".") as caught:
        service(spec)
    assert f"`{path}" in str(caught.value)


@pytest.mark.parametrize(("fields", "path"), SLICES.values(), ids=SLICES.keys())
def test_a_wrong_slice_is_a_value_error_with_its_path(fields, path):
    with pytest.raises(ValueError, match=r".") as caught:
        slice_(**fields)
    assert f"`{path}" in str(caught.value)


def test_a_wrong_load_balancer_is_a_value_error_with_its_path():
    for one, path in (({"ip": "x"}, "ip"), ({"hostname": "a..b"}, "hostname")):
        with pytest.raises(ValueError, match=r"loadBalancer\.ingress\[0\]\." + path):
            service({}, loadBalancer={"ingress": [one]})


def test_a_message_is_short_whatever_was_given():
    with pytest.raises(ValueError, match=r".") as caught:
        parse({"kind": "Service", "metadata": {"name": "x" * 100_000}})
    assert len(str(caught.value)) < 300


def test_nesting_without_end_is_passed_over():
    deep: object = {}
    for _ in range(5000):
        deep = {"a": deep}
    meta = {"name": "s", "deletionTimestamp": deep}
    assert parse({"kind": "Pod", "metadata": meta, "spec": {"unknown": deep}}).is_terminating


FULL = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": META},
    {"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": {
        "type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "externalIPs": ["192.0.2.1"],
        "selector": {"app": "web"}, "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]},
     "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "hostname": "h"}]}}},
    {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
     "metadata": META | {"labels": {"kubernetes.io/service-name": "s"}},
     "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "hostname": "h",
                    "targetRef": {"kind": "Pod", "name": "p"}, "zone": "z"}],
     "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    {"apiVersion": "v1", "kind": "Endpoints", "metadata": META, "subsets": [
        {"addresses": [{"ip": "10.0.0.1", "hostname": "h"}], "notReadyAddresses": [], "ports": [{"port": 1}]}]},
    {"apiVersion": "v1", "kind": "Pod", "metadata": META,
     "spec": {"hostname": "h", "subdomain": "s", "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]},
     "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}]}},
    {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport", "metadata": META,
     "spec": {"type": "ClusterSetIP", "ips": ["10.0.0.1"], "ports": [{"port": 1}]}},
]  # fmt: skip
HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4),
    st.just([]), st.just({}), st.just([None]), st.just({"": None}), st.just("x" * 5000), st.just(10**40),
    st.just("10.0.0.1"), st.just("a/b"), st.just("\ud800"), st.just(["10.0.0.1", 5]), st.just([{}]),
)  # fmt: skip


def places(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [at] if at else []
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in inner:
        found += places(below, (*at, key))
    return found


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(FULL), st.data())
def test_whatever_stands_in_a_field_it_is_an_object_or_a_value_error(full, data):
    document = copy.deepcopy(full)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(document)))
        holder = document
        for key in path:
            holder = holder[key]
        holder[last] = copy.deepcopy(data.draw(HOSTILE))
    try:
        made = parse(document)
    except ValueError as error:
        assert str(error)
    else:
        assert made is None or hash(made) is not None


@pytest.mark.parametrize("full", FULL, ids=lambda full: full["kind"])
def test_every_field_may_be_null(full):
    for path in places(full):
        if (
            path[0] in {"apiVersion", "kind", "addressType"}
            or path == ("metadata",)
            or path[-1] == "name"
        ):
            continue
        if isinstance(path[-1], int) or "labels" in path or path[-1] == "ip":
            continue
        document = json.loads(json.dumps(full))
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = None
        assert parse(document) is not None, path
