"""A right server for the clauses on Kubernetes: kdns in this process, fed by files or by a lab."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from kdns.conformance import manifests
from kdns.conformance.survey import learn, settle
from kdns.conformance.target import Target
from kdns.lab.lab import Lab
from tests.serving import Serving

ZONE = "cluster.local."
HOST = "127.0.0.1"
COREFILE = """.:0 {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        SOURCE
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    MORE
}
"""


def corefile(source: str, more: str = "") -> str:
    """A Corefile with the cluster's zone and no upstream."""
    return COREFILE.replace("SOURCE", source).replace("MORE", more)


@asynccontextmanager
async def of_files(folder: Path, more: str = "") -> AsyncIterator[tuple[Serving, Target]]:
    """Serves the objects that the suite asks for; the target knows them."""
    file = folder / "wanted.yaml"
    file.write_text(manifests.dump(ZONE))
    async with Serving(corefile(f"manifests {file}", more), folder) as serving:
        port = serving.port()
        target, _ = await learn(Target(HOST, port, ZONE, objects=manifests.load([file])))
        assert await settle(target) is not None
        yield serving, replace(target, has=frozenset({"cluster", "authority"}))


@asynccontextmanager
async def of_lab(folder: Path) -> AsyncIterator[tuple[Lab, Path, Serving]]:
    """A lab with kubernetes.default, its kubeconfig, and kdns on it."""
    async with Lab() as lab:
        config = lab.kubeconfig(folder / "kubeconfig")
        async with Serving(corefile(f"kubeconfig {config}"), folder) as serving:
            yield lab, config, serving
