"""view: which block takes a query, and that nobody gets what was made for another view."""

import logging

import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.observe.exposition import render
from kdns.plugins.base import Ledger, Query
from kdns.plugins.metadata import Metadata
from kdns.plugins.view import View
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from tests import fakes


class World:
    """A Corefile behind one pipeline with an answer table."""

    def __init__(self, corefile: str, transport: str = "udp") -> None:
        self.services = Services()
        errors: list[Exception] = []
        self.assembly = build(corefile, "Corefile", self.services, errors)
        assert not errors
        [router] = self.assembly.routers.values()
        services, self.transport = self.services, transport
        self.table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
        self.pipeline = Pipeline(
            router, services.stamps, services.counters, services.clock, services.chance,
            table=self.table,
        )  # fmt: skip
        self.hits = 0

    async def start(self) -> "World":
        for plugin in self.assembly.plugins:
            await plugin.start()
        return self

    async def ask(
        self, address: str, name: str = "a.example.org", type_: str = "A", **q: object
    ) -> str:
        who = fakes.client(address, self.transport)
        packet = dns.message.make_query(name, type_, id=7, **q).to_wire()
        reply = self.pipeline.recall(packet, who.address, self.services.clock())
        self.hits += reply is not None
        if reply is None:
            reply = await self.pipeline.respond(packet, who, self.services.clock())
        message = dns.message.from_wire(reply)
        if message.rcode():
            return message.rcode().name
        return " ".join(str(rdata) for rrset in message.answer for rdata in rrset)


def views(*rows: str) -> str:
    """Blocks of one zone, each with its expressions; the Nth answers 10.0.0.N."""
    out = ""
    for at, row in enumerate(rows, 1):
        view = (
            f"view v{at} {{\n" + "".join(f'expr "{one}"\n' for one in row.split(";") if one) + "}\n"
        )
        out += f"example.org {{\n{view}hosts {{\n10.0.0.{at} a.example.org\n}}\n}}\n"
    return out


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            ["incidr(client_ip(), '10.1.0.0/16')", "incidr(client_ip(), '10.0.0.0/8')", "true"],
            {"10.1.0.1": "10.0.0.1", "10.2.0.1": "10.0.0.2", "192.0.2.1": "10.0.0.3"},
            id="nets",
        ),
        pytest.param(
            ["client_ip() in ['10.1.0.1', 'fd00::1']", "true"],
            {"10.1.0.1": "10.0.0.1", "fd00::1": "10.0.0.1", "10.1.0.2": "10.0.0.2"},
            id="addresses",
        ),
        pytest.param(
            ["any(['10.1.0.0/16', 'fd00::/8'], incidr(client_ip(), #)) and type() == 'A'", ""],
            {"10.1.0.1": "10.0.0.1", "fd00::1": "10.0.0.1", "10.2.0.1": "10.0.0.2"},
            id="several nets, and a view without expressions",
        ),
        pytest.param(
            ["incidr(client_ip(), '10.0.0.0');true", "not incidr(client_ip(), '10.1.0.0/16')"],
            {"10.1.0.1": "REFUSED", "10.2.0.1": "10.0.0.2"},
            id="what cannot be evaluated is not matched",
        ),
    ],
)
async def test_clients_get_their_own_view_and_all_from_the_table(rows, expected):
    for order in (list(expected), list(expected)[::-1]):
        world = await World(views(*rows)).start()
        for _ in range(6):
            for address in order:
                assert await world.ask(address) == expected[address], address
        assert world.hits >= 3 * len(expected), "the table was never asked"


