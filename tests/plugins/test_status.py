"""status: who may be served, what is counted, and what a process pays for it."""

import tracemalloc

import pytest

from kdns.corefile.tree import ConfigError
from kdns.observe.catalogue import DURATIONS
from kdns.observe.counters import Histogram
from kdns.plugins.base import Endpoint, Hit, Hits, HttpReply, Seen
from kdns.plugins.status import DROPPED, Status
from kdns.wire import names, types
from kdns.wire.encode import encode
from kdns.wire.message import Answer
from kdns.wire.names import ROOT
from tests import fakes
from tests.certificates import Authority
from tests.serving import Serving, mistakes


def made(text="status", **site):
    return fakes.plugins(text, fakes.site(**site), Status)[0]


def seen(name="a.example", *, rcode=0, plugin="hosts", took=0.0001, who=None, is_dropped=False):
    question = fakes.question(name)
    packet = encode(question, Answer(), types.RD).wire
    reply = encode(question, Answer(rcode=rcode), types.QR | types.RD).wire
    told = None if is_dropped else reply
    return Seen(packet, who or fakes.client(), told, plugin, ROOT, 1000.0, 1000.0 + took)


def hits(*found, callers=(), transport="udp"):
    latency = Histogram(DURATIONS)
    latency.observe(0.0001, sum(hit.count for hit in found))
    return Hits(ROOT, fakes.client(transport=transport), list(found), latency, list(callers))


def hit(name="a.example", *, count=1, rcode=0, plugin="hosts"):
    packet = encode(fakes.question(name), Answer(), types.RD).wire
    return Hit(packet, len(packet), types.A, False, 40, rcode, plugin, count, 0)


# Who may be served


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("", ("127.0.0.1", 9154)),
        ("localhost:9999", ("localhost", 9999)),
        ("[::1]:9154", ("::1", 9154)),
        ("127.0.0.9:1", ("127.0.0.9", 1)),
    ],
)
def test_the_loopback_needs_nothing(words, address):
    assert made(f"status {words}").address == address


@pytest.mark.parametrize("address", [":9154", "0.0.0.0:9154", "10.0.0.1:9154", "host:1", "[::]:1"])
@pytest.mark.parametrize("options", ["", "{\n token t\n}", "{\n tls t\n}"])
def test_what_others_can_reach_needs_a_token_and_tls(address, options):
    with pytest.raises(ConfigError, match=r"needs a token and TLS \(give both `token FILE`"):
        made(f"status {address} {options}")
    assert made(f"status {address} {{\n token t\n tls w\n}}", root="/etc").web == "/etc/w"


def test_two_blocks_that_share_an_address_agree_on_who_may_read_it():
    one, other = "status {\n token a\n}", "status {\n token b\n}"
    text = ".:0 {{\n {}\n whoami\n}}\nexample.org:0 {{\n {}\n whoami\n}}\n"
    assert not mistakes(text.format(one, one))
    [why] = mistakes(text.format(one, other))
    assert "another block serves this address with other options" in why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot read"),
        (b"", "0 characters, fewer than 16"),
        (b" \n" * 20, "0 characters"),
        (b"short\n", "5 characters"),
    ],
)
async def test_a_token_that_is_none_is_an_error_at_start(tmp_path, content, why):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    plugin = made("status {\n token token\n}", root=str(tmp_path))
    with pytest.raises(ConfigError, match=why) as caught:
        plugin.look()
    assert "head -c 24 /dev/urandom" in caught.value.hint
    with pytest.raises(ConfigError):
        await plugin.start()


def test_a_good_token_will_do(tmp_path):
    (tmp_path / "token").write_bytes(b"0123456789abcdef\n")
    made("status {\n token token\n}", root=str(tmp_path)).look()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot read"),
        ("", "asks for no TLS"),
        ("tls_server_config:\n  cert_file: a\n  key_file: b\n", "no certificate"),
    ],
)
def test_tls_that_is_none_is_an_error_at_start(tmp_path, content, why):
    if content is not None:
        (tmp_path / "web.yaml").write_text(content)
    with pytest.raises(ConfigError, match=why):
        made("status {\n tls web.yaml\n}", root=str(tmp_path)).look()


def test_tls_as_prometheus_takes_it(tmp_path):
    Authority(tmp_path).issue()
    (tmp_path / "web.yaml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
    )
    made("status {\n tls web.yaml\n}", root=str(tmp_path)).look()


