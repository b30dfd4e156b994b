"""template: every row was first seen from CoreDNS 1.15.0, but for those that say otherwise."""

import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP, Query
from kdns.plugins.hosts import Hosts
from kdns.plugins.metadata import Metadata
from kdns.plugins.template import Template
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import types
from tests import fakes

Q = r"\""


def chain(text: str) -> fakes.Chain:
    return fakes.chain(text, Template, Hosts)


async def rows(made: fakes.Chain, name: str, type_: str = "A", **q: object) -> object:
    answer = await made.ask(name, type_, **q)
    if answer is SKIP:
        return "skip"
    reply = await made.dig(name, type_, **q)
    if reply.rcode() and not reply.answer:
        return reply.rcode().name
    lines = []
    for rrset in reply.answer:
        lines += rrset.to_text().split("\n")
    return lines


IP = """template IN A example.org {
  match ^ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)[.]example[.]org[.]$
  answer "{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ .Group.b }}"
}"""


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        pytest.param("ip-1-2.example.org", "A", ["ip-1-2.example.org. 60 IN A 10.0.1.2"], id="hit"),
        pytest.param(
            "IP-1-2.Example.org", "A", ["IP-1-2.Example.org. 60 IN A 10.0.1.2"], id="any case"
        ),
        pytest.param("x.example.org", "A", "SERVFAIL", id="no match"),
        pytest.param("ip-1-2.example.org", "AAAA", "skip", id="another type"),
        pytest.param("x.net", "A", "skip", id="another zone"),
        pytest.param("ip-1-999.example.org", "A", "SERVFAIL", id="a record that is none"),
    ],
)
async def test_a_match_fills_the_record(name: str, type_: str, expected: object) -> None:
    assert await rows(chain(IP), name, type_) == expected


@pytest.mark.parametrize(
    ("text", "name", "type_", "expected"),
    [
        pytest.param("template IN A a.org", "a.org", "A", [], id="nothing to say is NODATA"),
        pytest.param("template ANY ANY a.org {\nrcode NXDOMAIN\n}", "a.org", "MX", "NXDOMAIN",
                     id="ANY"),
        pytest.param("template IN AAAA {\nanswer \"a.org {{ .Class }} TXT {{ .Type }}\"\n}", "a.org",
                     "ANY", ['a.org. 3600 IN TXT "AAAA"'], id="asked for ANY"),
        pytest.param("template IN A {\nrcode SERVFAIL\nanswer \"bogus\"\n}", "a.org", "A",
                     "SERVFAIL", id="SERVFAIL stands for itself"),
        pytest.param("template IN A a.org {\nmatch x\nfallthrough\n}\n"
                     "template IN A {\nanswer \"a.org A 9.9.9.9\"\n}",
                     "a.org", "A", ["a.org. 3600 IN A 9.9.9.9"], id="falls to the next template"),
        pytest.param("template IN A a.org {\nmatch x\nfallthrough b.a.org\n}\n"
                     "template IN A {\nanswer \"a.org A 9.9.9.9\"\n}",
                     "a.org", "A", "SERVFAIL", id="falls only in its zones"),
        pytest.param("template IN A {\nmatch zz b\nmatch ^(.)\n"
                     "answer \"{{ .Name }} TXT {{ .Match }}\"\n}",
                     "a.org", "A", ['a.org. 3600 IN TXT "[a" "a]"'], id="first regex that matches"),
        pytest.param("template IN A {\nmatch A\n}", "A.org", "A", "SERVFAIL",
                     id="matched in lower case"),
        pytest.param("template IN A 10.0.0.0/15 {\nanswer \"{{ .Zone }} 5 A 1.1.1.1\"\n}",
                     "1.1.10.in-addr.arpa", "A", ["1.10.in-addr.arpa. 5 IN A 1.1.1.1"],
                     id="address block as zones"),
        pytest.param("template IN A {\nanswer \"{{ .Name }} A 1.2.3.4\" \"{{ .Name }} A 1.2.3.5\""
                     "\nanswer \"{{ .Name }} 7 A 1.2.3.6\"\n}", "a.org", "A",
                     ["a.org. 7 IN A 1.2.3.4", "a.org. 7 IN A 1.2.3.5", "a.org. 7 IN A 1.2.3.6"],
                     id="several records"),
        pytest.param(f'template IN TXT {{\nanswer "{{{{ .Name }}}} TXT {Q}{{{{ .Class }}}} '
                     f"{{{{ .Type }}}} {{{{ .Zone }}}} {{{{ .Question.Qtype }}}} "
                     f'{{{{ .Message.RecursionDesired }}}} {{{{ .Message.Question }}}}{Q}"\n}}',
                     "a.org", "TXT", ['a.org. 3600 IN TXT "IN TXT . 16 true [{a.org. 16 1}]"'],
                     id="what a template can read"),
        pytest.param('template IN A {\nanswer "x"\n}', "a.org", "A", "SERVFAIL", id="half a record"),
        pytest.param('template IN A {\nanswer "{{ .Name }} A {{ index .Match 9 }}"\n}', "a.org",
                     "A", "SERVFAIL", id="a template that fails"),
    ],
)  # fmt: skip
async def test_answers(text: str, name: str, type_: str, expected: object) -> None:
    assert await rows(chain(text), name, type_) == expected


