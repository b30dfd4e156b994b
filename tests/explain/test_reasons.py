"""Reasons that no broken cluster alone can show: what servers, connections and times tell."""

from dataclasses import replace

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from kdns.client.search import Asked, Heard, Walk
from kdns.explain.facts import (
    ConditionFact,
    ContainerFact,
    EndpointFact,
    Facts,
    NamespaceFact,
    PodFact,
    PolicyFact,
    PortFact,
    ServerFact,
    ServiceFact,
    SliceFact,
)
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.diagnosis import diagnose
from kdns.explain.said import NOT_ASKED, Connection, Reason, Trace, Visit

NOW = "2026-11-20T10:00:00Z"
DNS = ServiceFact(
    "kube-system", "kube-dns", addresses=("10.96.0.10",), selector={"k8s-app": "kube-dns"}
)
HTTP = PortFact("http", 80, "TCP", "8080")
WEB = ServiceFact("shop", "web", addresses=("10.96.0.20",), selector={"app": "web"}, ports=(HTTP,))
READY = (ConditionFact("Ready", "True", "2026-11-20T09:00:00Z"),)
POD = PodFact(
    "shop", "web-0", {"app": "web"}, ("10.244.1.5",), "Running", READY,
    (ContainerFact("web", (PortFact("http", 8080),), True, "running"),),
)  # fmt: skip
SLICE = SliceFact(
    "shop", "web-abc", "web", (EndpointFact(("10.244.1.5",), pod="web-0"),), (HTTP,),
    written="2026-11-20T09:00:01Z",
)  # fmt: skip
FACTS = Facts(
    now=NOW,
    namespaces={"shop": NamespaceFact("shop"), "kube-system": NamespaceFact("kube-system")},
    services={"shop/web": WEB, "kube-system/kube-dns": DNS},
    slices={"shop/web": (SLICE,)},
    pods={"shop": (POD,), "kube-system": ()},
    policies={"shop": (), "kube-system": ()},
)
NAME = "web.shop.svc.cluster.local."


def reply(
    name: str, *records: str, rcode: str = "NOERROR", ede: tuple[int, str] | None = None
) -> bytes:
    query = dns.message.make_query(name, "A", use_edns=0, id=1)
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.from_text(rcode))
    for record in records:
        kind = "A" if record[0].isdecimal() else "CNAME"
        answer.answer.append(dns.rrset.from_text(name, 5, "IN", kind, record))
    if ede:
        answer.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode(ede[0]), ede[1])])
    return answer.to_wire()


def asked(name: str, heard: bytes | str, server: str = "10.96.0.10") -> Asked:
    came = Heard(error=heard) if isinstance(heard, str) else Heard(heard)
    return Asked(name, 1, (server, 53), came, "search domain 1 of 1: x", "goes on")


def answered(name: str = NAME, address: str = "10.96.0.20") -> Walk:
    steps = (asked(name, reply(name, address)),)
    return Walk("glibc", steps, "answered", "", name, name, (address,))


def failed(*steps: Asked, outcome: str = "no such name") -> Walk:
    return Walk("glibc", steps, outcome, "EAI_NONAME")  # type: ignore[arg-type]  # a literal


def case(walk: Walk | None = None, facts: Facts = FACTS, name: str = "web.shop") -> Case:
    walks = (walk,) if walk else ()
    return Case(name, "A", facts, walks, asker=POD, namespace="shop")


def first(found: Case) -> Reason:
    return diagnose(found)[0]


def ids(found: Case) -> list[str]:
    return [one.id for one in diagnose(found)]


TIMEOUT = "no answer within 5 s"


def test_all_is_well() -> None:
    found = first(case(answered()))
    assert found.id == "resolves"
    assert found.says == "web.shop resolves to 10.96.0.20: service shop/web"


def test_nobody_was_asked() -> None:
    assert first(case()).id == "nothing-wrong"


def test_no_dns_pod_exists() -> None:
    found = first(case(failed(asked(NAME, TIMEOUT), outcome="failed")))
    assert found.id == "dns-pods-not-ready"
    assert "no pod of service kube-system/kube-dns exists" in found.says


