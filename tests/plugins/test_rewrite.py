"""rewrite: every row was first seen from CoreDNS 1.15.0, but for those that say otherwise."""

from dataclasses import dataclass

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile import ednsrules, namerules
from kdns.corefile.options import Settings
from kdns.corefile.tree import ConfigError
from kdns.plugins.base import DROP, SKIP, Backend, Query, Result, Site
from kdns.plugins.rewrite import Rewrite
from kdns.plugins.template import Template
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import names, rare, types
from kdns.wire.message import Answer, Transfer
from tests import fakes

ECHO = """template ANY ANY . {
 answer "{{ .Name }} 60 IN TXT \\"{{ .Class }} {{ .Type }} {{ .Name }}\\""
 answer "t.{{ .Name }} 300 IN CNAME x.{{ .Name }}" "t{{ .Name }} SRV 1 2 3 s{{ .Name }}"
 answer "{{ .Name }}foo. MX 5 {{ .Name }}foo." "{{ .Name }} NAPTR 1 1 \\"s\\" \\"\\" \\"\\" {{ .Name }}"
 authority "{{ .Name }} SOA m.{{ .Name }} r.{{ .Name }} 1 2 3 4 5"
 additional "ns.{{ .Name }} 9 A 1.1.1.1"
}"""


def chain(rules: str, rest: str = ECHO) -> fakes.Chain:
    """What asks with these rules; directives of one block share their list."""
    return fakes.chain(f"{rules}\n{rest}", Rewrite, Template, beside={})


async def lines(made: fakes.Chain, name: str, type_: str = "TXT") -> list[str]:
    reply = await made.dig(name, type_)
    assert reply.question[0].to_text() == f"{name}. IN {type_}", "the question is the asker's"
    if reply.rcode() and not reply.answer:
        return [reply.rcode().name]
    sections = (*reply.answer, *reply.authority, *reply.additional)
    return [line.replace(" IN ", " ") for one in sections for line in one.to_text().split("\n")]


async def asked(made: fakes.Chain, name: str, type_: str = "TXT") -> str:
    """What was asked behind the rules: class, type and name."""
    return (await lines(made, name, type_))[0].partition('"')[2].rstrip('"')


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        pytest.param("name a.org b.net", "a.org", "b.net.", id="exact without its word"),
        pytest.param("name exact A.org B.NET", "a.org", "b.net.", id="exact, any case"),
        pytest.param("name exact a.org b.net", "x.a.org", "x.a.org.", id="exact is whole"),
        pytest.param("name exact a.org b.net", "A.oRg", "b.net.", id="the question's case"),
        pytest.param("name prefix a. zz.", "a.b.org", "zz.b.org.", id="prefix"),
        pytest.param("name prefix a zz", "a.b.org", "zz.b.org.", id="prefix is made whole"),
        pytest.param("name prefix a zz", "ab.org", "ab.org.", id="so it is a whole label"),
        pytest.param("name suffix .org. .net.", "a.b.org", "a.b.net.", id="suffix"),
        pytest.param("name suffix org net", "a.borg", "a.bnet.", id="suffix inside a label"),
        pytest.param("name suffix .b.org. .", "a.b.org", "a.", id="suffix away"),
        pytest.param("name substring b x", "a.b.org", "a.x.org.", id="substring"),
        pytest.param("name substring a b", "a.a.org", "b.b.org.", id="substring everywhere"),
        pytest.param("name substring or x", "a.org", "a.org.", id="substring ends a label"),
        pytest.param("name regex (.*)\\.b\\.org {1}.svc", "a.b.org", "a.svc.", id="regex"),
        pytest.param("name regex b zz", "a.b.org", "zz.", id="regex replaces the whole name"),
        pytest.param("name regex (a)\\.(.*)\\.org\\.$ {2}.{1}.x", "a.b.org", "b.a.x.", id="groups"),
        pytest.param("name regex (.*)\\.org {1}{1}.x", "a.org", "aa.x.", id="a group twice"),
        pytest.param("name regex A.* upper", "a.org", "a.org.", id="regex sees lower case"),
        pytest.param("name regex (?i)A.* UPPER", "a.org", "upper.", id="the target too"),
        pytest.param("name regex ^a$ b", "a.org", "a.org.", id="regex sees the whole name"),
        pytest.param("type TXT MX", "a.org", "IN MX a.org.", id="type"),
        pytest.param("type A MX", "a.org", "IN TXT a.org.", id="another type"),
        pytest.param("type ANY MX", "a.org", "IN TXT a.org.", id="ANY is a type"),
        pytest.param("class IN CH", "a.org", "CH TXT a.org.", id="class"),
        pytest.param("stop name a.org b.net", "a.org", "b.net.", id="stop"),
        pytest.param("{\nname exact a.org b.net\n}", "a.org", "b.net.", id="as a block"),
        pytest.param("name {\nexact a.org b.net\n}", "a.org", "b.net.", id="as half a block"),
    ],
)
async def test_what_is_asked(rules: str, name: str, expected: str) -> None:
    found = await asked(chain(f"rewrite {rules}"), name)
    assert found in {expected, f"IN TXT {expected}"}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param("name a.org b.org\nrewrite name b.org c.org", "b.org.", id="stops"),
        pytest.param("continue name a.org b.org\nrewrite name b.org c.org", "c.org.", id="goes on"),
        pytest.param("name x.org b.org\nrewrite name a.org c.org", "c.org.", id="no match"),
        pytest.param("name a.org b.org\nrewrite name a.org c.org", "b.org.", id="file order"),
        pytest.param("cname x y\nrewrite name a.org c.org", "a.org.", id="cname always matches"),
    ],
)
async def test_rules_are_one_list_in_file_order(rules: str, expected: str) -> None:
    assert await asked(chain(f"rewrite {rules}"), "a.org") == f"IN TXT {expected}"


