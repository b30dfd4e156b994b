"""The referee itself is refereed: what it must see it sees, and a seed always plays the same match."""

import http.client
import json
from pathlib import Path
from random import Random

import dns.flags
import dns.message
import dns.rrset
import pytest

from kdns.plugins import ORDER, OURS
from tests.differential import (
    acceptance,
    accepted,
    clusters,
    corefiles,
    live,
    packets,
    rounds,
    stanzas,
    upstream,
)
from tests.differential.api import Api, selects
from tests.differential.compare import Case
from tests.differential.expected import explain
from tests.differential.questions import Asked
from tests.differential.upstream import packed

LABELS = {"env": "prod", "tier": "front"}
WEB = {"kind": "Service", "metadata": {"name": "web", "namespace": "prod", "labels": LABELS}}


@pytest.mark.parametrize(
    ("selector", "is_selected"),
    [
        ("", True),
        ("env=prod", True),
        ("env==prod,tier", True),
        ("env = dev", False),
        ("env!=dev", True),
        ("other!=dev", True),
        ("!other", True),
        ("!env", False),
        ("env in (dev, prod),tier in (front)", True),
        ("env notin (dev,prod)", False),
        ("other notin (dev)", True),
        ("other in (dev)", False),
    ],
)
def test_label_selectors_mean_what_kubernetes_means(selector, is_selected):
    assert selects(selector, LABELS) is is_selected


PLUGINS = Path(__file__).parents[2] / "kdns/plugins"


def _lines(api: Api, query: str, count: int) -> list[dict]:
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=40)
    connection.request("GET", f"/api/v1/services?watch=true&{query}")
    reply = connection.getresponse()
    found = [json.loads(reply.readline()) for _ in range(count)]
    reply.close()
    connection.close()
    return found


def test_a_watch_list_ends_its_initial_events_with_a_marked_bookmark():
    with Api([WEB]) as api:
        first, second = _lines(api, "sendInitialEvents=true&allowWatchBookmarks=true", 2)
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "web")
    assert second["type"] == "BOOKMARK"
    assert "k8s.io/initial-events-end" in second["object"]["metadata"]["annotations"]


def test_a_watcher_sees_an_object_leave_its_selector_as_deleted():
    with Api([WEB]) as api:
        since = api.version
        api.put({**WEB, "metadata": {**WEB["metadata"], "labels": {}}})
        api.put(WEB)
        api.put(WEB)
        api.delete("Service", "prod", "web")
        seen = _lines(api, f"resourceVersion={since}&labelSelector=env%3Dprod", 4)
    assert [each["type"] for each in seen] == ["DELETED", "ADDED", "MODIFIED", "DELETED"]


def test_a_seed_always_makes_the_same_round():
    assert rounds.make("7.3", 50) == rounds.make("7.3", 50)
    assert rounds.make("7.3", 50) != rounds.make("7.4", 50)


def test_every_option_and_plugin_comes_up_within_a_run():
    seen = set().union(*(rounds.make(f"1.{i}", 1).config.words for i in range(120)))
    assert seen >= {*corefiles.OPTIONS, *corefiles.AROUND, "forward", "whoami", "kubernetes"}


def test_generated_objects_are_what_kubectl_would_print():
    for seed in range(20):
        for each in clusters.generate(Random(seed)).objects:
            assert json.loads(json.dumps(each)) == each
            assert {"apiVersion", "kind", "metadata"} <= each.keys()


def test_packets_all_differ():
    assert len(set(packets.PACKETS.values())) >= len(packets.PACKETS) - 2
    assert len(acceptance.written()) > 1500


def _reply(**changes) -> dns.message.Message:
    asked = dns.message.make_query("Web.prod.svc.cluster.local", "A", use_edns=0, payload=1232)
    asked.id = 0x1234
    reply = dns.message.make_response(asked, our_payload=1232)
    reply.flags |= dns.flags.AA
    rdata = changes.get("rdata", ("10.0.0.1", "10.0.0.2"))
    owner = changes.get("owner", "Web.prod.svc.cluster.local.")
    rrset = dns.rrset.from_text(owner, changes.get("ttl", 5), "IN", "A", *rdata)
    reply.answer = [rrset]
    reply.flags ^= changes.get("flags", 0)
    reply.set_rcode(changes.get("rcode", 0))
    if changes.get("edns", 1232) != 1232:
        reply.use_edns(0, 0, changes["edns"])
    return reply