DNS_POD = replace(POD, namespace="kube-system", name="coredns-0", labels={"k8s-app": "kube-dns"})


def test_the_dns_service_leads_nowhere() -> None:
    facts = replace(
        FACTS,
        pods={**FACTS.pods, "kube-system": (DNS_POD,)},
        slices={**FACTS.slices, "kube-system/kube-dns": ()},
    )
    found = first(case(failed(asked(NAME, TIMEOUT)), facts))
    assert found.id == "dns-service-without-endpoints"


def test_another_nameserver_is_asked_than_the_clusters() -> None:
    facts = replace(FACTS, pods={**FACTS.pods, "kube-system": (DNS_POD,)})
    silent = case(failed(asked(NAME, TIMEOUT, "10.0.0.10")), facts)
    found = first(replace(silent, asker=replace(POD, nameservers=("10.0.0.10",))))
    assert found.id == "wrong-nameserver"
    assert "asks 10.0.0.10, which does not answer; the cluster's DNS is 10.96.0.10" in found.says


def test_a_server_that_is_asked_in_place_of_the_pods_is_not_called_the_pods() -> None:
    facts = replace(FACTS, pods={**FACTS.pods, "kube-system": (DNS_POD,)})
    found = first(case(failed(asked(NAME, TIMEOUT, "127.0.0.1")), facts))
    assert (found.id, "web-0" in found.says) == ("no-answer", False)


@pytest.mark.parametrize(
    ("name", "what", "host"),
    [
        ("http://web.shop:8080/x", "is a URL", "web.shop"),
        ("web.shop:8080", "has a port in it", "web.shop"),
        ("web.shop/x", "has a path in it", "web.shop"),
        ("me@web.shop", "has a user in it", "web.shop"),
        ("10.96.0.10:53", "has a port in it", "10.96.0.10"),
        ("[fd00::1]:53", "has a port in it", "fd00::1"),
        ("postgres://u:p@db.shop/x", "is a URL", "db.shop"),
    ],
)
def test_more_than_a_name_was_pasted(name: str, what: str, host: str) -> None:
    [found] = diagnose(case(None, name=name))
    assert found.id == "not-a-hostname"
    assert found.says.startswith(f"{name} {what}, ")
    assert found.says.endswith(f" is {host}")
    assert found.next == (f"kdns explain {host} A --from shop/web-0",)


def test_the_root_is_no_host() -> None:
    assert ids(case(None, name=".")) == ["empty-label"]


def test_endpoints_that_are_not_answered_are_named_beside_those_that_are() -> None:
    more = replace(SLICE, name="b", endpoints=(EndpointFact(("10.244.1.6",), False, pod="web-1"),))
    found = first(case(answered(), replace(FACTS, slices={"shop/web": (SLICE, more)})))
    assert "behind it: 1 ready endpoint: web-0; not ready: web-1" in found.evidence


def test_the_next_command_asks_for_the_same_namespace() -> None:
    heard = asked("wbe.shop.svc.cluster.local.", reply("wbe.shop.", rcode="NXDOMAIN"))
    found = first(replace(case(failed(heard), name="wbe"), asker=None))
    assert found.next[-1] == "kdns explain web.shop A --from shop"


def test_what_a_server_that_is_cut_off_knows_is_dated() -> None:
    heard = asked("wbe.shop.svc.cluster.local.", reply("wbe.shop.", rcode="NXDOMAIN"))
    server = ServerFact(is_kdns=True, stale_s=300.0, failure="no route to host")
    facts = replace(FACTS, server=server)
    found = first(case(failed(heard), facts, "wbe"))
    assert found.id == "no-such-service"
    assert found.says.endswith("; so it was 5 min ago, when the API server was last heard of")


def test_silence_without_a_known_cause() -> None:
    facts = replace(FACTS, unknown={"pods": "403"}, pods={}, services={"shop/web": WEB})
    found = first(case(failed(asked(NAME, TIMEOUT)), facts))
    assert found.id == "no-answer"
    assert "not checked, for pods could not be read: 403" in found.evidence


