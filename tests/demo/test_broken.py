"""Each broken case is applied, and explained by the command that its file names."""

import re
import time
from pathlib import Path

import pytest

from tests.demo.played import DEMO, lacks
from tests.demo.walk import Shell, normal

BROKEN = DEMO / "broken"
COMMAND = re.compile(r"^#   (kdns explain .*)$", re.MULTILINE)
CASES = sorted(one for one in BROKEN.glob("*.yaml") if not one.name.startswith("00-"))
PATIENCE_S = 40.0
FIRST = {
    "crash": "the only pod of service broken/crash is not ready since TIME (AMOUNT): pod crash does not "
    "stay up: container web is waiting: CrashLoopBackOff after 1 restart",
    "dns-policy": "pod broken/dns-policy has dnsPolicy Default, which is the node's resolv.conf: it does not "
    "ask the cluster's DNS; ClusterFirst would",
    "external-address": "service broken/external-address has externalName 192.0.2.10: that is taken for a "
    "name, not for an address; a service without selector and an EndpointSlice lead to addresses",
    "headless-port": "service broken/headless-port is headless, so connections go to its pods themselves, "
    "where port http 8000/TCP is port 80",
    "no-endpoints": "service broken/no-endpoints has no selector, so its endpoints are written by hand, and "
    "nobody has written any",
    "other-namespace": "service other does not exist in namespace broken; elsewhere has it: "
    "other.elsewhere is its name for pod broken/client",
    "policy": "broken/policy resolves, but NetworkPolicy broken/friends-only forbids pod broken/client "
    "to reach port http 80/TCP of it",
    "policy-dns": "NetworkPolicy broken/http-only forbids DNS: egress of pod broken/policy-dns to port "
    "53/UDP and 53/TCP of the DNS pods is not allowed",
    "port-name": "service broken/port-name has no port called http/TCP; it has 80/TCP",
    "readiness": "the only pod of service broken/readiness is not ready since TIME (AMOUNT): pod readiness "
    "runs, but container web is not ready, readiness probe exec cat /tmp/warmed-up every AMOUNT",
    "selector": "service broken/selector selects app=catalogue, which no pod has; pod selector has "
    "app=catalog",
    "subdomain": "pod broken/first has the subdomain sub-domain, not subdomain (a StatefulSet writes its "
    "serviceName there), and no service sub-domain exists",
    "target-port": "port http 80/TCP of service broken/target-port leads to port 8080 of its pods, and "
    "their containers declare only http 80/TCP",
}
"""The reason, by the name of the file."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacks()), reason=lacks() or "all is here"),
]


def test_every_case_is_known() -> None:
    assert {one.stem for one in CASES} == set(FIRST)


@pytest.mark.timeout(600)
def test_every_case_is_found(shell: Shell) -> None:
    shell.run("kubectl apply -f config/demo/broken/00-namespace.yaml")
    shell.run("kubectl apply -f config/demo/broken")
    wrong = {}
    for case in CASES:
        [command] = COMMAND.findall(case.read_text(encoding="utf-8"))
        if said := found(shell, command, normal(FIRST[case.stem])):
            wrong[case.stem] = said
    assert not wrong


def found(shell: Shell, command: str, expected: str) -> str:
    """What a command says first that is not expected, however long one waits."""
    until = time.monotonic() + PATIENCE_S
    while True:
        said = shell.run(command)
        first = re.sub(r"after \d+ restarts?", "after 1 restart", normal(said.partition("\n")[0]))
        if first == expected:
            return ""
        if time.monotonic() > until:
            return said
        time.sleep(0.2)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_case_says_what_is_seen_and_what_finds_it(case: Path) -> None:
    preface = case.read_text(encoding="utf-8").partition("apiVersion:")[0]
    lines = preface.splitlines()
    assert COMMAND.fullmatch(next(line for line in lines if line.startswith("#   ")))
    assert len([line for line in lines if line.startswith("# ")]) >= 2
