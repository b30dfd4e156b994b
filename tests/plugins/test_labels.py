"""Labels that say something about the asker: whoever reads one has an answer for him alone."""

from pathlib import Path

import dns.message
import pytest

from tests.whole import Whole, whole

PODS = """
{kind: Pod, apiVersion: v1, metadata: {name: p1, namespace: a, labels: {app: one}},
 status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: p2, namespace: b},
 status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}]}}
"""
KUBERNETES = "kubernetes cluster.local {\n manifests pods.yaml\n pods verified\n fallthrough\n}"
CLIENTS = {b"\x0a\0\0\1": "a", b"\x0a\0\0\2": "b", b"\x0a\0\0\3": ""}
ORDERS = [list(CLIENTS), list(CLIENTS)[::-1]]


async def text(server: Whole, name: str, address: bytes) -> str:
    """The text of the TXT record that a name has for this client."""
    reply = await server.ask(dns.message.make_query(name, "TXT", id=1).to_wire(), address)
    assert reply is not None
    return dns.message.from_wire(reply).answer[0][0].strings[0].decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pods.yaml").write_text(PODS)
    return tmp_path


@pytest.mark.parametrize("order", ORDERS, ids=["first", "last"])
@pytest.mark.parametrize("name", ["me.cluster.local", "me.example"])
@pytest.mark.parametrize("label", ["client-namespace", "client-label/app"])
async def test_what_a_template_read_of_him_is_kept_for_nobody_else(folder, order, name, label):
    answer = f'answer "{{{{ .Name }}}} 60 IN TXT x{{{{ .Meta \\"kubernetes/{label}\\" }}}}"'
    template = f"template IN TXT . {{\n match ^me[.]\n {answer}\n fallthrough\n}}"
    told = CLIENTS if label == "client-namespace" else {**dict.fromkeys(CLIENTS, ""), order[0]: ""}
    if label != "client-namespace":
        told[b"\x0a\0\0\1"] = "one"
    async with whole(f". {{\nmetadata\ncache\n{template}\n{KUBERNETES}\n}}\n", folder) as server:
        for _ in range(3):
            for address in order:
                assert await text(server, name, address) == "x" + told[address]


@pytest.mark.parametrize("order", ORDERS, ids=["first", "last"])
@pytest.mark.parametrize("name", ["x.cluster.local", "x.example"])
async def test_views_by_namespace_are_for_every_name(folder, order, name):
    """CoreDNS: who asks is known whatever he asks; forwarders by namespace are made so."""
    view = "view a {\n expr metadata('kubernetes/client-namespace') == 'a'\n}"
    said = '{}template IN TXT . {{\n answer "{{{{ .Name }}}} 60 IN TXT {}"\n}}'
    first = f". {{\n{view}\nmetadata\ncache\n{said.format('', 'mine')}\n{KUBERNETES}\n}}\n"
    second = f". {{\ncache\n{said.format('', 'others')}\n}}\n"
    async with whole(first + second, folder) as server:
        for _ in range(3):
            for address in order:
                expected = "mine" if CLIENTS[address] == "a" else "others"
                assert await text(server, name, address) == expected
