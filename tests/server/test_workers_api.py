"""The worker that watches an API server is killed, with and without a server: nobody else minds."""

import os
import signal
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.bench.cluster import service
from tests.differential.api import Api
from tests.running import free_port
from tests.server.workers import NS, Workers, metric, status, until

COREFILE = """. {{
    bind 127.0.0.1
    ready 127.0.0.1:{ready}
    prometheus 127.0.0.1:{metrics}
    kubernetes cluster.local {{
        endpoint {url}
        startup_timeout 100ms
        {more}
    }}
}}
"""


class Again(Api):
    """An API server that comes back on the port it had."""

    def __init__(self, port: int, *addresses: str) -> None:
        namespace = {"kind": "Namespace", "metadata": {"name": "bench"}}
        super().__init__([namespace, *(service(f"s{at}", one) for at, one in enumerate(addresses))])
        handler = self.server.RequestHandlerClass
        self.server.server_close()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{port}"
        self.version = 1000 * len(addresses)


@pytest.mark.slow
def test_the_watcher_dies_while_no_server_answers(tmp_path: Path) -> None:
    api, ready, metrics = (free_port() for _ in range(3))
    file = tmp_path / "Corefile"
    url = f"http://127.0.0.1:{api}"
    file.write_text(COREFILE.format(url=url, ready=ready, metrics=metrics, more=""))
    name = f"s0.bench.{NS}"
    with Workers(file) as kdns:
        with Again(api, "10.0.0.1") as server:
            kdns.wait()
            until(lambda: status(ready, "/ready") == 200)
            assert kdns.ask_all(name) == {"10.0.0.1"}
            server.put(service("s0", "10.0.0.2"))
            until(lambda: kdns.ask_all(name) == {"10.0.0.2"})
        pid = kdns.pids()[1]
        os.kill(pid, signal.SIGKILL)
        until(lambda: kdns.pids().get(1, pid) != pid and len(kdns.sockets()) == 2)
        # Its successor knows what the other one does.
        until(lambda: metric(metrics, "kdns_workers") == 2)
        for _ in range(3):
            assert kdns.ask_all(name) == {"10.0.0.2"}
        assert status(ready, "/ready") == 200
        with Again(api, "10.0.0.2", "10.0.0.3"):
            until(lambda: kdns.ask_all(f"s1.bench.{NS}") == {"10.0.0.3"})
            assert kdns.ask_all(name) == {"10.0.0.2"}
        assert kdns.end()[0] == 0


@pytest.mark.slow
def test_data_that_is_too_old_is_flagged_by_all_and_a_snapshot_is_no_step_back(
    tmp_path: Path,
) -> None:
    api, ready, metrics = (free_port() for _ in range(3))
    file = tmp_path / "Corefile"
    more = f"stale_after 2s\n snapshot {tmp_path}/snapshot"
    url = f"http://127.0.0.1:{api}"
    file.write_text(COREFILE.format(url=url, ready=ready, metrics=metrics, more=more))
    name = f"s0.bench.{NS}"
    with Workers(file) as kdns:
        with Again(api, "10.0.0.1"):
            kdns.wait()
            until(lambda: kdns.ask_all(name) == {"10.0.0.1"})
            until((tmp_path / "snapshot").exists)
        until(lambda: kdns.ask_all(name) == {"10.0.0.1+stale"})
        assert metric(metrics, "kdns_data_stale") == 1
        pid = kdns.pids()[1]
        os.kill(pid, signal.SIGKILL)
        until(lambda: kdns.pids().get(1, pid) != pid and len(kdns.sockets()) == 2)
        assert kdns.ask_all(name) == {"10.0.0.1+stale"}
        with Again(api, "10.0.0.1", "10.0.0.3"):
            until(lambda: kdns.ask_all(f"s1.bench.{NS}") == {"10.0.0.3"})
            until(lambda: kdns.ask_all(name) == {"10.0.0.1"})
        assert kdns.end()[0] == 0