@pytest.mark.parametrize("code", [15, 17, 18])
def test_a_policy_is_told_by_its_extended_error(code: int) -> None:
    heard = reply(NAME, rcode="REFUSED", ede=(code, "not for you"))
    assert first(case(failed(asked(NAME, heard)))).id == "policy"


@pytest.mark.parametrize("code", [22, 23])
def test_an_upstream_is_told_by_its_extended_error(code: int) -> None:
    heard = reply("x.example.", rcode="SERVFAIL", ede=(code, "192.0.2.53: time-out"))
    found = first(case(failed(asked("x.example.", heard)), name="x.example."))
    assert found.id == "upstream-failed"
    assert found.says.endswith("failed: 192.0.2.53: time-out")


def test_an_upstream_is_told_by_the_notes_of_forward() -> None:
    error = "read udp 10.0.0.1:4711->192.0.2.53:53: i/o timeout"
    visit = Visit("forward", 0, "x.example.", "A", "SERVFAIL", (error,))
    found = case(
        failed(asked("x.example.", reply("x.example.", rcode="SERVFAIL"))), name="x.example."
    )
    found = replace(found, traces={("x.example.", 1): Trace(".:53", (visit,), "forward")})
    assert (
        first(found).says == "the upstream for x.example. failed: 192.0.2.53:53 (udp): i/o timeout"
    )
    assert "dig @192.0.2.53 -p 53 x.example. A" in first(found).next


def test_refused_without_a_word_is_a_name_that_is_not_served() -> None:
    heard = reply("x.example.", rcode="REFUSED", ede=(20, ""))
    assert first(case(failed(asked("x.example.", heard)), name="x.example.")).id == "not-served"


def test_any_other_failure() -> None:
    heard = reply("x.example.", rcode="FORMERR")
    found = first(case(failed(asked("x.example.", heard)), name="x.example."))
    assert (found.id, found.says) == (
        "server-failed", "the server answers x.example. A with FORMERR",
    )  # fmt: skip


def test_a_server_that_does_not_know_the_cluster_yet() -> None:
    heard = reply(NAME, rcode="SERVFAIL", ede=(14, ""))
    server = ServerFact(is_kdns=True, has_synced=False, failure="401 Unauthorized")
    found = first(case(failed(asked(NAME, heard)), replace(FACTS, server=server)))
    assert found.id == "not-synced"
    assert found.says.endswith(": 401 Unauthorized")


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (ServerFact(is_kdns=True, failure="refused"), "has lost the API server (refused)"),
        (ServerFact(is_kdns=True, is_silent=True, stale_s=90), "it is 90 s old"),
        (ServerFact(is_kdns=True, is_restored=True), "answers from a snapshot"),
    ],
    ids=["failure", "silent", "snapshot"],
)
def test_stale_by_what_the_server_says(server: ServerFact, says: str) -> None:
    found = first(case(answered(), replace(FACTS, server=server)))
    assert found.id == "stale"
    assert says in found.says


def test_stale_by_extended_error() -> None:
    heard = reply(NAME, "10.96.0.20", ede=(3, "90 s without the API server"))
    walk = replace(answered(), asked=(asked(NAME, heard),))
    assert first(case(walk)).says == "the answer is stale: 90 s without the API server"


def test_a_stale_cache_is_the_fault_of_whom_it_asks() -> None:
    heard = reply("x.example.", "192.0.2.1", ede=(3, ""))
    walk = replace(answered("x.example."), asked=(asked("x.example.", heard),))
    found = replace(
        case(walk, name="x.example."), traces={("x.example.", 1): Trace(".:53", (), "cache")}
    )
    assert first(found).id == "stale-cache"


def test_a_service_that_the_server_has_not_heard_of() -> None:
    walk = failed(asked(NAME, reply(NAME, rcode="NXDOMAIN")))
    assert first(case(walk)).id == "server-disagrees"
    assert "it is not a kdns" in first(case(walk)).says
    server = ServerFact(is_kdns=True, behind=("shop/web",))
    assert first(case(walk, replace(FACTS, server=server))).id == "server-behind"
    server = ServerFact(is_kdns=True, chosen=("namespaces data",), behind=("shop/web",))
    found = first(case(walk, replace(FACTS, server=server)))
    assert found.id == "left-out"
    assert found.says.endswith("it serves only namespaces data")


