"""kubectl itself: editing, patching, applying by several, rolling back, describing, being refused."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.kubectl import NEEDED, Run, speaking

pytestmark = NEEDED
SERVICE = "create service clusterip web --tcp=80:8080 --clusterip=10.96.0.77"


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Run]:
    async with speaking(tmp_path) as run:
        yield run


def service(**spec: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


async def test_edit_changes_what_the_editor_changed(kubectl: Run) -> None:
    await kubectl(SERVICE)
    assert "service/web edited" in await kubectl("edit svc web", editor="sed -i s/8080/9090/")
    assert await kubectl("get svc web -o jsonpath={.spec.ports[0].targetPort}") == "9090"
    out = await kubectl("edit svc web", editor="sed -i s/10.96.0.77/10.96.0.78/", code=1)
    assert 'services "web" is invalid' in out


async def test_patches_of_three_kinds(kubectl: Run) -> None:
    await kubectl(SERVICE)
    ports = "get svc web -o jsonpath={.spec.ports[*].port}"
    await kubectl("""patch svc web -p '{"spec":{"ports":[{"port":443,"name":"https"}]}}'""")
    assert await kubectl(ports) == "443 80"
    await kubectl("""patch svc web --type=json -p '[{"op":"remove","path":"/spec/ports/0"}]'""")
    assert await kubectl(ports) == "80"
    await kubectl("""patch svc web --type=merge -p '{"spec":{"ports":[{"port":53}]}}'""")
    assert await kubectl(ports) == "53"
    out = await kubectl("""patch svc web -p '{"spec":{"clusterIP":"10.96.0.9"}}'""", code=1)
    assert out == (
        'The Service "web" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: '
        "may not change once set\n"
    )


async def test_replace_needs_the_version_that_is_there(kubectl: Run) -> None:
    await kubectl(SERVICE)
    found = json.loads(await kubectl("get svc web -o json"))
    found["spec"]["ports"][0]["targetPort"] = 7
    assert "service/web replaced" in await kubectl("replace", found)
    assert "the object has been modified" in await kubectl("replace", found, code=1)


async def test_server_side_apply_minds_other_managers(kubectl: Run) -> None:
    command = "apply --server-side --field-manager"
    out = await kubectl(f"{command}=one", service(ports=[{"port": 80}]))
    assert out == "service/web serverside-applied\n"
    other = service(selector={"a": "b"})
    assert "serverside-applied" in await kubectl(f"{command}=two", other)
    other = service(ports=[{"port": 80, "name": "x"}], selector={"a": "c"})
    out = await kubectl(f"{command}=one", other, code=1)
    assert 'Apply failed with 1 conflict: conflict with "two": .spec.selector' in out
    await kubectl(f"{command}=one --force-conflicts", other)
    assert await kubectl("get svc web -o jsonpath={.spec.selector.a}") == "c"


async def test_refusals_are_listed_as_kubectl_lists_them(kubectl: Run) -> None:
    out = await kubectl("apply", service(ports=[{"port": 70000, "targetPort": "Web"}]), code=1)
    assert out.splitlines() == [
        'The Service "web" is invalid: ',
        "* spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        '* spec.ports[0].targetPort: Invalid value: "Web": must contain only alpha-numeric '
        "characters (a-z, 0-9), and hyphens (-)",
    ]
    await kubectl(SERVICE)
    out = await kubectl(SERVICE.replace("clusterip web", "clusterip two"), code=1)
    assert "failed to allocate IP 10.96.0.77: provided IP is already allocated" in out
    out = await kubectl("create service clusterip a --tcp=80 --clusterip=192.0.2.1", code=1)
    assert "The range of valid IPs is 10.96.0.0/12" in out
    out = await kubectl("create service nodeport b --tcp=80 --node-port=80", code=1)
    assert "The range of valid ports is 30000-32767" in out
    out = await kubectl("delete ns kube-system", code=1)
    assert 'namespaces "kube-system" is forbidden: this namespace may not be deleted' in out


async def test_a_rollout_is_watched_and_taken_back(kubectl: Run) -> None:
    await kubectl("create deployment web --image=web:1 --replicas=2 --port=80")
    await kubectl("rollout status deploy/web --timeout=40s")
    assert "image updated" in await kubectl("set image deploy/web web=web:2")
    assert "restarted" in await kubectl("rollout restart deploy/web")
    await kubectl("rollout status deploy/web --timeout=40s")
    history = await kubectl("rollout history deploy/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2", "3"]
    assert "rolled back" in await kubectl("rollout undo deploy/web --to-revision=1")
    images = "get deploy web -o jsonpath={.spec.template.spec.containers[*].image}"
    assert await kubectl(images) == "web:1"


async def test_a_pod_is_run_waited_for_and_described(kubectl: Run) -> None:
    await kubectl("run one --image=one:1 --port=80 --labels=app=one")
    assert "condition met" in await kubectl("wait --for=condition=Ready pod/one --timeout=40s")
    assert "exposed" in await kubectl("expose pod one --port=80 --name=web")
    out = await kubectl("get pod one -o wide")
    assert out.split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert " 1/1     Running   0 " in out
    kinds = "pod,svc,node,ns,sa,endpoints,endpointslices,events"
    out = await kubectl(f"describe {kinds}")
    assert {"Name:         one", "Type:                     ClusterIP"} <= set(out.splitlines())
    await kubectl("delete pod one --grace-period=0 --force")


async def test_what_may_be_done_is_told(kubectl: Run) -> None:
    assert await kubectl("auth can-i create pods") == "yes\n"
    assert "kubernetes-admin" in await kubectl("auth whoami")


async def test_a_kind_that_is_not_there_is_said_to_be_none(kubectl: Run) -> None:
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "a"},
    }
    out = await kubectl("apply", gateway, code=1)
    assert 'no matches for kind "Gateway" in version "gateway.networking.k8s.io/v1"' in out
    assert "created" in await kubectl("apply", service(ports=[{"port": 80}]))
    misspelt = service(ports=[{"prt": 80}])
    assert 'unknown field "spec.ports[0].prt"' in await kubectl("create", misspelt, code=1)
