"""The DNS server itself is not reached: not there, not ready, not the one asked, or forbidden."""

from kdns.explain.facts import PodFact, ServiceFact
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.netpolicy import Judgement, Peer, Port, judge
from kdns.explain.reasons.ports import ports_of
from kdns.explain.reasons.words import command, counted, kubectl, listed, pairs
from kdns.explain.said import NOT_ASKED, Reason

HOME = "kube-system"
LABEL = ("k8s-app", "kube-dns")
ENFORCED = "that is what the policies say; whether they are enforced is up to the network plugin"


def dns_forbidden(case: Case) -> Reason | None:
    """A NetworkPolicy keeps the asker from port 53 of every DNS pod."""
    pod, servers = case.asker, dns_pods(case)
    is_local = any(step.nameserver[0].startswith("169.254.") for step in case.steps)
    if pod is None or not servers or is_local:
        return None  # a cache on the node is asked, which policies do not see
    over = {}
    for protocol in ("UDP", "TCP"):
        verdicts = [_way(case, pod, one, protocol) for one in servers]
        if any(one.allowed is not False for one in verdicts):
            continue
        over[protocol] = verdicts[0].policies
    if "UDP" not in over:
        return None
    names = over["UDP"]
    direction = "egress of" if names[0].startswith(f"{pod.namespace}/") else "access to"
    says = (
        f"NetworkPolicy {names[0]} forbids"
        if len(names) == 1
        else (f"NetworkPolicies {listed(names)} forbid")
    )
    says += f" DNS: {direction} pod {pod.namespace}/{pod.name}"
    says += f" to port 53/{' and 53/'.join(over)} of the DNS pods is not allowed"
    return Reason(
        "policy-forbids-dns",
        says,
        (
            f"pod {pod.name} has the labels {pairs(pod.labels) or '(none)'}",
            f"DNS pods: {listed(f'{one.namespace}/{one.name}' for one in servers)}",
            "a rule with namespaceSelector kubernetes.io/metadata.name: kube-system, podSelector "
            "k8s-app: kube-dns, ports 53/UDP and 53/TCP allows it",
            ENFORCED,
        ),
        tuple(
            kubectl(name.split("/")[0], "get", "networkpolicy", name.split("/")[1], "-o", "yaml")
            for name in names[:2]
        ),
    )


def dns_pods_down(case: Case) -> Reason | None:
    """The cluster's DNS pods are known, and none of them is ready."""
    pods = dns_pods(case)
    service = dns_service(case)
    if any(pod.is_ready for pod in pods):
        return None
    if not pods and not (is_unanswered(case) and _would_know_its_pods(case, service)):
        return None
    name = f"{service.namespace}/{service.name}" if service else f"{HOME}/kube-dns"
    says = f"the cluster's DNS server does not answer: no pod of service {name} exists"
    if pods:
        says = "the cluster's DNS server does not answer: "
        says += f"none of its {len(pods)} pods" if len(pods) > 1 else "its only pod"
        says += f" ({listed(one.name for one in pods)}) is {'' if len(pods) > 1 else 'not '}ready"
    evidence = [
        f"pod {pod.name}: {one.state}, {counted(one.restarts, 'restart')}"
        for pod in pods[:3]
        for one in pod.containers
        if not one.is_ready and not one.is_init
    ]
    return Reason(
        "dns-pods-not-ready",
        says,
        tuple(evidence),
        (
            kubectl(HOME, "get", "pods", "-l", "=".join(LABEL), "-o", "wide"),
            kubectl(HOME, "logs", "-l", "=".join(LABEL), "--tail=50"),
            kubectl(HOME, "describe", "pods", "-l", "=".join(LABEL)),
        ),
    )


def _would_know_its_pods(case: Case, service: ServiceFact | None) -> bool:
    """The service is the one that is asked, and its pods would be among those that were read."""
    if service is None or service.selector.get(LABEL[0]) != LABEL[1]:
        return False
    asked = {step.nameserver[0] for step in case.steps}
    is_read = HOME in case.facts.pods and "pods" not in case.facts.unknown
    return is_read and bool(asked & set(service.addresses))


def dns_service_empty(case: Case) -> Reason | None:
    """Pods are ready, but the service that is asked leads to none."""
    service = dns_service(case)
    if service is None or not is_unanswered(case) or not any(p.is_ready for p in dns_pods(case)):
        return None
    key = f"{service.namespace}/{service.name}"
    slices = case.facts.slices.get(key)
    if slices is None or any(e.is_ready and e.addresses for one in slices for e in one.endpoints):
        return None
    return Reason(
        "dns-service-without-endpoints",
        f"the cluster's DNS service {key} has no endpoints, although its pods are ready: its "
        f"selector is {pairs(service.selector)}",
        tuple(f"pod {one.name}: {pairs(one.labels)}" for one in dns_pods(case)[:3]),
        (
            kubectl(HOME, "get", "service", service.name, "-o", "wide"),
            kubectl(HOME, "get", "endpointslices"),
        ),
    )


