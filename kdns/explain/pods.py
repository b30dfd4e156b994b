"""A pod as JSON has it becomes what operators ask of it: states, probes, DNS settings."""

from collections.abc import Iterable, Iterator

from kdns.cluster import fields
from kdns.explain import raw
from kdns.explain.facts import ConditionFact, ContainerFact, PodFact
from kdns.explain.parts import addresses, clean, folded, identity, labels, moment, port

PERIOD_S = 10
"""How often a probe runs that does not say."""


def pod(given: raw.Pod) -> PodFact:
    """A pod."""
    meta, spec = given.metadata or raw.Meta(), given.spec or raw.PodSpec()
    status = given.status or raw.PodStatus()
    config = spec.dns_config or raw.DnsConfig()
    where, name = identity(meta, fields.name)
    return PodFact(
        namespace=where,
        name=name,
        labels=labels(meta.labels),
        addresses=_pod_addresses(status),
        phase=clean(status.phase or ""),
        conditions=tuple([_condition(one) for one in status.conditions or ()]),
        containers=tuple(_containers(spec, status)),
        hostname=folded(spec.hostname),
        subdomain=folded(spec.subdomain),
        node=clean(spec.node_name or ""),
        host_network=bool(spec.host_network),
        dns_policy=clean(spec.dns_policy or "ClusterFirst"),
        nameservers=addresses(config.nameservers, "$.spec.dnsConfig.nameservers"),
        searches=tuple(clean(one) for one in config.searches or ()),
        options=tuple(
            (clean(one.name or ""), clean(one.value or "")) for one in config.options or ()
        ),
        deleted=moment(meta.deletion_timestamp),
        created=moment(meta.creation_timestamp),
    )


def _pod_addresses(status: raw.PodStatus) -> tuple[str, ...]:
    if status.pod_ips:
        return addresses([one.ip or "" for one in status.pod_ips], "$.status.podIPs")
    return addresses([status.pod_ip] if status.pod_ip else (), "$.status.podIP")


def _condition(given: raw.PodCondition) -> ConditionFact:
    return ConditionFact(
        clean(given.type or ""),
        clean(given.status or ""),
        moment(given.last_transition_time),
        clean(given.reason or ""),
        clean(given.message or ""),
    )


def _containers(spec: raw.PodSpec, status: raw.PodStatus) -> Iterator[ContainerFact]:
    yield from _group(spec.containers, status.container_statuses, is_init=False)
    yield from _group(spec.init_containers, status.init_container_statuses, is_init=True)


def _group(
    listed: Iterable[raw.Container] | None,
    statuses: Iterable[raw.ContainerStatus] | None,
    *,
    is_init: bool,
) -> Iterator[ContainerFact]:
    said = {one.name: one for one in statuses or ()}
    for one in listed or ():
        found = said.get(one.name) or raw.ContainerStatus()
        yield ContainerFact(
            clean(one.name or ""),
            tuple([port(p.name, p.container_port, p.protocol) for p in one.ports or ()]),
            bool(found.ready),
            _state(found.state or raw.State()),
            found.restart_count or 0,
            _probe(one.readiness_probe) if one.readiness_probe else "",
            is_init,
        )


def _state(given: raw.State) -> str:
    if given.waiting is not None:
        return f"waiting: {clean(given.waiting.reason or '')}".removesuffix(": ")
    if given.terminated is not None:
        code = given.terminated.exit_code
        why = given.terminated.reason or ("" if code is None else f"exit code {code}")
        return f"terminated: {clean(why)}".removesuffix(": ")
    return "running" if given.running is not None else ""


def _probe(given: raw.Probe) -> str:
    """A probe in words; empty for one of a kind yet to be invented."""
    said = _asks(given)
    return f"{said} every {given.period_seconds or PERIOD_S} s" if said else ""


def _asks(given: raw.Probe) -> str:
    if get := given.http_get:
        scheme = "https " if get.scheme == "HTTPS" else ""
        path = get.path or "/"
        slash = "" if path.startswith("/") else "/"
        return clean(f"httpGet {scheme}{get.host or ''}:{get.port or ''}{slash}{path}")
    if given.tcp_socket:
        return clean(f"tcpSocket :{given.tcp_socket.port or ''}")
    if given.grpc:
        return clean(f"grpc :{given.grpc.port or ''} {given.grpc.service or ''}".rstrip())
    if given.command:
        return clean(f"exec {' '.join(given.command.command or ())}")
    return ""