AUTO = {
    "owner": "a.org. 60 TXT",
    "below": "t.a.org. 300 CNAME x.a.org.",
    "beside": "tb.net. 3600 SRV 1 2 3 sb.net.",
    "above": "b.net.foo. 3600 MX 5 b.net.foo.",
    "naptr": 'a.org. 3600 NAPTR 1 1 "s" "" "" a.org.',
    "soa": "a.org. 3600 SOA m.a.org. r.b.net. 1 2 3 4 5",
    "glue": "ns.a.org. 9 A 1.1.1.1",
}


@pytest.mark.parametrize(
    "rule",
    ["name a.org b.net", "name exact a.org b.net answer auto", "name prefix a.org b.net answer auto",
     "name substring a.org b.net answer auto", "name regex ^a.org b.net answer auto"],
)  # fmt: skip
async def test_answers_go_back_to_the_name_asked_and_below(rule: str) -> None:
    found = await lines(chain(f"rewrite {rule}"), "a.org")
    assert [line.replace(' "IN TXT b.net."', "") for line in found] == list(AUTO.values())


async def test_a_suffix_goes_back_wherever_a_name_ends_in_it() -> None:
    found = await lines(chain("rewrite name suffix .org. .net. answer auto"), "b.org")
    assert "tb.org. 3600 SRV 1 2 3 sb.org." in found
    assert "b.net.foo. 3600 MX 5 b.net.foo." in found
    assert "b.org. 3600 SOA m.b.org. r.b.net. 1 2 3 4 5" in found


@pytest.mark.parametrize(
    "rule",
    ["name prefix a b", "name suffix a.org. b.org.", "name substring a b", "name regex a(.*) b{1}"],
)
async def test_without_answer_rules_only_exact_goes_back(rule: str) -> None:
    made = chain(f"rewrite {rule}".replace("b{1}", "b.org"))
    assert (await lines(made, "a.org"))[0] == 'b.org. 60 TXT "IN TXT b.org."'


@pytest.mark.parametrize(
    ("rules", "owner", "cname"),
    [
        pytest.param("answer name (.*)\\.net {1}.V", "b.v.", "t.b.v. 300 CNAME x.b.net.",
                     id="owners only"),
        pytest.param("answer value (.*)\\.net {1}.V", "b.net.", "t.b.net. 300 CNAME x.b.v.",
                     id="values only"),
        pytest.param("answer name b(.*)\\. c{1} answer name c(.*)\\. d{1}", "d.net.",
                     "d.net. 300 CNAME x.b.net.", id="one after the other"),
        pytest.param("answer name (.*)\\.net {1}.V answer value (.*)\\.net {1}.W", "b.v.",
                     "t.b.v. 300 CNAME x.b.w.", id="both"),
        pytest.param("answer name zz x", "b.net.", "t.b.net. 300 CNAME x.b.net.", id="no match"),
    ],
)  # fmt: skip
async def test_explicit_answer_rules(rules: str, owner: str, cname: str) -> None:
    found = await lines(chain(f"rewrite name prefix a.org b.net {rules}"), "a.org")
    assert found[0].startswith(f"{owner} 60 TXT")
    assert found[1] == cname