def wrong_nameserver(case: Case) -> Reason | None:
    """Nothing answers, and what is asked is no DNS service of this cluster."""
    asked = {step.nameserver[0] for step in case.steps}
    service = next(
        (case.facts.services[key] for key in ("kube-system/kube-dns", "kube-system/coredns")
         if key in case.facts.services), None
    )  # fmt: skip
    if not is_unanswered(case) and not is_elsewhere(case):
        return None
    if case.asker is None or service is None or not asked or asked & set(service.addresses):
        return None
    if not is_elsewhere(case) and asked.isdisjoint(case.asker.nameservers):
        return None  # it was asked in place of those that the pod asks
    what = "which does not answer"
    if is_elsewhere(case):
        what = "and what that answers cannot be seen from here"
    return Reason(
        "wrong-nameserver",
        f"pod {case.asker.namespace}/{case.asker.name} asks {listed(sorted(asked))}, {what}; the "
        f"cluster's DNS is {listed(service.addresses)} (service "
        f"{service.namespace}/{service.name})",
        (
            f"dnsPolicy {case.asker.dns_policy}, dnsConfig.nameservers "
            f"{listed(case.asker.nameservers) or '(none)'}",
        ),
        (
            kubectl(case.asker.namespace, "exec", case.asker.name, "--", "cat", "/etc/resolv.conf"),
            "kubectl -n kube-system get configmap kubelet-config -o yaml",
        ),
    )


def unanswered(case: Case) -> Reason | None:
    """No question was answered, and why is not known."""
    if not is_unanswered(case):
        return None
    step = case.steps[-1]
    servers = sorted({f"{host} port {port}" for host, port in (s.nameserver for s in case.steps)})
    return Reason(
        "no-answer",
        f"no DNS server answers: {listed(servers)}: {step.error}",
        (*(f"{one.question}: {one.said}" for one in case.steps[:3]), *case.unread("pods")),
        (
            kubectl(HOME, "get", "pods,endpointslices", "-l", "=".join(LABEL), "-o", "wide"),
            command("dig", f"@{step.nameserver[0]}", "-p", str(step.nameserver[1]), step.name),
        ),
    )


def nameserver_silent(case: Case) -> Reason | None:
    """One nameserver does not answer, and another one does: look-ups are slow."""
    heard = {step.nameserver for step in case.steps if step.rcode}
    silent = [step for step in case.steps if not step.rcode and step.nameserver not in heard]
    if not heard or not silent:
        return None
    host, port = silent[0].nameserver
    after = ", ".join(sorted(f"{one[0]} port {one[1]}" for one in heard))
    return Reason(
        "nameserver-silent",
        f"nameserver {host} port {port} does not answer ({silent[0].error}), and each look-up "
        f"waits for it before {after} is asked",
        tuple(f"{one.question}: {one.said}" for one in silent[:3]),
        (command("dig", f"@{host}", "-p", str(port), silent[0].name),),
    )


def node_resolver(case: Case) -> Reason | None:
    """The pod's resolv.conf is the node's, which does not know the cluster."""
    pod, wanted = case.asker, case.subject
    if pod is None or not (wanted.is_ours or wanted.kind in ("pod", "namespace")):
        return None
    is_trap = pod.host_network and pod.dns_policy == "ClusterFirst"
    if pod.dns_policy != "Default" and not is_trap:
        return None
    if case.is_answered and case.traces == {}:
        return None  # the node's server knows the cluster
    who = f"pod {pod.namespace}/{pod.name}"
    if is_trap:
        says = f"{who} has hostNetwork, where dnsPolicy ClusterFirst means the node's resolv.conf: "
        says += "it does not ask the cluster's DNS; ClusterFirstWithHostNet would"
    else:
        says = f"{who} has dnsPolicy Default, which is the node's resolv.conf: it does not ask the "
        says += "cluster's DNS; ClusterFirst would"
    return Reason(
        "node-resolver",
        says,
        (f"hostNetwork {str(pod.host_network).lower()}, dnsPolicy {pod.dns_policy}",),
        (
            kubectl(pod.namespace, "exec", pod.name, "--", "cat", "/etc/resolv.conf"),
            kubectl(pod.namespace, "get", "pod", pod.name, "-o", "yaml"),
        ),
    )


def is_unanswered(case: Case) -> bool:
    """Questions were asked, and no reply came to any."""
    is_silent = bool(case.steps) and not any(step.rcode for step in case.steps)
    return is_silent and not is_elsewhere(case)


def is_elsewhere(case: Case) -> bool:
    """Who is asked is none that could be asked in place of the asker (explain.inside)."""
    return bool(case.steps) and all(step.error == NOT_ASKED for step in case.steps)


def dns_service(case: Case) -> ServiceFact | None:
    """The service whose address is asked, else the one called kube-dns."""
    asked = {step.nameserver[0] for step in case.steps}
    services = case.facts.services
    found = filter(None, map(case.facts.service_at, sorted(asked)))
    return next(found, None) or services.get(f"{HOME}/kube-dns")


def dns_pods(case: Case) -> list[PodFact]:
    """The cluster's DNS pods, as kubeadm and most others label them."""
    service = dns_service(case)
    home = service.namespace if service else HOME
    key, value = LABEL
    return [
        one
        for one in case.facts.pods.get(home, ())
        if one.labels.get(key) == value and not one.deleted
    ]


def _way(case: Case, pod: PodFact, server: PodFact, protocol: str) -> Judgement:
    """Whether a pod reaches a DNS pod: both must allow it."""
    port = _dns_port(server, protocol)
    address = server.addresses[0] if server.addresses else ""
    out = judge(case.facts, pod, "Egress", Peer(address, server), port)
    if out.allowed is False:
        return out
    mine = pod.addresses[0] if pod.addresses else ""
    into = judge(case.facts, server, "Ingress", Peer(mine, pod), port)
    return into if into.allowed is False else Judgement(out.allowed and into.allowed)


def _dns_port(server: PodFact, protocol: str) -> Port:
    for one in ports_of(server):
        if one.protocol == protocol and (one.name.startswith("dns") or one.number == 53):
            return Port(one.number, protocol, one.name)
    return Port(53, protocol)