def test_who_has_not_heard_of_slices_does_not_accuse_who_writes_them() -> None:
    walk = failed(asked(NAME, reply(NAME, rcode="NXDOMAIN")))
    facts = replace(FACTS, slices={"shop/web": ()})
    assert first(case(walk, facts)).id == "controller-silent"
    facts = replace(facts, server=ServerFact(is_kdns=True, behind=("shop/web",)))
    assert first(case(walk, facts)).id == "server-behind"


def test_the_hop_that_was_late_is_named() -> None:
    late = replace(SLICE, triggered="2026-11-20T09:59:00Z", written="2026-11-20T09:59:02Z")
    times = {"shop/web": ("2026-11-20T09:59:41Z", "2026-11-20T09:59:42Z")}
    facts = replace(
        FACTS, slices={"shop/web": (late,)}, server=ServerFact(is_kdns=True, applied=times)
    )
    found = first(case(answered(), facts))
    assert found.id == "endpoints-late"
    assert (
        "was answered 42 s after its cause: the API server and the network took 39 s" in found.says
    )


def test_a_change_that_was_late_long_ago_comes_last() -> None:
    late = replace(SLICE, triggered="2026-11-20T07:59:00Z", written="2026-11-20T08:59:00Z")
    facts = replace(FACTS, slices={"shop/web": (late,)})
    assert ids(case(answered(), facts)) == ["resolves", "endpoints-late"]


def test_times_of_an_earlier_change_are_not_those_of_the_last() -> None:
    late = replace(SLICE, triggered="2026-11-20T09:59:00Z", written="2026-11-20T09:59:02Z")
    times = {"shop/web": ("2026-11-20T09:00:41Z", "2026-11-20T09:00:42Z")}
    facts = replace(
        FACTS, slices={"shop/web": (late,)}, server=ServerFact(is_kdns=True, applied=times)
    )
    assert ids(case(answered(), facts)) == ["resolves"]


def test_the_controller_wrote_no_slice_at_all() -> None:
    found = first(case(answered(), replace(FACTS, slices={"shop/web": ()})))
    assert found.id == "controller-silent"
    assert "no EndpointSlice of service shop/web was ever written" in found.says


def test_endpoints_of_pods_that_are_gone() -> None:
    other = replace(SLICE, endpoints=(*SLICE.endpoints, EndpointFact(("10.244.1.9",), pod="web-9")))
    found = first(case(answered(), replace(FACTS, slices={"shop/web": (other,)})))
    assert found.id == "controller-silent"
    assert found.says.startswith("1 address of pods that are gone is still endpoints (10.244.1.9)")


def test_computed_endpoints_are_no_controllers() -> None:
    facts = replace(FACTS, slices={"shop/web": ()}, derived=frozenset({"shop/web"}))
    assert first(case(answered(), facts)).id == "resolves"


def test_a_refused_connection() -> None:
    tried = (Connection("10.96.0.20", 80, "TCP", "refused", is_open=False),)
    found = first(replace(case(answered()), connections=tried))
    assert found.id == "connection-failed"
    assert "kube-proxy has no endpoint for it" in found.says
    tried = (*tried, Connection("10.96.0.20", 80, "TCP", "connected", is_open=True))
    assert first(replace(case(answered()), connections=tried)).id == "resolves"


def test_egress_of_who_asks_forbids_the_connection() -> None:
    deny = PolicyFact("shop", "deny", {"podSelector": {}, "policyTypes": ["Egress"]})
    facts = replace(FACTS, policies={**FACTS.policies, "shop": (deny,)})
    found = first(case(answered(), facts))
    assert found.id == "policy-forbids-connection"
    assert "NetworkPolicy shop/deny forbids pod shop/web-0 to reach port http 80/TCP" in found.says