async def test_failures_say_why_and_are_counted() -> None:
    made = chain('template IN A {\nanswer "{{ .Name }} A 1.2.3.x"\n}')
    answer = await made.ask("a.org")
    assert answer is not SKIP
    assert "A: " in answer.error
    values = made.site.counters.values
    assert values[("coredns_template_matches_total", "dns://:53", ".", "", "IN", "A")] == 1
    (failure,) = [key for key in values if key[0] == "coredns_template_rr_failures_total"]
    assert failure[1:] == ("dns://:53", ".", "", "IN", "A", "answer", "{{ .Name }} A 1.2.3.x")


async def test_sections_code_and_extended_error() -> None:
    made = chain(
        'template IN A {\nrcode REFUSED\nadditional "x A 1.2.3.4"\n'
        'authority "org NS ns.org"\nederror 15 "Blocked"\n}'
    )
    reply = await made.dig("a.org", has_opt=True)
    assert reply.rcode() == types.REFUSED
    assert [rrset.to_text() for rrset in reply.authority] == ["org. 3600 IN NS ns.org."]
    assert [rrset.to_text() for rrset in reply.additional] == ["x. 3600 IN A 1.2.3.4"]
    assert [(option.code, option.text) for option in reply.options] == [(15, "Blocked")]


CNAME = 'template IN {} a.org {{\nanswer "a.org CNAME t.org"\n}}\nhosts /nonexistent {{\n10.0.0.1 t.org\n}}'


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("A", ["a.org. 3600 IN CNAME t.org.", "t.org. 3600 IN A 10.0.0.1"]),
        ("AAAA", ["a.org. 3600 IN CNAME t.org."]),
        ("MX", ["a.org. 3600 IN CNAME t.org."]),
        ("CNAME", ["a.org. 3600 IN CNAME t.org."]),
    ],
)
async def test_cnames_are_completed_for_addresses(type_: str, expected: list[str]) -> None:
    assert await rows(chain(CNAME.format(type_)), "a.org", type_) == expected


async def test_a_chain_of_templates_is_followed() -> None:
    made = chain(
        'template IN A a.org {\nanswer "a.org CNAME b.org"\n}\n'
        'template IN A b.org {\nanswer "b.org CNAME c.org"\n}\nhosts /x {\n10.0.0.1 c.org\n}'
    )
    assert await rows(made, "a.org") == [
        "a.org. 3600 IN CNAME b.org.",
        "b.org. 3600 IN CNAME c.org.",
        "c.org. 3600 IN A 10.0.0.1",
    ]


async def test_a_cname_that_leads_to_itself_ends() -> None:
    """CoreDNS never answers this one."""
    looped = chain('template IN A a.org {\nanswer "a.org CNAME a.org"\n}')
    assert await rows(looped, "a.org") == ["a.org. 3600 IN CNAME a.org."]
    growing = chain('template IN A a.org {\nanswer "{{ .Name }} CNAME b.{{ .Name }}"\n}')
    found = await rows(growing, "a.org")
    assert isinstance(found, list)
    assert len(found) <= 11
    assert not growing.ledger.keep


@pytest.mark.parametrize(
    ("field", "keeps"),
    [
        ("{{ .Name }}", True),
        ("{{ .Remote }}", False),
        ("x{{ .Meta `a/b` }}", True),
        ("{{ .Message.Id }}", False),
        ("{{ if eq .Type `A` }}no{{ else }}{{ .Remote }}{{ end }}", True),
    ],
)
async def test_what_reads_the_asker_is_for_this_asker(field: str, keeps: bool) -> None:
    made = chain(f'template IN ANY {{\nanswer "{{{{ .Name }}}} TXT {field}"\n}}')
    assert await rows(made, "a.org") != "SERVFAIL"
    assert made.ledger.keep is keeps