@pytest.mark.parametrize(
    ("expression", "first", "second"),
    [
        ("type() == 'A'", {}, {"type_": "AAAA"}),
        ("name() startsWith 'a.'", {}, {"name": "b.example.org"}),
        ("do()", {"want_dnssec": True}, {}),
        ("size() < 40", {}, {"use_edns": True, "payload": 900}),
        (
            "bufsize() == 1000",
            {"use_edns": True, "payload": 1000},
            {"use_edns": True, "payload": 900},
        ),
        ("opcode() == 0 and class() == 'IN'", {}, None),
        ("proto() == 'udp' and server_port() == '53' and server_ip() == '127.0.0.1'", {}, None),
        ("id() == 7 and port() == '40000'", {}, None),
    ],
)
async def test_views_by_the_question(expression, first, second):
    rows = [expression, "true"]
    corefile = views(*rows).replace("a.example.org", "a.example.org b.example.org")
    corefile = corefile.replace("hosts {\n10.0.0.1", "hosts {\n::1 a.example.org\n10.0.0.1")
    corefile = corefile.replace("hosts {\n10.0.0.2", "hosts {\n::2 a.example.org\n10.0.0.2")
    world = await World(corefile).start()
    for _ in range(5):
        assert (await world.ask("10.1.0.1", **first))[-1] == "1"
        if second is not None:
            assert (await world.ask("10.1.0.1", **second))[-1] == "2"


@pytest.mark.parametrize(
    ("expression", "remembered"),
    [
        ("type() == 'A' and name() != 'b.' and do() == false and opcode() == 0", True),
        ("proto() == 'udp' and server_port() == '53' and class() == 'IN'", True),
        ("incidr(client_ip(), '10.0.0.0/8')", True),
        ("client_ip() == '10.1.0.1'", True),
        ("client_ip() != name()", False),
        ("id() == 7", False),
        ("port() != ''", False),
        ("size() > 0", False),
        ("bufsize() > 0", False),
        ("server_ip() != ''", False),
    ],
)
async def test_what_an_expression_reads_says_who_may_share_the_answer(expression, remembered):
    world = await World(views(expression)).start()
    for _ in range(5):
        assert await world.ask("10.1.0.1") == "10.0.0.1"
    assert (world.hits > 0) is remembered


async def test_the_address_that_was_asked_costs_nothing_where_there_is_one():
    world = await World(
        "example.org {\nbind 127.0.0.1\n" + views("server_ip() != ''").partition("{\n")[2]
    ).start()
    for _ in range(5):
        assert await world.ask("10.1.0.1") == "10.0.0.1"
    assert world.hits


async def test_no_view_takes_it_and_a_shorter_zone_does():
    corefile = views("false") + "org {\nhosts {\n10.0.0.9 a.example.org\n}\n}\n"
    world = await World(corefile).start()
    assert [await world.ask("10.1.0.1") for _ in range(3)] == ["10.0.0.9"] * 3
    assert await (await World(views("false")).start()).ask("10.1.0.1") == "REFUSED"


LABELS = """example.org {{
 {metadata}
 view labels {{
  expr metadata('test/net') == 'ten'
 }}
 hosts {{
  10.0.0.1 a.example.org
 }}
}}
example.org {{
 hosts {{
  10.0.0.2 a.example.org
 }}
}}
"""


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [("metadata", "10.0.0.1"), ("metadata other.", "10.0.0.2"), ("errors", "10.0.0.2")],
)
async def test_labels_are_collected_before_the_view_is_judged(metadata, expected):
    world = await World(LABELS.format(metadata=metadata)).start()
    for plugin in world.assembly.plugins:
        if isinstance(plugin, View):
            plugin.site.beside["metadata"] = [_offer]
    for _ in range(4):
        assert await world.ask("10.1.0.1") == expected
        assert await world.ask("192.0.2.1") == "10.0.0.2"


class _Tens:
    @staticmethod
    def classify(address: bytes) -> bool:
        return address[0] == 10


def _offer(query):
    def net() -> str:
        query.reads_class(_Tens)
        return "ten" if _Tens.classify(query.client.address) else "other"

    query.note("test/net", net)


async def test_labels_of_a_block_that_did_not_take_the_query_are_gone():
    made = fakes.chain("metadata\nview a {\nexpr metadata('a/b') == 'x'\n}", Metadata, View)
    metadata, view = made.plugins
    made.site.beside["metadata"] = [lambda query: query.note("a/b", lambda: "y")]
    query = _query(made)
    assert not view.takes(query)
    assert query.ledger.metadata is None
    made.site.beside["metadata"] = [lambda query: query.note("a/b", lambda: "x")]
    assert view.takes(query)
    assert query.meta("a/b") == "x"
    assert metadata.name == "metadata"


def _query(made):
    ledger = Ledger(made.site.stamps, made.route)
    return Query.of(fakes.question("a.example.org"), fakes.client(), 0.0, ledger)