def test_without_an_asker_only_a_policy_against_everybody_counts() -> None:
    deny = PolicyFact("shop", "deny", {"podSelector": {}})
    facts = replace(FACTS, policies={**FACTS.policies, "shop": (deny,)})
    found = replace(case(answered(), facts), asker=None)
    assert "forbids every client" in first(found).says
    some = PolicyFact(
        "shop", "some", {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}
    )
    facts = replace(FACTS, policies={**FACTS.policies, "shop": (some,)})
    assert first(replace(case(answered(), facts), asker=None)).id == "resolves"


@pytest.mark.parametrize("kind", ["services", "pods", "slices", "policies", "namespaces"])
def test_nothing_is_claimed_of_what_is_not_known(kind: str) -> None:
    facts = replace(
        FACTS, services={}, slices={}, pods={}, policies={}, namespaces={}, unknown={kind: "403"}
    )
    walk = failed(asked(NAME, reply(NAME, rcode="NXDOMAIN")))
    found = first(case(walk, facts, "web.shop.svc.cluster.local."))
    if kind == "services":
        assert found.id == "services-unknown"
        assert "whether service shop/web exists could not be checked: 403" in found.says
    else:
        assert found.id == "no-such-service"
    one = replace(FACTS, unknown={kind: "403"})
    assert first(case(answered(), one)).id == "resolves"


def test_pods_that_were_not_read_are_not_missed() -> None:
    assert first(case(answered(), replace(FACTS, pods={}))).id == "resolves"
    unready = replace(SLICE, endpoints=(EndpointFact(("10.244.1.5",), is_ready=False),))
    facts = replace(FACTS, pods={}, slices={"shop/web": (unready,)}, unknown={"pods": "403"})
    found = first(case(answered(), facts))
    assert (found.id, found.says) == (
        "endpoints-empty", "the only endpoint of service shop/web is not ready",
    )  # fmt: skip
    assert found.evidence == ("not checked, for pods could not be read: 403",)


@pytest.mark.parametrize(
    ("selected", "told"),
    [
        ("wbe", "; pod web-0 has app=web"),
        ("queue", "; pods there have app=api, web"),
    ],
)
def test_of_pods_that_are_not_selected_the_likeliest_is_named(selected: str, told: str) -> None:
    pods = (replace(POD, name="api-0", labels={"app": "api"}), POD)
    service = replace(WEB, selector={"app": selected})
    facts = replace(FACTS, services={"shop/web": service}, pods={"shop": pods})
    found = first(case(answered(), facts))
    assert found.says == f"service shop/web selects app={selected}, which no pod has{told}"
    assert any("deployments" in one for one in found.next) == ("there" in told)


def test_a_headless_name_whose_pods_are_not_known() -> None:
    none = {"slices": {}, "pods": {}, "unknown": {"pods": "the manifests have no Pods"}}
    facts = replace(FACTS, services={"shop/web": replace(WEB, addresses=("None",))}, **none)
    found = first(case(failed(asked(NAME, reply(NAME, rcode="NXDOMAIN"))), facts))
    assert (found.id, found.says) == (
        "endpoints-unknown",
        "service shop/web is headless, so its addresses are those of its pods, which are not "
        "known: the manifests have no Pods",
    )
    assert first(case(answered(), facts)).id == "resolves"
    told = first(case(failed(asked(NAME, reply(NAME, rcode="NXDOMAIN"))), replace(FACTS, **none)))
    assert told.id == "server-disagrees"


def test_a_slice_of_a_service_that_was_deleted() -> None:
    facts = replace(FACTS, services={"kube-system/kube-dns": DNS})
    walk = failed(asked(NAME, reply(NAME, rcode="NXDOMAIN")))
    assert first(case(walk, facts)).id == "service-deleted"


def test_musl_searches_for_addresses_only() -> None:
    name = "_http._tcp.web.shop"
    musl = replace(failed(asked(f"{name}.", reply(f"{name}.", rcode="NXDOMAIN"))), libc="musl")
    glibc = replace(answered(), libc="glibc")
    found = first(replace(case(name=name), walks=(glibc, musl), type="SRV"))
    assert found.id == "libcs-differ"
    assert found.evidence[1].startswith("musl searches for addresses only")