async def test_remote_is_the_address_of_the_asker() -> None:
    made = chain('template IN A {\nanswer "{{ .Name }} A {{ .Remote }}"\n}')
    reply = await made.dig("a.org", "A", fakes.client("10.7.7.7"))
    assert str(reply.answer[0][0]) == "10.7.7.7"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("template", "expected a class", id="no class"),
        pytest.param("template IN", "expected a record type", id="no type"),
        pytest.param("template XX A", "expected a class", id="bad class"),
        pytest.param("template IN FOO", "expected a record type", id="bad type"),
        pytest.param("template IN A {\nmatch (\n}", "regular expression", id="bad regex"),
        pytest.param("template IN A {\nmatch\n}", "end of the line", id="no regex"),
        pytest.param("template IN A {\nanswer\n}", "end of the line", id="no record"),
        pytest.param("template IN A {\nrcode foo\n}", "response code", id="bad code"),
        pytest.param("template IN A {\nederror x\n}", "whole number", id="bad extended code"),
        pytest.param("template IN A {\nfoo\n}", "unknown option", id="unknown option"),
        pytest.param('template IN A {\nanswer "{{ foo }}"\n}', "not defined", id="no function"),
        pytest.param(
            'template IN A {\nanswer "{{ .Nmae }}"\n}', "there are Class, Group", id="field"
        ),
        pytest.param('template IN A {\nanswer "{{ if }}"\n}', "missing value", id="bad syntax"),
        pytest.param("template IN A {\nexpr\n}", "end of the line", id="no expression"),
        pytest.param("template IN A {\nexpr foo\n}", "unknown name foo", id="expr"),
        pytest.param("template IN A {\nexpr x\nvar x 1\n}", "unknown name x", id="order"),
        pytest.param("template IN A {\nvar x\n}", "end of the line", id="no value"),
        pytest.param("template IN A {\nvar x 1\nvar x 2\n}", "name x is taken", id="twice"),
        pytest.param("template IN A {\nvar len 1\n}", "name len is taken", id="function"),
        pytest.param("template IN A {\nvar true 1\n}", "name true is taken", id="constant"),
        pytest.param("template IN A {\nvar in 1\n}", "name in is taken", id="word"),
        pytest.param("template IN A {\nvar group 1\n}", "name group is taken", id="own function"),
        pytest.param("template IN A {\nvar x-y 1\n}", "'x-y' cannot be", id="no name"),
        pytest.param("template IN A {\nvar x 1\nexpr x == 'a'\n}", "int == string", id="kinds"),
        pytest.param("template IN A {\nvar x 1\nexpr x()\n}", "unknown function x", id="called"),
        pytest.param("template IN A {\nexpr group('a') == 1\n}", "string == int", id="a group"),
    ],
)
def test_mistakes_name_file_and_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        chain(text)
    assert caught.value.file == "Corefile"
    assert caught.value.line in {2, 3, 4}


async def test_hits_of_the_table_are_counted_too() -> None:
    made = chain(IP)
    await made.ask("ip-1-2.example.org")
    (credit,) = made.ledger.credits
    credit.hits += 4
    labels = ("dns://:53", "example.org.", "", "IN", "A")
    assert made.site.counters.values[("coredns_template_matches_total", *labels)] == 5


async def test_metrics_name_the_type_of_the_template() -> None:
    made = chain('template IN AAAA {\nanswer "{{ .Name }} 60 IN AAAA fd00::1"\n}')
    await made.ask("a.example", "ANY")
    await made.ask("a.example", "AAAA")
    labels = ("dns://:53", ".", "", "IN", "AAAA")
    assert made.site.counters.values[("coredns_template_matches_total", *labels)] == 2


async def test_types_without_a_name_are_one_row_whoever_makes_them_up() -> None:
    made = chain('template ANY ANY {\nanswer "{{ .Name }} 60 IN TXT x"\n}')
    for number in range(65000, 65100):
        await made.ask("a.example", f"TYPE{number}")
    rows = [row for row in made.site.counters.values if row[0] == "coredns_template_matches_total"]
    assert rows == [("coredns_template_matches_total", "dns://:53", ".", "", "IN", "")]
    assert made.site.counters.values[rows[0]] == 100


