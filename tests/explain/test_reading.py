"""Objects as Kubernetes writes them become facts; rubbish is named and never a traceback."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.explain.facts import ContainerFact, EndpointFact, PortFact
from kdns.explain.reading import parse, scan

SERVICE = {
    "apiVersion": "v1", "kind": "Service",
    "metadata": {
        "name": "web", "namespace": "shop", "resourceVersion": "7",
        "creationTimestamp": "2026-11-21T10:00:00Z",
    },
    "spec": {
        "type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "FD00::0:1"],
        "selector": {"app": "web", "empty": None},
        "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080}],
        "externalIPs": ["192.0.2.1"], "publishNotReadyAddresses": True,
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb.example"}]}},
}  # fmt: skip
SLICE = {
    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
    "metadata": {
        "name": "web-abc", "namespace": "shop",
        "labels": {
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
        "annotations": {
            "endpoints.kubernetes.io/last-change-trigger-time": "2026-11-21T10:00:01.5Z"
        },
        "managedFields": [{"time": "2026-11-21T10:00:02Z"}, {"time": "2026-11-21T10:00:09Z"}, {}],
    },
    "endpoints": [
        {
            "addresses": ["10.0.0.1"], "hostname": "Web-0", "nodeName": "n1", "zone": "z1",
            "targetRef": {"kind": "Pod", "name": "web-0"},
        },
        {
            "addresses": ["10.0.0.2"],
            "conditions": {"ready": False, "serving": True, "terminating": True},
        },
        {"addresses": ["10.0.0.3"], "conditions": {"ready": None, "serving": None}},
    ],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
}  # fmt: skip
POD = {
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {
        "name": "web-0", "namespace": "shop", "labels": {"app": "web"},
        "deletionTimestamp": "2026-11-21T11:00:00Z",
    },
    "spec": {
        "hostname": "web-0", "subdomain": "web", "nodeName": "n1", "hostNetwork": True,
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["10.96.0.10"], "searches": ["shop.svc.cluster.local"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        },
        "containers": [
            {
                "name": "web", "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
            },
            {"name": "log"},
        ],
        "initContainers": [{"name": "setup"}],
    },
    "status": {
        "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        "conditions": [
            {
                "type": "Ready", "status": "False", "reason": "ContainersNotReady",
                "message": "containers with unready status: [web]",
                "lastTransitionTime": "2026-11-21T10:00:00Z",
            }
        ],
        "containerStatuses": [
            {
                "name": "web", "ready": False, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            },
            {"name": "log", "ready": True, "state": {"running": {"startedAt": "x"}}},
        ],
        "initContainerStatuses": [
            {"name": "setup", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
        ],
    },
}  # fmt: skip
ALL = [
    SERVICE,
    SLICE,
    POD,
    {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}},
    {
        "kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "web"},
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
                "ports": [{"port": 80}],
            }
        ],
    },
    {
        "kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "no"},
        "spec": {"podSelector": {}},
    },
]  # fmt: skip


def fact(body):
    return parse(body).fact


def test_a_service_is_read():
    found = fact(SERVICE)
    assert (found.namespace, found.name, found.type) == ("shop", "web", "LoadBalancer")
    assert found.addresses == ("10.96.0.1", "fd00::1")
    assert found.selector == {"app": "web", "empty": ""}
    assert found.ports == (PortFact("http", 80, "TCP", "web", 30080),)
    assert found.external_addresses == ("192.0.2.1", "192.0.2.2", "lb.example")
    assert found.publishes_unready
    assert found.created == "2026-11-21T10:00:00Z"
    assert parse(SERVICE).is_stored


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"clusterIPs": ["None"]}])
def test_a_headless_service_has_no_address(spec):
    assert fact(SERVICE | {"spec": spec}).addresses == ("None",)


def test_an_external_name_has_no_address_and_nobody_elses_name():
    spec = {"type": "ExternalName", "externalName": "db.example", "clusterIP": "10.0.0.1"}
    found = fact(SERVICE | {"spec": spec})
    assert (found.external_name, found.addresses) == ("db.example", ())
    assert fact(SERVICE | {"spec": spec | {"type": "ClusterIP"}}).external_name == ""


def test_a_slice_is_read():
    found = fact(SLICE)
    assert (found.service, found.address_type, found.kind) == ("web", "IPv4", "EndpointSlice")
    assert found.managed_by == "endpointslice-controller.k8s.io"
    assert found.triggered == "2026-11-21T10:00:01.5Z"
    assert found.written == "2026-11-21T10:00:09Z"
    assert found.endpoints == (
        EndpointFact(("10.0.0.1",), hostname="web-0", pod="web-0", node="n1", zone="z1"),
        EndpointFact(("10.0.0.2",), is_ready=False, is_serving=True, is_terminating=True),
        EndpointFact(("10.0.0.3",)),
    )
    assert found.ports == (PortFact("http", 8080),)


def test_a_slice_of_no_service_is_no_fact():
    assert fact(SLICE | {"metadata": {"name": "x"}}) is None


def test_endpoints_are_read_as_a_slice():
    found = fact(ALL[4])
    ready = [(one.addresses, one.is_ready) for one in found.endpoints]
    assert ready == [(("10.0.0.1",), True), (("10.0.0.2",), False)]
    assert (found.namespace, found.service, found.kind) == ("default", "web", "Endpoints")
    assert found.ports == (PortFact("", 80),)


def test_a_pod_is_read():
    found = fact(POD)
    assert found.addresses == ("10.0.0.1", "fd00::1")
    assert (found.hostname, found.subdomain, found.node) == ("web-0", "web", "n1")
    assert found.host_network
    assert (found.dns_policy, found.nameservers) == ("None", ("10.96.0.10",))
    assert found.searches == ("shop.svc.cluster.local",)
    assert found.options == (("ndots", "2"), ("edns0", ""))
    assert found.deleted == "2026-11-21T11:00:00Z"
    (ready,) = found.conditions
    assert (ready.type, ready.status, ready.reason) == ("Ready", "False", "ContainersNotReady")
    assert ready.since == "2026-11-21T10:00:00Z"
    assert not found.is_ready
    assert found.containers == (
        ContainerFact(
            "web", (PortFact("http", 8080),), False, "waiting: CrashLoopBackOff", 3,
            "httpGet :8080/healthz every 10 s",
        ),
        ContainerFact("log", is_ready=True, state="running"),
        ContainerFact("setup", state="terminated: Completed", is_init=True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({"tcpSocket": {"port": "db"}, "periodSeconds": 3}, "tcpSocket :db every 3 s"),
        ({"exec": {"command": ["cat", "/ok"]}}, "exec cat /ok every 10 s"),
        ({"grpc": {"port": 9000, "service": "x"}}, "grpc :9000 x every 10 s"),
        ({"grpc": {"port": 9000}}, "grpc :9000 every 10 s"),
        (
            {"httpGet": {"scheme": "HTTPS", "host": "h", "port": "web", "path": "ok"}},
            "httpGet https h:web/ok every 10 s",
        ),
        ({"exec": {"command": ["printf", "\x1b[31m"]}}, "exec printf  [31m every 10 s"),
        ({"telepathy": {}}, ""),
        ({}, ""),
    ],
)
def test_a_probe_is_said_in_words(probe, words):
    body = POD | {"spec": {"containers": [{"name": "web", "readinessProbe": probe}]}}
    assert fact(body).containers[0].readiness == words


@pytest.mark.parametrize(
    ("status", "is_ready"),
    [
        ({}, True),
        ({"phase": "Running"}, True),
        ({"phase": "Pending"}, False),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "Unknown"}]}, False),
        ({"phase": "Pending", "conditions": [{"type": "Ready", "status": "True"}]}, True),
    ],
)
def test_readiness_is_what_the_endpoint_controller_takes_it_for(status, is_ready):
    assert fact(POD | {"status": status}).is_ready is is_ready


def test_texts_that_anybody_may_write_are_tamed():
    conditions = [{"type": "Ready", "status": "False", "message": "\x1b]0;x\x07" + "a" * 9999}]
    found = fact(POD | {"status": {"conditions": conditions}}).conditions[0]
    assert found.message.isprintable()
    assert len(found.message) <= 500
    marks = {"endpoints.kubernetes.io/last-change-trigger-time": "\x1b[2J yesterday"}
    assert fact(SLICE | {"metadata": SLICE["metadata"] | {"annotations": marks}}).triggered == ""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "an object"),
        ({"kind": 5}, "$.kind"),
        ({"kind": "Service", "metadata": {"name": None}}, "$.metadata.name"),
        ({"kind": "Service", "metadata": []}, "$.metadata"),
        ({"kind": "Service", "metadata": {"name": "a"}, "spec": 3}, "$.spec"),
        (SERVICE | {"spec": {"clusterIP": "\x1b[31m"}}, "an IP address"),
        (POD | {"status": {"podIP": "10.0.0.256"}}, "$.status.podIP"),
        (SERVICE | {"metadata": {"name": "x", "labels": {"a": "\ud800"}}}, "no JSON"),
        (SERVICE | {"metadata": {"name": "x", "labels": 1 << 99}}, "$.metadata.labels"),
    ],
)
def test_rubbish_is_named(body, said):
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse(body)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_kinds_of_others_are_passed_over():
    assert parse({"kind": "Deployment", "apiVersion": "apps/v1"}) is None
    assert parse({"kind": "Service", "apiVersion": "serving.knative.dev/v1"}) is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@st.composite
def spoiled(draw):
    """A good object with anything in one place of it."""
    body = json.loads(json.dumps(draw(st.sampled_from(ALL))))
    at = body
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and at[key] and draw(st.booleans()):
            at = at[key]
            continue
        at[key] = draw(ANY)
        return body


@given(spoiled())
def test_nothing_but_a_value_error_leaves(body):
    try:
        found = parse(body)
    except ValueError as error:
        assert str(error)
    else:
        assert found is None or found.fact is None or found.fact.name


def test_a_policy_too_large_to_be_read_at_once_is_not_read():
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    for count, is_read in ((1000, True), (10_000, False)):
        body = {"kind": "NetworkPolicy", "metadata": {"name": "big", "namespace": "shop"},
                "spec": {"podSelector": {}, "egress": [rule] * count}}  # fmt: skip
        if is_read:
            assert parse(body).fact.name == "big"
        else:
            with pytest.raises(ValueError, match="more than 256 KB"):
                parse(body)


@pytest.mark.parametrize("body", ALL, ids=lambda body: body["kind"])
def test_bytes_and_values_say_the_same(body):
    assert scan(body["kind"], json.dumps(body).encode()) == parse(body)