def test_an_address_is_no_name() -> None:
    walk = Walk("glibc", (), "answered", "", addresses=("10.96.0.20",))
    found = first(case(walk, name="10.96.0.20"))
    assert found.says.startswith("10.96.0.20 is an address, of service shop/web")


def test_an_address_without_a_name() -> None:
    name = "9.9.244.10.in-addr.arpa."
    walk = failed(asked(name, reply(name, rcode="NXDOMAIN")))
    assert first(replace(case(walk, name=name), type="PTR")).id == "no-reverse-name"


def test_names_that_only_others_stand_before() -> None:
    name = "shop.svc.cluster.local."
    found = first(case(failed(asked(name, reply(name)), outcome="no data"), name=name))
    assert found.says.startswith("shop.svc.cluster.local. is a part of names only")


def test_what_a_pod_name_must_look_like() -> None:
    name = "web-0.shop.pod.cluster.local."
    walk = failed(asked(name, reply(name, rcode="NXDOMAIN")))
    assert first(case(walk, name=name)).id == "no-pod-address"
    name = "10-244-9-9.shop.pod.cluster.local."
    walk = failed(asked(name, reply(name, rcode="NXDOMAIN")))
    found = first(case(walk, name=name))
    assert found.says == "no pod in namespace shop has the address 10.244.9.9"


def test_an_outside_name_that_nobody_has() -> None:
    name = "nope.example.com."
    found = first(case(failed(asked(name, reply(name, rcode="NXDOMAIN"))), name=name))
    assert found.says == "nope.example.com does not exist: the DNS server says so (NXDOMAIN)"


def test_a_pod_that_the_service_does_not_select_has_no_name_there() -> None:
    lone = replace(POD, name="lone", hostname="lone", subdomain="web", labels={"app": "x"})
    name = "lone.web.shop.svc.cluster.local."
    facts = replace(FACTS, pods={**FACTS.pods, "shop": (POD, lone)})
    walk = failed(asked(name, reply(name, rcode="NXDOMAIN")))
    assert first(case(walk, facts, name)).id == "pod-of-another-service"


def test_a_readiness_gate_is_named() -> None:
    conditions = (
        ConditionFact("Ready", "False", "", "ReadinessGatesNotReady", "not yet"),
        ConditionFact("cloud.example/lb", "False"),
    )
    gated = replace(POD, conditions=conditions)
    found = first(case(answered(), replace(FACTS, pods={**FACTS.pods, "shop": (gated,)})))
    assert found.says.endswith("waits for its readiness gates: cloud.example/lb")


def test_an_init_container_is_waited_for() -> None:
    init = ContainerFact("wait", (), False, "running", is_init=True)
    main = ContainerFact("web", (), False, "waiting: PodInitializing")
    pod = replace(POD, conditions=(ConditionFact("Ready", "False"),), containers=(init, main))
    found = first(case(answered(), replace(FACTS, pods={**FACTS.pods, "shop": (pod,)})))
    assert "waits for init container wait" in found.says


def test_dns_over_tcp_alone_is_still_forbidden() -> None:
    only_tcp = {
        "podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53}]}],
    }  # fmt: skip
    facts = replace(
        FACTS,
        pods={**FACTS.pods, "kube-system": (DNS_POD,)},
        policies={**FACTS.policies, "shop": (PolicyFact("shop", "tcp", only_tcp),)},
    )
    found = first(case(answered(), facts))
    assert found.id == "policy-forbids-dns"
    assert "to port 53/UDP of the DNS pods" in found.says


def test_a_silent_nameserver_is_named_although_another_one_answers() -> None:
    silent = asked(NAME, TIMEOUT, "10.0.0.1")
    walk = replace(answered(), asked=(silent, *answered().asked))
    found = first(case(walk))
    assert found.id == "nameserver-silent"
    assert "nameserver 10.0.0.1 port 53 does not answer (no answer within 5 s)" in found.says
    assert ids(case(walk)) == ["nameserver-silent", "resolves"]