EXPRESSIONS = """template IN TXT no.test {
  expr false
  answer "{{ .Name }} TXT no"
}
template IN TXT fell.test {
  expr name() startsWith 'x'
  answer "{{ .Name }} TXT x"
  fallthrough
}
template IN TXT fell.test {
  answer "{{ .Name }} TXT fell"
}
template IN TXT one.test {
  expr 1
  answer "{{ .Name }} TXT one"
  fallthrough
}
template IN TXT error.test {
  var x 1 % (id() - id())
  answer "{{ .Name }} TXT {{ .Var.x }}"
  fallthrough
}
template IN TXT vars.test {
  match "^(?P<h>[^.]+)[.](?P<r>.*)$"
  var up upper(group('h'))
  var n group(1)
  var l split(name(), '.')
  var y len(l)
  var m {a: 1, b: 'x'}
  var f 1.5
  var t y > 2
  expr group(2) endsWith 'test.'
  answer "{{ .Name }} TXT {{ .Var.up }} {{ .Var.n }} {{ index .Var.l 0 }} {{ .Var.y }} {{ .Var.f }} {{ .Var.t }} {{ .Var.m.b }}"
}
template IN TXT groups.test {
  match "^(?P<h>x)[.]"
  match "^(?P<k>y)[.]"
  expr group('k') == 'y' and group('nope') == '' and group(9) == '' and group(true) == ''
  answer "{{ .Name }} TXT {{ .Match }}"
}
template IN TXT whole.test {
  var x 1
  expr group(0) == name() and group('0') == name()
  answer "{{ .Name }} TXT j{{ .Var.y }} {{ .Var }}"
}
template IN TXT asker.test {
  expr type() == 'TXT' and class() == 'IN' and opcode() == 0 and not do() and proto() == 'udp'
  expr incidr(client_ip(), '10.0.0.0/8')
  answer "{{ .Name }} TXT inside"
  fallthrough
}
template IN TXT asker.test {
  answer "{{ .Name }} TXT outside"
}
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no.test", "SERVFAIL"),
        ("fell.test", '"fell"'),
        ("one.test", "SERVFAIL"),
        ("error.test", "SERVFAIL"),
        ("host.vars.test", '"HOST" "host" "host" "4" "1.5" "true" "x"'),
        ("x.groups.test", "SERVFAIL"),
        ("y.groups.test", '"[y." "y]"'),
        ("whole.test", '"j<no" "value>" "map[x:1]"'),
    ],
)
async def test_variables_and_expressions(name: str, expected: str) -> None:
    found = await rows(chain(EXPRESSIONS), name, "TXT")
    assert found == (expected if expected == "SERVFAIL" else [f"{name}. 3600 IN TXT {expected}"])


@pytest.mark.parametrize("order", [["10.1.0.1", "192.0.2.1"], ["192.0.2.1", "10.1.0.1"]])
async def test_a_class_of_askers_shares_an_answer(order: list[str]) -> None:
    services, errors = Services(), []
    assembly = build(f"test {{\n{EXPRESSIONS}\n}}\n", "Corefile", services, errors)
    assert not errors
    [router] = assembly.routers.values()
    table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
    pipeline = Pipeline(
        router, services.stamps, services.counters, services.clock, services.chance, table=table
    )
    packet = dns.message.make_query("asker.test", "TXT", id=7).to_wire()
    hits = 0
    for _ in range(5):
        for address in order:
            who = fakes.client(address)
            reply = pipeline.recall(packet, who.address, services.clock())
            hits += reply is not None
            if reply is None:
                reply = await pipeline.respond(packet, who, services.clock())
            expected = '"inside"' if address.startswith("10.") else '"outside"'
            assert str(dns.message.from_wire(reply).answer[0][0]) == expected
    assert hits >= 4  # remembered on second sight


async def test_labels_say_by_themselves_what_they_read() -> None:
    text = "template IN TXT {\nexpr metadata('a/b') == 'c'\nanswer \"{{ .Name }} TXT {{ .Meta `a/b` }}\"\n}"
    made = fakes.chain(f"metadata\n{text}", Metadata, Template)
    made.site.beside["metadata"] = [lambda query: query.note("a/b", lambda: "c")]
    assert await rows(made, "a.test", "TXT") == ['a.test. 3600 IN TXT "c"']
    assert made.ledger.keep

    def personal(query: Query) -> None:
        query.note("a/b", lambda: (query.reads_client(), "c")[1])

    made.site.beside["metadata"] = [personal]
    assert await rows(made, "a.test", "TXT") == ['a.test. 3600 IN TXT "c"']
    assert made.ledger.is_personal
