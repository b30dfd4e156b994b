"""Every metric we publish: its kind, its label names, its buckets, and one line of help.

A test holds the code to this table: what is counted anywhere in kdns stands here, and nothing else.
"""

from dataclasses import dataclass
from typing import Final, Literal

DURATIONS: Final = tuple(0.00025 * 2**n for n in range(16))
PAUSES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
API_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES: Final = (
    0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16000, 32000, 48000, 64000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_BLOCK = ("server", "zone", "view")
_CACHE = ("server", "zones", "view")
_KIND = ("server", "type", "zones", "view")
_TEMPLATE = (*_BLOCK, "class", "type")

METRICS: Final[dict[str, Metric]] = {
    # Search paths
    "kdns_tenant_denied_total": Metric(
        "counter", "Replies that a rule on namespaces denied.", ("server",)
    ),
    "kdns_guard_answers_total": Metric(
        "counter", "Replies with names of services that shadow others.", ("server", "action")
    ),
    "kdns_guard_shadowing_services": Metric(
        "gauge", "Services that public names are taken for.", ("server",)
    ),
    "kdns_aaaa_suppressed_total": Metric(
        "counter",
        "Replies without the records of a family that the cluster cannot use.",
        ("server",),
    ),
    "coredns_autopath_success_total": Metric(
        "counter", "Look-ups answered from further down the search path.", ("server",)
    ),
    "kdns_autopath_walks": Metric("gauge", "Walks of search paths that are kept.", ("server",)),
    # The server and its blocks, by the names of CoreDNS
    "coredns_build_info": Metric(
        "gauge",
        "Always 1: the CoreDNS release that is matched, and the interpreter.",
        ("version", "revision", "goversion"),
    ),
    "coredns_kubernetes_dns_programming_duration_seconds": Metric(
        "histogram",
        "Seconds from what changed the endpoints of a service to their being answered.",
        ("service_kind",),
        tuple(0.001 * 2**n for n in range(20)),
    ),
    "coredns_dns_https_responses_total": Metric(
        "counter", "Requests answered over HTTPS, by HTTP status.", ("server", "status")
    ),
    "coredns_dns_https3_responses_total": Metric(
        "counter", "Requests answered over HTTP/3, by HTTP status.", ("server", "status")
    ),
    "coredns_dns_quic_responses_total": Metric(
        "counter",
        "Streams over QUIC that were answered or abandoned, by code of RFC 9250.",
        ("server", "status"),
    ),
    "kdns_tls_failures_total": Metric(
        "counter",
        "TLS handshakes that failed: no protocol in common, or no certificate that the"
        " listener takes.",
        ("server",),
    ),
    "kdns_tls_certificate_end_timestamp_seconds": Metric(
        "gauge", "Unix time at which a certificate ends that is served with.", ("file",)
    ),
    "kdns_proxy_headers_refused_total": Metric(
        "counter", "Connections and datagrams refused for their PROXY header.", ("server",)
    ),
    "coredns_panics_total": Metric("counter", "Plugins that failed; each cost one SERVFAIL."),
    "coredns_plugin_enabled": Metric(
        "gauge", "1 for each plugin of a block that is counted.", (*_BLOCK, "name")
    ),
    "coredns_dns_requests_total": Metric(
        "counter", "Questions answered.", (*_BLOCK, "proto", "family", "type")
    ),
    "coredns_dns_request_duration_seconds": Metric(
        "histogram", "Seconds from a question to its reply.", _BLOCK, DURATIONS
    ),
    "coredns_dns_request_size_bytes": Metric(
        "histogram", "Octets of questions as received.", (*_BLOCK, "proto"), SIZES
    ),
    "coredns_dns_response_size_bytes": Metric(
        "histogram", "Octets of replies as sent.", (*_BLOCK, "proto"), SIZES
    ),
    "coredns_dns_do_requests_total": Metric("counter", "Questions with the DO bit.", _BLOCK),
    "coredns_dns_responses_total": Metric(
        "counter",
        "Replies by their code and the plugin that made them.",
        (*_BLOCK, "rcode", "plugin"),
    ),
    # Directives, by the names of CoreDNS
    "coredns_local_localhost_requests_total": Metric(
        "counter", "Questions for names around localhost."
    ),
    "coredns_dns64_requests_translated_total": Metric(
        "counter", "Answers with AAAA records made of A records.", ("server",)
    ),
    "coredns_siit_requests_translated_total": Metric(
        "counter", "Answers with A records made of AAAA records.", ("server",)
    ),
    "coredns_acl_allowed_requests_total": Metric(
        "counter", "Questions that no rule was against.", ("server", "view")
    ),
    "coredns_acl_blocked_requests_total": Metric("counter", "Questions refused by rule.", _BLOCK),
    "coredns_acl_filtered_requests_total": Metric(
        "counter", "Questions answered with nothing by rule.", _BLOCK
    ),
    "coredns_acl_dropped_requests_total": Metric(
        "counter", "Questions left without a reply by rule.", _BLOCK
    ),
    "coredns_cache_entries": Metric("gauge", "Answers that are kept.", _KIND),
    "coredns_cache_requests_total": Metric("counter", "Questions that came by.", _CACHE),
    "coredns_cache_hits_total": Metric("counter", "Questions answered from memory.", _KIND),
    "coredns_cache_misses_total": Metric("counter", "Questions that had to be asked.", _CACHE),
    "coredns_cache_prefetch_total": Metric("counter", "Answers renewed before their end.", _CACHE),
    "coredns_cache_served_stale_total": Metric(
        "counter", "Questions answered with what had run out.", _CACHE
    ),
    "coredns_cache_evictions_total": Metric("counter", "Answers given up for room.", _KIND),
    "coredns_forward_healthcheck_broken_total": Metric(
        "counter", "Questions that found every upstream down."
    ),
    "coredns_forward_max_concurrent_rejects_total": Metric(
        "counter", "Questions over max_concurrent."
    ),
    "coredns_proxy_request_duration_seconds": Metric(
        "histogram",
        "Seconds from a question to the upstream's reply.",
        ("proxy_name", "to", "rcode"),
        DURATIONS,
    ),
    "coredns_proxy_healthcheck_failures_total": Metric(
        "counter", "Probes that an upstream left unanswered.", ("proxy_name", "to")
    ),
    "coredns_proxy_conn_cache_hits_total": Metric(
        "counter", "Questions sent over a kept socket.", ("proxy_name", "to", "proto")
    ),
    "coredns_proxy_conn_cache_misses_total": Metric(
        "counter", "Questions that needed a new socket.", ("proxy_name", "to", "proto")
    ),
    "coredns_grpc_requests_total": Metric("counter", "Questions sent over gRPC.", ("to",)),
    "coredns_grpc_responses_total": Metric("counter", "Replies over gRPC.", ("to", "rcode")),
    "coredns_grpc_request_duration_seconds": Metric(
        "histogram", "Seconds from a question to its reply over gRPC.", ("to",), DURATIONS
    ),
    "kdns_cluster_names_forwarded_total": Metric(
        "counter", "Questions with a cluster zone in their name that were forwarded."
    ),
    "kdns_upstream_over_budget_total": Metric(
        "counter", "Times a question was over the budget of an upstream.", ("to",)
    ),
    "coredns_hosts_entries": Metric(
        "gauge", "Entries of a hosts file and the lines beside it.", ("hostsfile",)
    ),
    "coredns_hosts_reload_timestamp_seconds": Metric(
        "gauge", "Unix time of the hosts file that was read last."
    ),
    "coredns_template_matches_total": Metric(
        "counter", "Questions that matched a template.", _TEMPLATE
    ),
    "coredns_template_template_failures_total": Metric(
        "counter", "Templates that could not be filled.", (*_TEMPLATE, "section", "template")
    ),
    "coredns_template_rr_failures_total": Metric(
        "counter", "Filled templates that are no record.", (*_TEMPLATE, "section", "template")
    ),
    "coredns_shed_dropped_total": Metric(
        "counter",
        "Queries and replies dropped because too many replies wait.",
        ("server", "reason"),
    ),
    # Ours
    "kdns_build_info": Metric("gauge", "Always 1: what runs.", ("version", "python")),
    "kdns_table_hits_total": Metric(
        "counter", "Questions answered from the answer table.", ("server",)
    ),
    "kdns_packets_rejected_total": Metric(
        "counter", "Packets without a question that can be read.", ("cause",)
    ),
    "kdns_refused_total": Metric("counter", "Questions that no server block took.", ("cause",)),
    "kdns_overload": Metric("gauge", "Sockets that are asked more than they can answer."),
    "kdns_fair_dropped_total": Metric(
        "counter",
        "Packets of clients beyond their share in an overload, by what dropped them.",
        ("proto", "by"),
    ),
    "kdns_busy_total": Metric(
        "counter", "Questions turned away because too many wait for answers.", ("proto",)
    ),
    "kdns_cookies_total": Metric(
        "counter", "Questions with a DNS cookie, by what it was.", ("server", "cookie")
    ),
    "kdns_ratelimit_total": Metric(
        "counter",
        "Replies over the rate of a client network, by what became of them.",
        ("server", "kind", "what"),
    ),
    "kdns_send_failures_total": Metric(
        "counter", "Replies that the system did not take.", ("proto",)
    ),
    "kdns_connections_closed_total": Metric(
        "counter", "Connections closed for others or for their time.", ("cause",)
    ),
    "kdns_loop_stall_seconds": Metric(
        "histogram",
        "How late the event loop came to a timer, by the clock and by its own CPU time.",
        ("by",),
        PAUSES,
    ),
    "kdns_gc_pause_seconds": Metric(
        "histogram",
        "How long a garbage collection stopped everything.",
        ("generation",),
        PAUSES,
    ),
    "kdns_data_age_seconds": Metric(
        "gauge", "Seconds since the API server last gave news of a resource.", ("resource",)
    ),
    "kdns_data_stale": Metric(
        "gauge", "1 while cluster answers carry the Stale Answer code, 0 otherwise."
    ),
    "kdns_drift_repaired_total": Metric(
        "counter", "Objects that the watch had missed and a comparison repaired.", ("resource",)
    ),
    "kdns_resyncs_total": Metric(
        "counter", "Lists read again because a watch could not go on.", ("resource", "reason")
    ),
    "kdns_snapshot_failures_total": Metric(
        "counter", "Times that the snapshot could not be written."
    ),
    "kdns_dynupdate_updates_total": Metric("counter", "Updates, by what was answered.", ("rcode",)),
    "kdns_tsig_failures_total": Metric("counter", "Signed requests that were refused.", ("error",)),
    "kdns_workers": Metric("gauge", "Processes that serve, where several do."),
    "kdns_worker_restarts_total": Metric(
        "counter", "Workers that ended and were given a successor."
    ),
    "kdns_worker_resyncs_total": Metric(
        "counter", "Whole states sent again to workers that did not keep up with the changes."
    ),
    "coredns_kubernetes_rest_client_requests_total": Metric(
        "counter", "Requests to the API server.", ("code", "method", "host")
    ),
    "coredns_kubernetes_rest_client_request_duration_seconds": Metric(
        "histogram",
        "From a request to the API server to the first line of its answer.",
        ("verb", "host"),
        API_DURATIONS,
    ),
    "coredns_kubernetes_rest_client_rate_limiter_duration_seconds": Metric(
        "histogram",
        "How long apiserver_qps held back requests to the API server.",
        ("verb", "host"),
        API_DURATIONS,
    ),
    # Probes and the life of the server
    "coredns_health_request_duration_seconds": Metric(
        "histogram",
        "How long the server took to answer its own health probe.",
        buckets=tuple(0.00025 * 10**n for n in range(5)),
    ),
    "coredns_health_request_failures_total": Metric(
        "counter", "Health probes of its own that the server did not answer."
    ),
    "coredns_reload_failed_total": Metric("counter", "Corefiles that were not taken over."),
    "coredns_reload_version_info": Metric(
        "gauge", "Always 1: the version of the Corefile that serves.", ("hash", "value")
    ),
    "kdns_dnstap_sent_bytes_total": Metric(
        "counter", "Octets of dnstap messages that were written."
    ),
    "kdns_dnstap_dropped_total": Metric("counter", "Dnstap messages for which there was no room."),
    "kdns_zone_serial": Metric(
        "gauge", "The serial of a zone that is served; 0 while there is none.", ("plugin", "zone")
    ),
    "kdns_zone_load_failures_total": Metric(
        "counter", "Times that the file of a zone was wrong or missing.", ("plugin", "zone")
    ),
    "kdns_traces_sent_total": Metric("counter", "Traces that a collector took."),
    "kdns_traces_dropped_total": Metric("counter", "Traces for which there was no room."),
    "kdns_loop_detected": Metric(
        "gauge", "1 while queries of the zone that are forwarded come back.", ("zone",)
    ),
    # The process
    "process_cpu_seconds_total": Metric("counter", "CPU time spent, user and system."),
    "process_open_fds": Metric("gauge", "Files and sockets that are open."),
    "process_max_fds": Metric("gauge", "Files and sockets that may be open."),
    "process_virtual_memory_bytes": Metric("gauge", "Address space in use."),
    "process_resident_memory_bytes": Metric("gauge", "Memory in use."),
    "process_start_time_seconds": Metric("gauge", "Unix time of the start."),
    "python_info": Metric(
        "gauge",
        "Always 1: the interpreter.",
        ("implementation", "major", "minor", "patchlevel", "version"),
    ),
    "python_gc_collections_total": Metric("counter", "Garbage collections.", ("generation",)),
    "python_gc_objects_collected_total": Metric(
        "counter", "Objects the collector freed.", ("generation",)
    ),
    "python_gc_objects_uncollectable_total": Metric(
        "counter", "Objects the collector could not free.", ("generation",)
    ),
}
"""By name, in the order of the page."""