def test_a_cache_on_the_node_is_not_judged_by_policies() -> None:
    deny = PolicyFact("shop", "deny", {"podSelector": {}, "policyTypes": ["Egress"]})
    facts = replace(
        FACTS,
        pods={**FACTS.pods, "kube-system": (DNS_POD,)},
        policies={**FACTS.policies, "shop": (deny,)},
    )
    assert first(case(answered(), facts)).id == "policy-forbids-dns"
    walk = replace(answered(), asked=(asked(NAME, reply(NAME, "10.96.0.20"), "169.254.20.10"),))
    assert first(case(walk, facts)).id != "policy-forbids-dns"


def test_pods_that_were_read_in_part_are_not_missed() -> None:
    other = replace(SLICE, endpoints=(*SLICE.endpoints, EndpointFact(("10.244.1.9",), pod="web-9")))
    facts = replace(FACTS, slices={"shop/web": (other,)}, unknown={"other pods": "many"})
    assert first(case(answered(), facts)).id == "resolves"
    mine = replace(other, managed_by="somebody.example")
    assert first(case(answered(), replace(FACTS, slices={"shop/web": (mine,)}))).id == "resolves"


def rewritten(*visits: Visit) -> Case:
    return replace(case(answered()), traces={(NAME, 1): Trace(".:53", visits, "kubernetes")})


def test_a_rewritten_name_is_told() -> None:
    other = "api.shop.svc.cluster.local."
    found = first(
        rewritten(Visit("rewrite", 0, NAME, "A", "x"), Visit("kubernetes", 1, other, "A", "x"))
    )
    assert found.id == "answered-by-plugin"
    assert found.says.startswith(f"{NAME} is rewritten to {other} in server block .:53")


def test_a_look_up_that_follows_is_no_rewriting() -> None:
    visits = (
        Visit("rewrite", 0, NAME, "A", "x"),
        Visit("kubernetes", 1, NAME, "A", "x"),
        Visit("rewrite", 0, "a.example.", "A", "x"),
    )
    assert first(rewritten(*visits)).id == "resolves"


def test_forward_that_keeps_cluster_names_in_is_a_policy() -> None:
    heard = reply("x.example.", rcode="REFUSED", ede=(15, "it stays here"))
    found = case(failed(asked("x.example.", heard)), name="x.example.")
    found = replace(found, traces={("x.example.", 1): Trace(".:53", (), "forward")})
    assert first(found).says == (
        "forward in server block .:53 refuses to answer x.example. A for pod shop/web-0"
    )


def test_a_port_without_its_protocol_is_no_name() -> None:
    name = "_http.web.shop.svc.cluster.local."
    walk = failed(asked(name, reply(name, rcode="NXDOMAIN")))
    assert first(case(walk, name=name)).says.startswith("_http alone names no port: _http._tcp")
    name = "_http._udp.web.shop.svc.cluster.local."
    walk = failed(asked(name, reply(name, rcode="NXDOMAIN")))
    found = first(case(walk, name=name))
    assert found.says == "port http of service shop/web is TCP, not UDP: ask for _http._tcp"


def test_an_external_name_has_no_endpoints() -> None:
    bank = ServiceFact("shop", "bank", "ExternalName", external_name="bank.example")
    facts = replace(FACTS, services={**FACTS.services, "shop/bank": bank})
    name = "x.bank.shop.svc.cluster.local."
    found = first(case(failed(asked(name, reply(name, rcode="NXDOMAIN"))), facts, name))
    assert found.id == "no-such-endpoint"
    assert "is an ExternalName" in found.says


def test_an_external_name_without_a_name() -> None:
    bank = ServiceFact("shop", "bank", "ExternalName")
    facts = replace(FACTS, services={**FACTS.services, "shop/bank": bank})
    name = "bank.shop.svc.cluster.local."
    found = first(case(failed(asked(name, reply(name))), facts, name))
    assert found.id == "external-name-dead"


