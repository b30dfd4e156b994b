"""Dashboard and alerts ask for what is there: by the catalogue, by a running server, by promtool."""

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import randrange
from typing import Any

import dns.edns
import dns.message
import dns.query
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kdns.lab import manifests
from kdns.lab.controllers.desk import Desk
from kdns.lab.lab import Lab
from kdns.observe.catalogue import METRICS
from tests.deploy import promql
from tests.running import Running, free_port
from tests.test_documents import commands, unknown

CONFIG = Path(__file__).parents[2] / "config"
DASHBOARD = json.loads((CONFIG / "grafana" / "kdns.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((CONFIG / "alerts" / "kdns.yaml").read_text(encoding="utf-8"))["spec"]
RUNBOOK = (CONFIG / "alerts" / "README.md").read_text(encoding="utf-8")
CASES = Path(__file__).with_name("alerts.yaml")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SCRAPED = {"up": ()}
"""What Prometheus itself adds, and what the target's labels are."""
TARGET = {"job", "instance"}

THEIRS = {
    "up": set(),
    "coredns_build_info": set(),
    "coredns_cache_entries": {"type"},
    "coredns_cache_hits_total": {"type"},
    "coredns_cache_misses_total": set(),
    "coredns_dns_do_requests_total": set(),
    "coredns_dns_request_duration_seconds_bucket": {"server", "zone", "le"},
    "coredns_dns_request_size_bytes_bucket": {"server", "zone", "proto", "le"},
    "coredns_dns_request_size_bytes_sum": {"proto"},
    "coredns_dns_request_size_bytes_count": {"proto"},
    "coredns_dns_requests_total": {"proto", "type", "zone"},
    "coredns_dns_response_size_bytes_bucket": {"server", "zone", "proto", "le"},
    "coredns_dns_responses_total": {"rcode"},
    "coredns_forward_healthcheck_broken_total": set(),
    "coredns_kubernetes_dns_programming_duration_seconds_bucket": {"service_kind", "le"},
    "coredns_panics_total": set(),
    "coredns_plugin_enabled": {"name"},
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
}
"""What the usual dashboards and alerts of CoreDNS ask for: Grafana's 14981 (the coredns-mixin), 15762
and that of kube-prometheus-stack, with the labels they group and match by."""
OF_NOBODY = {
    "coredns_forward_requests_total", "coredns_forward_responses_total",
    "coredns_forward_request_duration_seconds", "coredns_forward_healthcheck_failures_total",
    "go_goroutines",
}  # fmt: skip
"""What they ask for, too: CoreDNS 1.15.0 itself says coredns_proxy_… for the first four, and without
Go there are no goroutines."""


def base(name: str) -> str:
    """The metric that a series is of."""
    for suffix in ("_bucket", "_sum", "_count"):
        known = METRICS.get(name.removesuffix(suffix))
        if name.endswith(suffix) and known is not None and known.kind == "histogram":
            return name.removesuffix(suffix)
    return name


def labels_of(name: str) -> set[str]:
    """The labels of a series, those of the target apart; raises KeyError."""
    if name in SCRAPED:
        return set()
    found = METRICS[base(name)]
    if found.kind == "histogram" and name == base(name):
        raise KeyError(name)
    return {*found.labels, *(["le"] if name.endswith("_bucket") else [])}


def mistakes(expression: str) -> list[str]:
    """What an expression asks for that is not there."""
    try:
        asked = promql.read(expression)
    except promql.Mistake as mistake:
        return [str(mistake)]
    wrong, known = [], set(TARGET)
    for name, labels in asked.selectors:
        try:
            own = labels_of(name)
        except KeyError:
            wrong.append(f"{name} is no series of the catalogue")
            continue
        wrong += [f"{name} has no {label}" for label in labels - own - TARGET]
        known |= own
    return wrong + [f"nothing has {label}" for label in asked.grouped - known]


def expressions() -> Iterator[tuple[str, str]]:
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"]


def plain(expression: str) -> str:
    """Without what Grafana puts in."""
    return expression.replace("$__rate_interval", "5m")


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_metric_and_label_is_in_the_catalogue(where: str, expression: str) -> None:
    assert not mistakes(plain(expression)), where


@pytest.mark.parametrize(
    "expression",
    [
        'sum(kdns_worker{job="x"})',
        'kdns_workers{pod="x"} == 0',
        'sum by (zone) (kdns_workers{job="x"})',
        'rate(coredns_dns_request_duration_seconds{job="x"}[5m])',
        'rate(kdns_busy_total_bucket{job="x"}[5m])',
        "sum(kdns_workers)",
        'sum(kdns_workers{job="x"}',
        "kdns_workers{job=x}",
        'kdns_workers{job="x"} § 1',
    ],
)
def test_an_expression_that_is_wrong_is_noticed(expression: str) -> None:
    assert mistakes(expression)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_names_only_labels_that_are_left(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        asked = promql.read(plain(target["expr"]))
        left = set(asked.grouped)
        if not re.search(r"\b(sum|max|count|histogram_quantile)\b", target["expr"]):
            left = TARGET | {one for name, _ in asked.selectors for one in labels_of(name)}
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= left


def test_panels_do_not_overlap_and_ids_are_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", THEIRS)
def test_dashboards_and_alerts_of_coredns_find_what_they_ask_for(name: str) -> None:
    assert THEIRS[name] <= labels_of(name)


@pytest.mark.parametrize("name", sorted(OF_NOBODY))
def test_what_nobody_has_is_not_here_either(name: str) -> None:
    assert name not in METRICS, "then it belongs to what dashboards find"


# Alerts and their pages


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_page_says_what_it_means_where_to_look_and_what_to_do(rule: dict[str, Any]) -> None:
    page = RUNBOOK.partition(f"### {rule['alert']}\n")[2].partition("\n##")[0]
    for part in ("Means", "Look", "Do"):
        assert re.search(rf"^\*\*{part}\*\* .{{20}}", page, re.MULTILINE), part
    assert re.search(r"`(kubectl|kdns|curl) ", page), "a command to begin with"
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]


def test_commands_of_the_runbook_are_known() -> None:
    shown = commands(RUNBOOK)
    assert len(shown) > 5
    assert not [command for command in shown if unknown(command)]


def test_every_label_that_an_alert_speaks_of_is_there() -> None:
    for rule in ALERTS:
        asked = promql.read(rule["expr"])
        left = asked.grouped or TARGET | {
            label for name, _ in asked.selectors for label in labels_of(name)
        }
        said = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert set(said) <= left, rule["alert"]


# promtool


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


def told(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def test_the_way_to_the_plain_file_that_is_shown_works(tmp_path: Path) -> None:
    text = (CONFIG / "alerts" / "kdns.yaml").read_text(encoding="utf-8")
    shown = re.search(r"^#   (sed .*) > /etc", text, re.MULTILINE)
    assert shown
    command = shown[1].replace("kdns.yaml", str(CONFIG / "alerts" / "kdns.yaml"))
    made = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert yaml.safe_load(made) == RULES


def test_promtool_takes_alerts_and_expressions_of_the_dashboard(tmp_path: Path) -> None:
    program = promtool()
    recorded = [
        {
            "record": f"kdns:panel{n}",
            "expr": plain(text).replace("$job", "x").replace("$instance", "y"),
        }
        for n, (_, text) in enumerate(expressions())
    ]
    group = {"name": "panels", "rules": recorded}
    (tmp_path / "panels.yaml").write_text(json.dumps({"groups": [group]}))
    (tmp_path / "alerts.yaml").write_text(json.dumps(RULES))
    said = told(program, "check", "rules", "panels.yaml", "alerts.yaml", cwd=tmp_path)
    assert f"{len(recorded)} rules found" in said


def test_every_alert_rings_when_it_should_and_not_before(tmp_path: Path) -> None:
    program = promtool()
    (tmp_path / "kdns.yaml").write_text(json.dumps(RULES))
    shutil.copy(CASES, tmp_path / "cases.yaml")
    told(program, "test", "rules", "cases.yaml", cwd=tmp_path)


def test_every_alert_is_tried_ringing_and_quiet() -> None:
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    tried = [one for case in cases for one in case["alert_rule_test"]]
    names = {rule["alert"] for rule in ALERTS}
    assert {one["alertname"] for one in tried if one.get("exp_alerts")} == names
    assert {one["alertname"] for one in tried if not one.get("exp_alerts")} == names


# A running server

COREFILE = """. {{
    bind 127.0.0.1
    prometheus 127.0.0.1:{metrics}
    health 127.0.0.1:{health}
    ready 127.0.0.1:{ready}
    reload 2s
    errors
    acl {{
        block type MX
        filter type HINFO
        drop type NAPTR
    }}
    cookies
    ratelimit
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
    }}
    cache 30
    forward . 127.0.0.1:{upstream}
}}
.:{upstream} {{
    bind 127.0.0.1
    template IN A upstream.example {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.1"
    }}
    whoami
}}
"""
OBJECTS = """
{kind: Namespace, apiVersion: v1, metadata: {name: shop}}
---
kind: Pod
apiVersion: v1
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
---
kind: Service
apiVersion: v1
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
SELDOM = {
    "coredns_cache_evictions_total": "a full cache",
    "coredns_cache_served_stale_total": "an upstream that fails",
    "coredns_cache_prefetch_total": "a name that is asked often",
    "coredns_proxy_healthcheck_failures_total": "an upstream that is down",
    "coredns_shed_dropped_total": "replies that pile up",
    "kdns_connections_closed_total": "a crowd of connections",
    "kdns_busy_total": "too many questions that wait",
    "kdns_drift_repaired_total": "a watch that lost an event",
    "kdns_fair_dropped_total": "an overload",
    "kdns_guard_answers_total": "a service that a public name is taken for",
    "kdns_loop_detected": "a forwarding loop",
    "kdns_packets_rejected_total": "a broken packet",
    "kdns_ratelimit_total": "a client that asks too much",
    "kdns_refused_total": "a question for nobody",
    "kdns_resyncs_total": "a watch that failed",
    "kdns_send_failures_total": "a full socket",
    "kdns_tenant_denied_total": "a client of another tenant",
    "kdns_tls_certificate_end_timestamp_seconds": "an encrypted listener",
    "kdns_tls_failures_total": "a handshake that failed",
    "kdns_upstream_over_budget_total": "an upstream that is slow",
    "kdns_zone_load_failures_total": "a zone that is wrong",
}
"""Metrics with labels that are only there once something has happened, and what."""


COOKIE = dns.edns.CookieOption(b"12345678", b"")


def page(port: int) -> dict[str, set[str]]:
    """The series of a page, each with the labels it was seen with."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=40) as reply:
        text = reply.read().decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, set()).update(one.labels)
    return found


async def seen(
    server: Running, port: int, lab: Lab, folder: Path, wanted: set[str]
) -> dict[str, set[str]]:
    """Asks and changes this and that until the page shows what is wanted, the seldom apart."""
    (folder / "shop.yaml").write_text(OBJECTS)
    manifests.apply(
        lab.storage, manifests.read([folder / "shop.yaml"]), Desk(lab.storage, randrange)
    )
    asked = [
        ("kubernetes.default.svc.cluster.local", "A"), ("a.upstream.example", "A"),
        ("a.example", "MX"), ("a.example", "HINFO"), ("a.example", "NAPTR"),
    ]  # fmt: skip
    deadline = asyncio.get_running_loop().time() + 40
    while True:
        asked[1:1] = [(f"n{len(asked)}.upstream.example", "A")]
        for name, type_ in asked:
            query = dns.message.make_query(name, type_, want_dnssec=True, options=[COOKIE])
            patience_s = 0.2 if type_ == "NAPTR" else 10
            try:
                await asyncio.to_thread(dns.query.udp, query, "127.0.0.1", patience_s, server.port)
            except dns.exception.Timeout:
                assert type_ == "NAPTR"
        found = await asyncio.to_thread(page, port)
        missing = {base(name) for name in wanted - set(found)} - set(SELDOM)
        if not missing:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"neither shown nor seldom: {missing}"


@pytest.mark.slow
async def test_a_running_server_shows_what_is_asked_for(tmp_path: Path) -> None:
    metrics, health, ready, port, upstream = (free_port() for _ in range(5))
    file = tmp_path / "Corefile"
    used = {name for _, text in expressions() for name, _ in promql.read(plain(text)).selectors}
    async with Lab() as lab:
        lab.kubeconfig(tmp_path / "kubeconfig")
        text = COREFILE.format(
            metrics=metrics,
            health=health,
            ready=ready,
            upstream=upstream,
            kubeconfig=tmp_path / "kubeconfig",
        )
        file.write_text(text)
        with Running(file, "-workers", "2", port=port) as server:
            await asyncio.to_thread(server.wait)
            found = await seen(server, metrics, lab, tmp_path, used - set(SCRAPED))
    for name in used & set(found):
        assert found[name] <= labels_of(name), name
    assert found["kdns_table_hits_total"] == {"server"}
