"""Numbers of several processes: what is added, what is the greatest, what stays of the dead."""

from kdns.observe.counters import Counters
from kdns.observe.sums import add, bequeath, numbers


def one(count: int, age: float) -> Counters:
    made = Counters()
    made.add("kdns_refused_total", "no zone", by=count)
    made.histogram((1.0, 2.0), "kdns_x", "a").observe(1.5, count)
    made.ask("kdns_data_age_seconds", lambda: [(("pods",), age)])
    made.ask("process_resident_memory_bytes", lambda: [((), 1000 * count)])
    made.ask("process_start_time_seconds", lambda: [((), 100 - count)])
    made.ask("coredns_dns_requests_total", lambda: [(("s", "z"), count)])
    return made


def test_counters_and_histograms_add_up_and_gauges_are_the_greatest():
    total = Counters()
    for each in (one(1, 7.0), one(2, 5.0)):
        for values, shapes in numbers(each):
            add(total, values, shapes)
    assert dict(total.values) == {
        ("kdns_refused_total", "no zone"): 3,
        ("kdns_data_age_seconds", "pods"): 7.0,
        ("process_resident_memory_bytes",): 3000,
        ("process_start_time_seconds",): 98,
        ("coredns_dns_requests_total", "s", "z"): 3,
    }
    [shape] = total.histograms.values()
    assert (shape.counts, shape.sum) == ([0, 3, 0], 4.5)


def test_of_who_is_gone_only_what_it_counted_stays():
    total = Counters()
    for values, shapes in numbers(one(4, 9.0)):
        bequeath(total, values, shapes)
    assert set(total.values) == {
        ("kdns_refused_total", "no zone"), ("coredns_dns_requests_total", "s", "z"),
    }  # fmt: skip
    assert total.histograms["kdns_x", "a"].counts == [0, 4, 0]