# What is counted


def test_answers_of_the_chain_are_counted_one_by_one():
    board = (plugin := made()).board
    plugin.observe([seen(), seen("b.example", rcode=3, took=0.3), seen(is_dropped=True)])
    plugin.observe([seen(plugin="cache", who=fakes.client(transport="tcp"))])
    assert dict(board.codes) == {0: 2, 3: 1, DROPPED: 1}
    assert dict(board.plugins) == {"hosts": 3, "cache": 1}
    assert dict(board.transports) == {"udp": 3, "tcp": 1}
    assert (board.kept, board.hits) == (1, 0)
    assert sum(board.latency) == 4
    assert board.latency[0] == 3
    assert [names.format(one.key) for one in board.lists.missing.top(9)] == ["b.example."]


def test_what_the_table_gave_is_counted_as_sums():
    board = (plugin := made()).board
    callers = [(b"\x0a\0\0\1", 8)]
    plugin.observe_hits(hits(hit(count=6), hit("no.example", count=2, rcode=3), callers=callers))
    assert dict(board.codes) == {0: 6, 3: 2}
    assert (board.hits, board.latency[0]) == (8, 8)
    assert [(one.key, one.least) for one in board.lists.clients.top(9)] == callers
    assert [(one.least) for one in board.lists.missing.top(9)] == [2]


def test_memory_is_bounded_whatever_is_asked():
    plugin = made()
    batch = [seen(f"{at}.example", rcode=3) for at in range(64)]

    def ask(count):
        for at in range(count):
            packet = batch[0].packet
            changed = packet[:13] + b"%08x" % at + packet[21:]
            plugin.observe([Seen(changed, fakes.client(f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}"),
                                 batch[0].reply, "hosts", ROOT, 1000.0, 1000.0)])  # fmt: skip

    batch[0] = seen("abcdefgh.example", rcode=3)
    ask(3000)
    tracemalloc.start()
    ask(20_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 300_000, grown


# One page in a process


def test_nothing_is_served_where_nobody_makes_the_page():
    assert made().endpoints() == ()


async def served(_query):
    return HttpReply(200, b"here")


def page(plugin):
    return [Endpoint(*plugin.address, "/", served)]


TWO = "a.example:0 {\n status 127.0.0.1:0\n whoami\n}\nb.example:0 {\n status 127.0.0.1:0\n whoami\n}\n"


async def test_blocks_share_what_is_counted_and_it_outlives_a_reload(tmp_path):
    serving = Serving(TWO, tmp_path)
    serving.services.life.page = page
    async with serving:
        first, second = [one for one in serving.services.life.plugins if one.name == "status"]
        assert first.board is second.board
        first.observe([seen()])
        assert await serving.reload(TWO.replace("whoami", "any\n whoami", 1))
        again = next(one for one in serving.services.life.plugins if one.name == "status")
        assert again is not first
        assert again.board.codes[0] == 1


CLUSTER = ".:0 {{\n {}\n kubernetes cluster.local {{\n manifests {}\n }}\n}}\n"


async def test_clusters_are_written_down_only_while_a_block_names_a_page(tmp_path):
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    bare = CLUSTER.format("", tmp_path / "a.yaml")
    async with Serving(bare, tmp_path) as serving:
        [kubernetes] = serving.services.life.plugins
        feed = kubernetes.cluster._feed
        assert feed.recorder is None
        assert await serving.reload(CLUSTER.format("status 127.0.0.1:0", tmp_path / "a.yaml"))
        status = next(one for one in serving.services.life.plugins if one.name == "status")
        assert feed.recorder is not None
        assert [line.what for line in status.board.chronicle.after(0, 9)[0]] == [
            "listed: 0 services"
        ]
        assert await serving.reload(bare)
        assert feed.recorder is None
        assert kubernetes.cluster.store.noted is None


async def test_workers_beside_the_lead_write_nothing_down(tmp_path):
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    serving = Serving(CLUSTER.format("status 127.0.0.1:0", tmp_path / "a.yaml"), tmp_path)
    serving.services.life.is_lead = False
    async with serving:
        kubernetes = next(one for one in serving.services.life.plugins if one.name != "status")
        assert kubernetes.cluster._feed.recorder is None
