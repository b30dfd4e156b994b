"""The metrics page: what Prometheus's own parser reads in it is what was counted."""

import asyncio
import math
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdns.observe import exposition, process
from kdns.observe.catalogue import METRICS, Metric
from kdns.observe.counters import Counters

CATALOGUE = {
    "plain_total": Metric("counter", "Plain."),
    "lined_total": Metric("counter", "Two\nlines and a \\.", ("path",)),
    "level": Metric("gauge", "A level."),
    "asked": Metric("gauge", "Asked.", ("of",)),
    "took_seconds": Metric("histogram", "Took.", ("to",), (0.00025, 1.0, 64000)),
    "bare_seconds": Metric("histogram", "Bare.", (), (1.0,)),
}


def families(counters, catalogue=CATALOGUE):
    text = "".join(exposition.pieces(counters, catalogue))
    return {one.name: one for one in text_string_to_metric_families(text)}


def samples(family):
    return {(one.name, tuple(one.labels.items())): one.value for one in family.samples}


def test_numbers_come_with_their_labels_help_and_type():
    counters = Counters()
    counters.add("lined_total", 'a"b\\c\nd', by=2)
    counters.set("level", to=0.1)
    counters.ask("asked", lambda: [(("x",), math.inf), (("y",), math.nan), (("z",), -math.inf)])
    found = families(counters)
    assert found["lined"].documentation == "Two\nlines and a \\."
    assert found["lined"].type == "counter"
    assert samples(found["lined"]) == {("lined_total", (("path", 'a"b\\c\nd'),)): 2}
    assert samples(found["level"]) == {("level", ()): 0.1}
    values = [one.value for one in found["asked"].samples]
    assert values[0] == math.inf
    assert math.isnan(values[1])
    assert values[2] == -math.inf


def test_what_has_no_labels_is_there_from_the_start_but_for_gauges():
    found = families(Counters())
    assert set(found) == {"plain", "bare_seconds"}
    assert samples(found["plain"]) == {("plain_total", ()): 0}


def test_a_histogram_is_cumulative():
    counters = Counters()
    histogram = counters.histogram(CATALOGUE["took_seconds"].buckets, "took_seconds", "x")
    for value in (0.0001, 0.00025, 0.5, 64000, 64001):
        histogram.observe(value)
    found = samples(families(counters)["took_seconds"])
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if "bucket" in name
    }
    assert buckets == {0.00025: 2, 1.0: 3, 64000.0: 4, math.inf: 5}
    assert found["took_seconds_count", (("to", "x"),)] == 5
    assert found["took_seconds_sum", (("to", "x"),)] == pytest.approx(128001.50035)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (3.0, "3"), (0.00025, "0.00025"), (1048.576, "1048.576"), (1e-05, "1e-05")],
)
def test_numbers_are_written_as_go_writes_them(value, text):
    counters = Counters()
    counters.set("level", to=value)
    assert f"\nlevel {text}\n" in "".join(exposition.pieces(counters, CATALOGUE))


def test_every_metric_of_the_catalogue_can_be_written():
    counters = Counters()
    for name, metric in METRICS.items():
        labels = [f"{label} value" for label in metric.labels]
        if metric.kind == "histogram":
            counters.histogram(metric.buckets, name, *labels).observe(0.1)
        else:
            counters.add(name, *labels)
    found = families(counters, METRICS)
    for name, metric in METRICS.items():
        family = found[name.removesuffix("_total") if metric.kind == "counter" else name]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        assert {label for one in family.samples for label in one.labels} - {"le"} == {
            *metric.labels
        }


def big() -> Counters:
    """2,000 children, as many as a busy server has."""
    counters = Counters()
    for at in range(1000):
        counters.add("coredns_dns_requests_total", f"dns://:{at}", ".", "", "udp", "1", "A")
    buckets = METRICS["coredns_dns_request_duration_seconds"].buckets
    for at in range(1000):
        name = "coredns_dns_request_duration_seconds"
        counters.histogram(buckets, name, f"dns://:{at}", ".", "").observe(0.001)
    return counters


async def test_the_page_is_written_in_slices():
    counters = big()
    assert min([await longest_slice(counters) for _ in range(5)]) < 0.02


async def longest_slice(counters: Counters) -> float:
    longest = 0.0

    async def watch():
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    ticks = iter(range(10**9))
    page = await exposition.render(counters, lambda: next(ticks) * exposition.SLICE_S / 10)
    watcher.cancel()
    assert page.count(b"\n") > 18_000
    return longest


def test_what_the_process_says_of_itself():
    counters = Counters()
    process.publish(counters, runtime=True)
    found = families(counters, METRICS)
    value = {name: family.samples[0].value for name, family in found.items() if family.samples}
    assert value["process_cpu_seconds"] > 0
    assert 1e6 < value["process_resident_memory_bytes"] < value["process_virtual_memory_bytes"]
    assert 3 <= value["process_open_fds"] < value["process_max_fds"]
    assert time.time() - 3600 < value["process_start_time_seconds"] <= time.time()
    assert found["python_info"].samples[0].labels["implementation"] == "CPython"
    assert {one.labels["generation"] for one in found["python_gc_collections"].samples} >= {
        "0",
        "1",
    }
    assert found["coredns_build_info"].samples[0].labels["goversion"].startswith("python3.")