async def test_exact_maps_what_explicit_rules_leave() -> None:
    rule = "rewrite name exact a.org b.net answer value (.*)\\.net {1}.V"
    found = await lines(chain(rule), "a.org")
    assert found[:2] == ['a.org. 60 TXT "IN TXT b.net."', "t.a.org. 300 CNAME x.b.v."]


async def test_answers_go_back_in_reverse_order() -> None:
    rules = "rewrite continue name suffix .org. .net. answer auto\n"
    rules += "rewrite name suffix .net. .com. answer auto"
    found = await lines(chain(rules), "a.org")
    assert found[:2] == ['a.org. 60 TXT "IN TXT a.com."', "t.a.org. 300 CNAME x.a.org."]


@pytest.mark.parametrize(
    ("rule", "ttls"),
    [
        ("ttl a.org 30", (30, 30, 30)),
        ("ttl exact A.org. 100-", (100, 300, 100)),
        ("ttl suffix org. -100", (60, 100, 9)),
        ("ttl prefix a 50-100", (60, 100, 50)),
        ("ttl regex .*org 0", (0, 0, 0)),
        ("ttl substring or 1", (60, 300, 9)),
        ("continue ttl a.org 7\nrewrite continue ttl a.org 8\nrewrite ttl a.org 5-6", (7, 7, 7)),
        ("ttl b.net 5\nrewrite name a.org b.net", (60, 300, 9)),
        ("continue name a.org b.net\nrewrite ttl b.net 5", (5, 5, 5)),
    ],
)
async def test_ttl(rule: str, ttls: tuple[int, ...]) -> None:
    reply = await chain(f"rewrite {rule}").dig("a.org", "TXT")
    assert (reply.answer[0].ttl, reply.answer[1].ttl, reply.additional[0].ttl) == ttls


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("rcode a.org NOERROR NXDOMAIN", "NXDOMAIN"),
        ("rcode exact a.org 0 2", "SERVFAIL"),
        ("rcode suffix org. noerror refused", "REFUSED"),
        ("rcode a.org SERVFAIL NXDOMAIN", "NOERROR"),
        ("rcode b.org NOERROR NXDOMAIN", "NOERROR"),
    ],
)
async def test_rcode(rule: str, expected: str) -> None:
    reply = await chain(f"rewrite {rule}").dig("a.org", "TXT")
    assert reply.rcode().name == expected
    assert reply.answer


LED = """template IN TXT a.org {
 answer "a.org 60 CNAME b.org" "b.org 60 CNAME c.org" "c.org TXT x"
}
template IN TXT org {
 answer "{{ .Name }} TXT q"
}"""


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("cname b.org z.org", ["a.org. 60 CNAME z.org.", 'z.org. 3600 TXT "q"']),
        ("cname exact B.org. z.org.", ["a.org. 60 CNAME z.org.", 'z.org. 3600 TXT "q"']),
        ("cname c.org z.org",
         ["a.org. 60 CNAME b.org.", "b.org. 60 CNAME z.org.", 'z.org. 3600 TXT "q"']),
        ("cname prefix b. z.", ["a.org. 60 CNAME z.org.", 'z.org. 3600 TXT "q"']),
        ("cname regex b.(.*) z.{1}", ["a.org. 60 CNAME b.org.", "b.org. 60 CNAME c.org.",
                                      'c.org. 3600 TXT "x"']),
        ("cname regex b.(.*)\\. z.{1}", ["a.org. 60 CNAME z.org.", 'z.org. 3600 TXT "q"']),
        ("cname c.org nope.net", ["a.org. 60 CNAME b.org.", "b.org. 60 CNAME nope.net."]),
        ("cname x.org z.org",
         ["a.org. 60 CNAME b.org.", "b.org. 60 CNAME c.org.", 'c.org. 3600 TXT "x"']),
    ],
)  # fmt: skip
async def test_cname(rule: str, expected: list[str]) -> None:
    assert await lines(chain(f"rewrite {rule}", LED), "a.org") == expected