def test_a_pod_without_hostname_has_no_name_although_its_subdomain_is_right() -> None:
    pod = replace(POD, subdomain="web")
    facts = replace(FACTS, pods={**FACTS.pods, "shop": (pod,)})
    name = "web-0.web.shop.svc.cluster.local."
    found = first(case(failed(asked(name, reply(name, rcode="NXDOMAIN"))), facts, name))
    assert found.says.startswith("pod shop/web-0 has no hostname")


@pytest.mark.parametrize("name", ["a b", "b\u00fccher", "x\x1b[0m"])
def test_what_is_no_name_of_a_host(name: str) -> None:
    assert ids(case(failed(), name=name)) == ["not-a-hostname"]


def test_too_many_octets() -> None:
    assert ids(case(failed(), name=".".join(["x" * 60] * 5))) == ["too-long"]
    assert ids(case(failed(), name="a..b")) == ["empty-label"]


def test_how_the_name_as_written_ends_is_no_reason_for_a_service() -> None:
    name = "web-9.web.shop.svc.cluster.local."
    walk = failed(
        asked(name, reply(name, rcode="NXDOMAIN")),
        asked("web-9.web.shop.", reply("web-9.web.shop.", rcode="SERVFAIL", ede=(22, ""))),
    )
    assert ids(case(walk, name="web-9.web.shop")) == ["no-such-endpoint"]
    walk = replace(
        walk,
        asked=(walk.asked[0], asked("web-9.web.shop.", reply("x.", rcode="REFUSED", ede=(15, "")))),
    )
    assert ids(case(walk, name="web-9.web.shop")) == ["no-such-endpoint"]


def test_of_a_cluster_that_is_not_known_nothing_else_is_claimed() -> None:
    heard = reply("nope.shop.svc.cluster.local.", rcode="SERVFAIL", ede=(14, ""))
    facts = replace(FACTS, services={}, server=ServerFact(is_kdns=True, has_synced=False))
    walk = failed(
        asked("nope.shop.svc.cluster.local.", heard),
        asked("nope.shop.", reply("nope.shop.", rcode="SERVFAIL", ede=(22, ""))),
    )
    [found] = diagnose(case(walk, facts, "nope.shop"))
    assert found.id == "not-synced"
    assert found.evidence[0] == "nope.shop.svc.cluster.local. A: SERVFAIL"


def test_of_a_nameserver_that_was_not_asked_no_silence_is_claimed() -> None:
    walk = failed(asked(NAME, NOT_ASKED, "192.0.2.1"), outcome="failed")
    found = first(case(walk))
    assert found.id == "wrong-nameserver"
    assert "asks 192.0.2.1, and what that answers cannot be seen from here" in found.says
    assert "no-answer" not in ids(case(walk))


@pytest.mark.parametrize(
    ("target", "is_moved"),
    [("8080", True), ("http", True), ("80", False), ("", False), ("rpc", False)],
)
def test_a_headless_service_leads_no_port_to_another(target: str, is_moved: bool) -> None:
    service = replace(WEB, addresses=("None",), ports=(replace(HTTP, target=target),))
    facts = replace(FACTS, services={**FACTS.services, "shop/web": service})
    found = case(answered(address="10.244.1.5"), facts)
    assert ("headless-port" in ids(found)) == is_moved
    refused = Connection("10.244.1.5", 80, "TCP", "refused", False)
    said = " ".join(one.says for one in diagnose(replace(found, connections=(refused,))))
    assert ("headless, and its pods have that port as 8080" in said) == is_moved
    reached = replace(found, connections=(replace(refused, is_open=True),))
    assert "headless-port" not in ids(reached)


def test_a_failed_connection_to_a_port_that_is_not_declared() -> None:
    service = replace(WEB, ports=(replace(HTTP, target="9090"),))
    facts = replace(FACTS, services={**FACTS.services, "shop/web": service})
    refused = Connection("10.96.0.20", 80, "TCP", "refused", False)
    found = replace(case(answered(), facts), connections=(refused,))
    assert first(found).says == (
        "port http 80/TCP of service shop/web leads to port 9090 of its pods, and their containers "
        "declare only http 8080/TCP; a connection failed: refused"
    )
    assert ids(replace(found, connections=(replace(refused, is_open=True),))) == ["resolves"]
