"""kdns: a cluster DNS server for Kubernetes. The version of the package, and nothing else."""

__version__ = "0.1.0"

COREDNS = "1.15.0"
"""The CoreDNS release whose Corefile, answers and metrics this version matches."""