async def test_cname_rules_nest_nine_times() -> None:
    rest = 'template IN TXT . {\nanswer "{{ .Name }} CNAME t.{{ .Name }}"\n}'
    found = await lines(chain("rewrite cname prefix t. u.", rest), "a")
    assert len(found) == 10
    assert found[8] == "u.u.u.u.u.u.u.u.a. 3600 CNAME u.u.u.u.u.u.u.u.u.a."
    assert found[9] == "u.u.u.u.u.u.u.u.u.a. 3600 CNAME t.u.u.u.u.u.u.u.u.u.a."


@pytest.mark.parametrize(
    "rule",
    ["name exact a.org bad..name", "name prefix a.org .x", "name regex (.*) x.{1}",
     "name substring a.org " + "x" * 64, "name suffix .org. ..net."],
)  # fmt: skip
async def test_an_invalid_name_is_a_failure_that_names_it(rule: str) -> None:
    made = chain(f"rewrite {rule}")
    answer = await made.ask("a.org", "TXT")
    assert answer is not SKIP
    assert answer.rcode == types.SERVFAIL
    assert answer.error.startswith("invalid name after rewrite: ")


@dataclass
class Seen:
    query: Query | None = None


class Probe(Backend):
    """Notes the query, and answers or not as its directive says."""

    name = "whoami"

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.result: Result = Answer()
        self.seen = Seen()

    async def answer(self, query: Query) -> Result:
        self.seen.query = query
        return self.result


def probe(rules: str) -> tuple[fakes.Chain, Probe]:
    made = fakes.chain(f"{rules}\nwhoami", Rewrite, Probe, beside={})
    backend = made.plugins[-1]
    assert isinstance(backend, Probe)
    return made, backend


