"""`kdns lab rules`: what it prints, and that it reads a lab over its API."""

import asyncio
import json
from pathlib import Path

import pytest

from kdns.cli import lab_rules
from kdns.lab.errors import Obj
from kdns.lab.lab import Lab
from kdns.lab.proxy.listing import OFFSET, Cluster, lines
from kdns.lab.resources import INGRESSES, NODES, SERVICES, SLICES
from tests.lab.proxy.test_rules import end, service, slice_

NODES_: list[Obj] = [
    {
        "metadata": {"name": name, "annotations": {OFFSET: "20000"} if name == "b" else {}},
        "status": {"addresses": [{"type": "InternalIP", "address": f"127.18.0.{number}"}]},
    }
    for number, name in enumerate("ab", 11)
]


def shown(cluster: Cluster, name: str = "") -> str:
    return "\n".join(lines(cluster.rows(name)))


def test_rules_are_shown_by_service() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    web = service(ports=ports, sessionAffinity="ClientIP", externalTrafficPolicy="Local",
                  internalTrafficPolicy="Local")  # fmt: skip
    lonely = service("lonely", clusterIP="10.96.0.21")
    named = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    slices = [slice_(end("10.244.1.1", "a"), ports=named)]
    path = {"path": "/cart", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}
    ingress = {
        "metadata": {"namespace": "shop", "name": "door"},
        "spec": {"rules": [{"host": "shop.test", "http": {"paths": [path]}}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "127.51.100.254"}]}},
    }
    cluster = Cluster([web, lonely], slices, NODES_, [ingress])
    assert shown(cluster).splitlines() == [
        "shop/lonely",
        "  ClusterIP     TCP   10.96.0.21:80                     REJECT  "
        "shop/lonely has no endpoints: no pod is selected, or none is written",
        "shop/web",
        "  ClusterIP     TCP   10.96.0.20:80                     → 10.244.1.1:8080  "
        "(here on port 20080; affinity ClientIP 10800 s; "
        "Local: a pod reaches those on its own node only)",
        "  NodePort      TCP   127.18.0.11:30080                 → 10.244.1.1:8080  "
        "(affinity ClientIP 10800 s; Local: from outside those on a only (10.244.1.1:8080))",
        "  NodePort      TCP   127.18.0.12:30080                 → 10.244.1.1:8080  "
        "(affinity ClientIP 10800 s; Local: from outside those on b only (none: dropped))",
        "  Ingress       HTTP  127.51.100.254:80 shop.test/cart  → 10.244.1.1:8080  "
        "(here on port 20080; ingress shop/door)",
    ]
    assert shown(cluster, "shop/lonely").count("\n") == 1


def test_an_ingress_does_not_bend_the_terminal() -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/\x1b[2J\r\u202e\x9bx", "backend": backend}
    ingress = {
        "metadata": {"namespace": "shop", "name": "door"},
        "spec": {"rules": [{"http": {"paths": [path]}}]},
    }
    said = shown(Cluster([service()], [], NODES_, [ingress]))
    assert said.replace("\n", "").isprintable()
    assert "*/\\x1b[2J\\x0d\\x202e\\x9bx" in said


def test_a_node_port_stands_once_where_all_nodes_do_the_same() -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]
    cluster = Cluster([service(ports=ports)], [slice_(end("10.244.1.1"))], NODES_)
    assert shown(cluster).splitlines()[2:] == [
        "  NodePort      TCP   127.18.0.11:30080 and on 1 more  → 10.244.1.1:8080"
    ]
    assert len(cluster.rows()) == 3


def test_what_has_no_rules_says_why() -> None:
    cluster = Cluster(
        [service(clusterIP="None"), service("far", type="ExternalName", externalName="x.test")], []
    )
    assert "headless" in cluster.why_none("shop/web")
    assert "x.test" in cluster.why_none("shop/far")
    assert cluster.why_none("shop/none") == ""


def test_the_younger_of_two_is_told_who_has_its_place() -> None:
    cluster = Cluster([service(), service("later")], [slice_(end("10.244.1.1"))])
    assert "REJECT  shop/later, which is older, has" in shown(cluster, "shop/web")


@pytest.fixture
def no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.mark.usefixtures("no_cluster")
def test_without_a_kubeconfig_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        lab_rules.main([])
    assert error.value.code == 2
    assert "start a lab here" in capsys.readouterr().err
    assert lab_rules.main(["--kubeconfig", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.usefixtures("no_cluster")
async def test_it_reads_a_lab_by_its_kubeconfig(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Lab(has_controllers=False) as lab:
        (tmp_path / ".kdns").mkdir()
        lab.kubeconfig(tmp_path / ".kdns" / "kubeconfig")
        spec = {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]}
        lab.storage.create(SERVICES, "default", {"metadata": {"name": "web"}, "spec": spec})
        lab.storage.create(SLICES, "default", {
            **slice_(end("10.244.1.1")), "metadata": {
                "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        })  # fmt: skip
        lab.storage.create(NODES, "", {"metadata": {"name": "a"}})
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        body = {"metadata": {"name": "all"}, "spec": {"defaultBackend": backend}}
        lab.storage.create(INGRESSES, "default", body)

        async def run(*words: str) -> tuple[int, str, str]:
            code = await asyncio.to_thread(lab_rules.main, words)
            return code, *capsys.readouterr()

        code, out, err = await run("web")
        assert (code, err) == (0, "")
        assert "ClusterIP     TCP   10.96.7.7:80             → 10.244.1.1:8080\n" in out
        assert "<pending>:80 (all else)" in out
        code, out, _ = await run("-o", "json")
        assert json.loads(out)[0] == {
            "service": "default/web", "kind": "ClusterIP", "protocol": "TCP",
            "address": "10.96.7.7", "port": 80, "listens": 80, "reject": "", "notes": [],
            "endpoints": [{"address": "10.244.1.1", "port": 8080, "node": ""}],
        }  # fmt: skip
        code, _, err = await run("shop/web")
        assert code == 1
        assert "did you mean default/web?" in err
        spec = {"clusterIP": "None", "ports": [{"port": 80}]}
        lab.storage.create(SERVICES, "default", {"metadata": {"name": "bare"}, "spec": spec})
        code, out, err = await run("bare")
        assert (code, out) == (0, "")
        assert "headless" in err
