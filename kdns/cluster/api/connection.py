"""What a Corefile says of the API server: where it is, who we are, how much we may ask of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server; all empty is the cluster that this process runs in."""

    endpoint: str = ""
    """A URL, http or https; of several the Corefile's first."""
    cert: str = ""
    key: str = ""
    ca: str = ""
    """Files that go with `endpoint`."""
    kubeconfig: str = ""
    """A file."""
    context: str = ""
    """A context of the kubeconfig; empty for its current one."""
    qps: float = 0
    """Requests a second; 0 for 5 where `burst` is given, else for as many as we like."""
    burst: int = 0
    """Requests that may come at once; 0 for 10 where `qps` is given."""
    max_inflight: int = 0
    """Requests under way at once, watches apart; 0 for no limit."""