def _case(theirs: bytes | None, ours: bytes | None, *, words: tuple[str, ...] = ()) -> Case:
    config = corefiles.Config(". {\n}\n", [], set(words), has_root_forward=True)
    return Case(
        Asked("service", packets.PACKETS["plain"], False, "x A"), config, None, theirs, ours
    )


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, set()),
        ({"rdata": ("10.0.0.2", "10.0.0.1")}, set()),
        ({"rdata": ("10.0.0.1",)}, {"answer"}),
        ({"owner": "web.prod.svc.cluster.local."}, {"answer"}),
        ({"ttl": 6}, {"answer"}),
        ({"flags": dns.flags.AA}, {"AA"}),
        ({"flags": dns.flags.RD}, {"RD"}),
        ({"rcode": 3}, {"rcode"}),
        ({"edns": 512}, {"edns"}),
    ],
    ids=str,
)
def test_what_differs_is_named(changes, fields):
    case = _case(packed(_reply()), packed(_reply(**changes)))
    assert case.differing == fields


def test_silence_differs_from_a_reply():
    assert "reply" in _case(_reply().to_wire(), None).differing


def test_only_a_cache_excuses_one_second_of_ttl():
    theirs, ours = _reply().to_wire(), _reply(ttl=4).to_wire()
    assert not _case(theirs, ours, words=("cache",)).differing
    assert _case(theirs, _reply(ttl=3).to_wire(), words=("cache",)).differing == {"answer"}


def test_ra_is_expected_and_nothing_else_with_it():
    ours = _reply(flags=dns.flags.RA | dns.flags.AA)
    assert explain(_case(_reply().to_wire(), ours.to_wire())) == ({"AA"}, ["ra"])


def test_the_scripted_resolver_truncates_over_udp_only():
    asked = dns.message.make_query("big.outside.test", "A").to_wire()
    small = dns.message.from_wire(upstream.reply(asked, 512), ignore_trailing=False)
    whole = dns.message.from_wire(upstream.reply(asked, 65535))
    assert small.flags & dns.flags.TC
    assert len(whole.answer[0]) == len(upstream.BIG)


def test_live_rounds_repeat_and_give_no_address_twice():
    for seed in ("1.live.0", "1.live.1", "1.live.2"):
        this, steps = live.make(seed)
        again = live.make(seed)
        assert this.config == again[0].config
        assert steps == again[1]
        assert any(step.puts for step in steps)
        current = {live.key_of(each): each for each in this.cluster.objects}
        for step in steps:
            for key in step.deletes:
                current.pop(key)
            current |= {live.key_of(each): each for each in step.puts}
            given = [ip for each in current.values() for ip in live.addresses(each)]
            assert len(given) == len(set(given))


def test_stanzas_cover_every_directive_of_coredns_that_we_have():
    ours = {path.stem for path in PLUGINS.glob("*.py")} & set(ORDER) - OURS
    assert stanzas.TABLE.keys() == ours
    lines = list(stanzas.lines())
    assert len(lines) == len(set(lines)) > 9000


def test_a_sample_has_all_vendors_and_repeats():
    few, is_all = acceptance.sample(Random("1"), 100)
    assert few == acceptance.sample(Random("1"), 100)[0]
    assert not is_all
    assert set(acceptance.vendors()) < set(few)
    assert acceptance.sample(Random("1"), 100_000)[1]


def test_what_differs_in_no_known_way_is_not_accepted():
    block = acceptance.block("whoami x")
    assert accepted.accepts(block, "", "Corefile:2: whoami: something new") == ""
    assert accepted.accepts(block, "", "Corefile:2: a: expected a zone, found ''") == "odd-names"
    assert accepted.accepts(block, "expected a zone, found ''", "") == ""