def option(code: int, value: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


ZZ, YY = option(0xFFEE, b"zz"), option(0xFFEF, b"yy")


@pytest.mark.parametrize(
    ("rule", "asker", "upstream", "shown"),
    [
        pytest.param("local set 0xffee 0x6162", b"", option(0xFFEE, b"ab"),
                     option(0xFFEE, b"ab"), id="set"),
        pytest.param("local set 65518 ab", ZZ + YY, option(0xFFEE, b"ab") + YY,
                     option(0xFFEE, b"ab"), id="set replaces"),
        pytest.param("local append 0xffee ab", ZZ, ZZ + option(0xFFEE, b"ab"),
                     ZZ + option(0xFFEE, b"ab"), id="append"),
        pytest.param("local replace 0xffee ab", ZZ, option(0xFFEE, b"ab"),
                     option(0xFFEE, b"ab"), id="replace"),
        pytest.param("local replace 0xffee ab", YY, YY, b"", id="nothing to replace"),
        pytest.param("local unset 0xffee", ZZ + YY, YY, b"", id="unset"),
        pytest.param("local set 0xffee ab revert", ZZ, option(0xFFEE, b"ab"), ZZ, id="revert"),
        pytest.param("local set 0xffee {qname}", b"", option(0xFFEE, b"a.org."),
                     option(0xFFEE, b"a.org."), id="qname"),
        pytest.param("local set 0xffee {qtype}", b"", option(0xFFEE, b"\0\x10"),
                     option(0xFFEE, b"\0\x10"), id="qtype"),
        pytest.param("local set 0xffee {protocol}", b"", option(0xFFEE, b"udp"),
                     option(0xFFEE, b"udp"), id="protocol"),
        pytest.param("local set 0xffee {client_ip}", b"", option(0xFFEE, b"\x0a\1\2\3"),
                     option(0xFFEE, b"\x0a\1\2\3"), id="client_ip"),
        pytest.param("local set 0xffee {foo/bar}", b"", b"", b"", id="metadata nobody offers"),
        pytest.param("nsid set", YY, YY + option(3, b""), b"", id="nsid"),
        pytest.param("subnet set 20 56", b"", option(8, b"\0\1\x14\0\x0a\1\0"), b"", id="subnet"),
    ],
)  # fmt: skip
async def test_edns0(rule: str, asker: bytes, upstream: bytes, shown: bytes) -> None:
    made, backend = probe(f"rewrite edns0 {rule}")
    who = fakes.client("10.1.2.3")
    answer = await made.ask("a.org", "TXT", who, has_opt=True, size=1232, options=asker)
    query = backend.seen.query
    assert query is not None
    assert query.question.options == upstream
    assert answer is not SKIP
    assert answer.options == shown
    assert made.ledger.keep is ("client_ip" not in rule), "what reads the asker is for him alone"
    assert (made.ledger.audience != ()) is ("subnet" in rule), "his subnet is his class"
    kind, _, code, *_ = (*rule.split(), "")
    assert made.plugins[0].reads == {{"nsid": 3, "subnet": 8}.get(kind) or int(code, 0)}


async def test_edns0_gives_a_query_edns_but_not_its_reply() -> None:
    """CoreDNS sends an OPT to clients without EDNS, against RFC 6891 §7."""
    made, backend = probe("rewrite edns0 nsid set")
    answer = await made.ask("a.org", "TXT")
    query = backend.seen.query
    assert query is not None
    assert query.question.has_opt
    assert answer == Answer()
    assert made.ledger.keep


async def test_metadata_makes_a_name() -> None:
    made, backend = probe("rewrite name regex ([^.]*).* {1}.{client/Group}.x metadata")
    made.ledger = fakes.Ledger(made.site.stamps, made.route)
    made.ledger.metadata = {"client/Group": lambda: "Blue"}
    query = Query.of(fakes.question("a.org"), fakes.client(), 0.0, made.ledger)
    await made.plugins[0].around(query, backend.answer)
    assert backend.seen.query is not None
    assert names.format(backend.seen.query.key) == "a.blue.x."
    assert made.ledger.keep, "labels say by themselves whom they are about"
    made.ledger.metadata = {"client/Group": lambda: (query.reads_client(), "Blue")[1]}
    await made.plugins[0].around(query, backend.answer)
    assert made.ledger.is_personal
    await made.ask("a.org")
    assert names.format(backend.seen.query.key) == "a.org.", "no value, no rule"


@pytest.mark.parametrize(
    "result", [SKIP, DROP, Answer(2, error="no")], ids=["SKIP", "DROP", "error"]
)
async def test_what_is_no_answer_passes_untouched(result: Result) -> None:
    made, backend = probe("rewrite continue rcode a.org 2 3\nrewrite name a.org b.net")
    backend.result = result
    assert await made.ask("a.org") is result


async def test_a_cached_answer_gets_its_ttl_counted_down_first() -> None:
    made, backend = probe("rewrite ttl a.org 20-40")
    rrset = rare.parse_record("a.org 100 A 1.2.3.4")
    made.site.clock.now = 1000.5
    for stored, left in ((995.0, 40), (930.0, 30), (905.0, 20)):
        backend.result = Answer(answer=(rrset,), aging=(stored, 100))
        answer = await made.ask("a.org")
        assert answer is not SKIP
        assert answer.aging is None
        assert answer.answer[0].ttl == left
        assert 1000.5 < made.ledger.until <= 1001.5


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("", "expected one of name"),
        ("stop", "expected one of name"),
        ("foo a b", "found 'foo'"),
        ("name a", "name to match and the name to ask for"),
        ("name a b c", "expected exact, prefix"),
        ("name exact a b stop", "expected answer auto, name or value"),
        ("name exact a b metadata", "needs a regex rule"),
        ("name regex ( b", "regular expression"),
        ("name regex a {1}", "names 1 groups, but there are 0"),
        ("name regex (a) {1}.{2}", "names 2 groups, but there are 1"),
        ("name regex (a) {1 metadata", "without its partner"),
        ("rcode a.b 3 99", "a response code"),
        ("name regex (a) {1}.{x} metadata", "no label"),
        ("name regex (a) {2} metadata", "names group 2"),
        ("name exact a b answer", "expected answer auto"),
        ("name exact a b answer name x", "two words"),
        ("name exact a b answer foo", "expected auto"),
        ("name suffix a b answer auto answer name x y", "beside"),
        ("type TXT", "two words"),
        ("type TXT FOO", "a record type"),
        ("class IN XX", "a class"),
        ("ttl a x", "expected a TTL"),
        ("ttl a 50-10", "expected a TTL"),
        ("ttl a -", "expected a TTL"),
        ("ttl a 99999999999", "expected a TTL"),
        ("ttl a 5 6", "expected exact, prefix"),
        ("rcode a NOERROR", "the code to match"),
        ("rcode a NOERROR 4096", "response code"),
        ("cname a", "the target to match"),
        ("cname foo a b", "expected exact, prefix"),
        ("edns0 local", "local, nsid or subnet"),
        ("edns0 foo set", "local, nsid or subnet"),
        ("edns0 local foo 1 a", "set, append, replace or unset"),
        ("edns0 local set 70000 a", "0 to 65535"),
        ("edns0 local set 1 0x6", "hex"),
        ("edns0 local set 1 {foo}", "no variable"),
        ("edns0 local set 1 a b", "a code and a value"),
        ("edns0 local unset 1 revert", "the code of the option"),
        ("edns0 nsid set x", "no value"),
        ("edns0 subnet set 33 56", "0 to 32"),
        ("edns0 subnet set 24", "prefix length"),
        ("edns0 subnet unset x", "no value"),
    ],
)
def test_mistakes_name_file_and_line(rule: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        chain(f"rewrite {rule}", "")
    assert (caught.value.file, caught.value.line) == ("Corefile", 2)


LABEL = st.text("ab-", min_size=1, max_size=3)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@given(NAME, NAME, NAME, st.sampled_from(["exact", "prefix", "suffix", "substring"]))
async def test_a_name_that_is_rewritten_comes_back(
    name: str, source: str, target: str, kind: str
) -> None:
    made = chain(f"rewrite name {kind} {source} {target} answer auto")
    found = await lines(made, name)
    assert found == ["SERVFAIL"] or found[0].startswith(f"{name}. 60 TXT")


@given(st.lists(st.text("ab.{}(*01/ ", max_size=6), max_size=6))
def test_any_words_are_a_rule_or_a_value_error(words: list[str]) -> None:
    for read in (namerules.answer_rules, ednsrules.parse):
        try:
            read(words)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        (r"name regex (.*)\.a\.(z.*) {1}.{3}.b", "q.a.z", "q.{3}.b."),
        (r"name regex (.*)\.a\.(z.*) {x}.b{1}", "q.a.z", "{x}.bq."),
        (r"name regex (.*)\.a\.(z.*) {1.b", "q.a.z", "{1.b."),
        (r"name regex (.*)\.a\.(z.*) }1{.b", "q.a.z", "}1{.b."),
        (r"name regex (.*)\.a\.(z.*) {01}.b", "q.a.z", "{01}.b."),
    ],
)
async def test_a_brace_without_a_group_is_a_character(rule: str, name: str, expected: str) -> None:
    assert await asked(chain(f"rewrite {rule}"), name) == f"IN TXT {expected}"