async def test_what_can_never_be_true_is_named(caplog):
    made = fakes.chain("view a {\nexpr name()\n}", View)
    with caplog.at_level(logging.WARNING):
        await made.plugins[0].start()
    assert "expr name() is never true: it is a string; compare it" in caplog.text
    assert not made.plugins[0].takes(_query(made))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("view", "end of the line"),
        ("view a b", "'b'"),
        ("view a {\nfoo\n}", "unknown option"),
        ("view a {\nexpr\n}", "end of the line"),
        ("view a {\nexpr foo\n}", "unknown name foo (1:1)"),
        ('view a {\nexpr type() == "A"\n}', "single quotes"),
        ("view a {\nexpr name() == 1\n}", "string == int (1:8)"),
        ("view a {\nexpr incidr(client_ip(), 1)\n}", "needs string, found int"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        fakes.chain(text, View)
    assert why in str(caught.value)


async def test_its_name_is_the_label_of_metrics():
    rows = views("incidr(client_ip(), '10.0.0.0/8')", "true").replace(
        "view v", "prometheus :0\nview v"
    )
    world = await World(rows).start()
    for address in ("10.1.0.1", "192.0.2.1", "192.0.2.1"):
        await world.ask(address)
    world.pipeline.tell()
    page = await render(world.services.counters, world.services.clock)
    found = {
        line for line in page.decode().splitlines() if line.startswith("coredns_dns_responses")
    }
    start = 'coredns_dns_responses_total{server="dns://:53",zone="example.org.",view="v'
    end = '",rcode="NOERROR",plugin="hosts"} '
    assert found == {f"{start}1{end}1", f"{start}2{end}2"}


POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}
"""
NAMESPACES = """. {{
 metadata
 view shop {{
  expr metadata('kubernetes/client-namespace') == 'shop'
 }}
 hosts {{
  10.0.0.1 a.cluster.local
  fallthrough
 }}
 kubernetes cluster.local {{
  manifests {path}
  pods verified
 }}
}}
. {{
 hosts {{
  10.0.0.2 a.cluster.local
 }}
}}
"""


@pytest.mark.parametrize("order", [["10.1.0.1", "10.1.0.2"], ["10.1.0.2", "10.1.0.1"]])
async def test_views_by_the_namespace_of_the_client(tmp_path, order):
    (tmp_path / "pod.yaml").write_text(POD)
    world = World(NAMESPACES.format(path=tmp_path))
    async with fakes.at_work(world.assembly.plugins, world.assembly.shared) as failures:
        for _ in range(5):
            for address in order:
                expected = "10.0.0.1" if address == "10.1.0.1" else "10.0.0.2"
                assert await world.ask(address, "a.cluster.local") == expected
        assert not failures


async def test_of_several_views_of_the_parent_the_last_takes_ds():
    """CoreDNS: a search for the parent goes on, and each block it comes by takes the query."""
    answers = [f'template IN ANY . {{\nanswer "{{{{ .Name }}}} TXT v{at}"\n}}\n' for at in (1, 2)]
    blocks = [f"example.org {{\nview v {{\nexpr true\n}}\n{one}}}\n" for one in answers]
    world = await World("".join(blocks)).start()
    assert await world.ask("10.1.0.1", type_="TXT") == '"v1"'
    assert await world.ask("10.1.0.1", type_="DS") == '"v2"'


async def test_of_several_views_of_the_root_the_first_takes_ds():
    """CoreDNS: the root is no parent to go on to, only what is left when nobody has the name."""
    answers = [f'template IN ANY . {{\nanswer "{{{{ .Name }}}} TXT v{at}"\n}}\n' for at in (1, 2)]
    blocks = [f". {{\nview v {{\nexpr true\n}}\n{one}}}\n" for one in answers]
    world = await World("".join(blocks)).start()
    assert await world.ask("10.1.0.1", type_="DS") == '"v1"'


@pytest.mark.parametrize(("transport", "size"), [("udp", 512), ("tcp", 65535), ("tls", 65535)])
async def test_who_says_no_size_takes_what_the_transport_does(transport, size):
    world = await World(views(f"bufsize() == {size}", "true")).start()
    world.transport = transport
    assert (await world.ask("10.1.0.1"))[-1] == "1"
