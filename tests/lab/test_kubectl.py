"""kubectl itself against the lab with its controllers: the commands that issue 4 names."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.kubectl import KUBECTL, NEEDED, Run, speaking

pytestmark = NEEDED
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: i, ports: [{containerPort: 80, name: http}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, name: http}, {port: 443, name: https}]}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Run]:
    (tmp_path / "web.yaml").write_text(MANIFEST)
    async with speaking(tmp_path) as run:
        yield run


async def test_objects_are_applied_changed_and_deleted(kubectl: Run, tmp_path: Path) -> None:
    assert "service/web created" in await kubectl("apply -f web.yaml")
    assert "service/web unchanged" in await kubectl("apply -f web.yaml")
    text = MANIFEST.replace("port: 443, name: https", "port: 8443, name: https")
    (tmp_path / "web.yaml").write_text(text)
    assert "8443" in await kubectl("diff -f web.yaml", code=1)
    assert "service/web configured" in await kubectl("apply -f web.yaml")
    ports = await kubectl("get svc web -o jsonpath={.spec.ports[*].port}")
    assert ports == "80 8443"
    await kubectl("""patch svc web -p '{"spec":{"ports":[{"port":80,"name":"plain"}]}}'""")
    assert await kubectl("get svc web -o jsonpath={.spec.ports[*].name}") == "plain https"
    await kubectl("label svc web tier=front")
    await kubectl("annotate svc web note=yes")
    assert "tier=front" in await kubectl("get svc -l tier=front --show-labels")
    assert "No resources found" in await kubectl("get svc -l tier=back")
    assert "web" in await kubectl("get svc --field-selector metadata.name=web")
    await kubectl("delete svc web")
    assert 'services "web" not found' in await kubectl("get svc web", code=1)


async def test_a_deployment_is_scaled_rolled_out_and_exposed(kubectl: Run) -> None:
    await kubectl("create deployment api --image=i --replicas=1 --port=80")
    assert "successfully rolled out" in await kubectl("rollout status deploy/api --timeout=40s")
    await kubectl("scale deploy api --replicas=3")
    await kubectl("expose deploy api --port=80")
    await kubectl("rollout status deploy/api --timeout=40s")
    assert "3/3" in await kubectl("get deploy api -o wide")
    assert "Endpoints:" in await kubectl("describe svc api")
    pods = json.loads(await kubectl("get pods -o json"))["items"]
    assert len(pods) == 3
    await kubectl("delete deploy api")
    async with asyncio.timeout(40):
        while "No resources found" not in await kubectl("get pods"):
            await asyncio.sleep(0.1)


async def test_create_commands_send_protobuf_and_are_understood(kubectl: Run) -> None:
    for command in [
        "ns other",
        "configmap a --from-literal=x=y",
        "secret generic s --from-literal=p=q",
        "serviceaccount bot",
        "service clusterip svc --tcp=80:http",
        "service externalname ext --external-name=example.com",
        "role r --verb=get --resource=pods",
        "rolebinding rb --role=r --serviceaccount=default:bot",
        "ingress i --rule=foo.com/*=svc:80",
        "pdb p --selector=a=b --min-available=1",
    ]:
        assert "created" in await kubectl(f"create {command}")
    assert (await kubectl("create token bot")).count(".") == 2
    assert await kubectl("get svc svc -o jsonpath={.spec.ports[0].targetPort}") == "http"
    assert "y" in await kubectl("get cm a -o yaml")


async def test_mistakes_are_told_as_kubectl_tells_them(kubectl: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80, portt: 1}]}\n"
    )
    out = await kubectl("apply -f bad.yaml", code=1)
    assert 'unknown field "spec.ports[0].portt"' in out
    assert "already exists" in await kubectl("create ns default", code=1)
    assert "must consist of lower case" in await kubectl(
        "create service clusterip Upper --tcp=80", code=1
    )


async def test_a_watch_prints_what_comes(kubectl: Run, tmp_path: Path) -> None:
    watch = f"--kubeconfig={tmp_path / 'config'} --cache-dir={tmp_path} get cm --watch"
    child = await asyncio.create_subprocess_exec(
        KUBECTL or "", *watch.split(), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout
    try:
        async with asyncio.timeout(60):
            await _printed(child.stdout, b"kube-root-ca.crt")
            await kubectl("create configmap later --from-literal=x=y")
            await _printed(child.stdout, b"later")
    finally:
        child.kill()
        await child.communicate()


async def _printed(lines: asyncio.StreamReader, word: bytes) -> None:
    while word not in (line := await lines.readline()):
        assert line, "it has ended"


async def test_a_namespace_takes_everything_with_it(kubectl: Run) -> None:
    await kubectl("create ns gone")
    await kubectl("-n gone create configmap a --from-literal=x=y")
    await kubectl("delete ns gone --timeout=40s")
    assert "not found" in await kubectl("get ns gone", code=1)


async def test_discovery_and_explanations_are_there(kubectl: Run) -> None:
    assert "endpointslices" in await kubectl("api-resources --namespaced=true")
    assert "FIELDS:" in await kubectl("explain service.spec.ports")
    assert "deployments.apps" in await kubectl("get deploy nothing", code=1)
    assert "service/kubernetes" in await kubectl("get all -A")