SUBNETS = """. {
 rewrite edns0 subnet set 24 56
 template IN TXT . {
  answer "{{ .Name }} TXT x"
 }
}
"""


async def test_clients_of_a_subnet_share_an_answer() -> None:
    services, errors = Services(), []
    assembly = build(SUBNETS, "Corefile", services, errors)
    assert not errors
    [router] = assembly.routers.values()
    assert router.reads == {8}
    table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
    pipeline = Pipeline(
        router, services.stamps, services.counters, services.clock, services.chance, table=table
    )
    packet = dns.message.make_query("a.test", "TXT", id=7).to_wire()
    [template] = [one for one in assembly.plugins if isinstance(one, Template)]
    made = []
    template.answer = lambda query, real=template.answer: (made.append(query), real(query))[1]
    for address in ["10.1.2.3"] * 4 + ["10.1.2.99"] * 4 + ["10.1.3.3"]:
        await pipeline.respond(packet, fakes.client(address), services.clock())
    assert {query.client.address[2] for query in made} == {2, 3}
    assert all(query.client.address != b"\x0a\1\2\x63" for query in made), "answered for .3"


async def test_transfers_pass_unchanged() -> None:
    transfer = Transfer(messages=lambda: iter(()))

    class Zone(Backend):
        name = "zone"

        async def answer(self, query: Query) -> Result:
            return transfer

    rules = "rewrite ttl exact a.org 30\nzone"
    made = fakes.chain(rules, Rewrite, Zone, beside={})
    assert await made.ask("a.org", "AXFR") is transfer
