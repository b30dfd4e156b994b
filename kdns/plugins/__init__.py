"""The order plugins are asked in, whatever that in the Corefile: CoreDNS 1.15.0's, and ours."""

ORDER = (
    "root", "metadata", "geoip", "cancel", "proxyproto", "quic", "grpc_server", "https", "https3",
    "timeouts", "multisocket", "reload", "nsid", "bufsize", "bind", "debug", "trace", "ready",
    "health", "pprof", "status", "shed", "fair", "ratelimit", "cookies", "prometheus", "errors",
    "log", "dnstap", "ede", "local", "dns64", "siit", "any", "chaos", "loadbalance", "tsig",
    "rewrite", "autopath", "acl", "tenant", "aaaa", "guard", "cache", "header", "dnssec", "tls",
    "minimal", "template", "transfer", "dynupdate", "hosts", "route53", "azure", "clouddns",
    "k8s_external", "hostnames", "ingress", "nodeport", "kubernetes", "file", "auto", "secondary",
    "etcd", "loop", "forward", "grpc", "erratic", "whoami", "on", "sign", "view", "nomad",
)  # fmt: skip
"""Every directive of CoreDNS 1.15.0, and OURS; one without a module here is known but not there."""

OURS = frozenset((
    "aaaa", "cookies", "ede", "fair", "guard", "hostnames", "ingress", "nodeport", "ratelimit",
    "status", "tenant",
))  # fmt: skip
"""The directives that CoreDNS does not have."""
