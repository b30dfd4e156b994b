"""Go templates: every row was rendered by CoreDNS 1.15.0 with the same data."""

from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile.go.functions import TemplateError
from kdns.corefile.go.template import parse


class Data:
    fields = MappingProxyType(
        {
            "Name": "a.org.",
            "Type": "TXT",
            "Zone": ".",
            "Match": ["a", "a", ""],
            "Group": {"0": "a", "1": "a", "2": "", "n": "", "x": "a"},
            "Meta": lambda label: f"<{label}>",
            "Zero": 0,
            "Nothing": None,
        }
    )

    def __str__(self) -> str:
        return "data"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain { } text", "plain { } text"),
        ("{{ .Name }} {{.Type}}", "a.org. TXT"),
        ("{{ .Match }} {{ .Group }}", "[a a ] map[0:a 1:a 2: n: x:a]"),
        ("x{{.Group.nope}}y{{index .Group `nope`}}z", "x<no value>yz"),
        ('{{ index .Match 0 }}{{ index .Group "x" }}', "aa"),
        ('{{ printf "%s-%q-%v-%d-%x-%05d" .Name .Type .Zone 5 .Name 7 }}',
         'a.org.-"TXT"-.-5-612e6f72672e-00007'),
        ('{{ printf "%d" "a" }} {{ printf "%s" }} {{ printf "a" 1 }} {{ printf "%d%%" 5 }}',
         "%!d(string=a) %!s(MISSING) a%!(EXTRA int=1) 5%"),
        ('{{ printf "%5s|%-5s|%.1s|%X|%08b|%+d|%c|%t" "ab" "ab" "ab" 255 5 3 65 true }}',
         "   ab|ab   |a|FF|00000101|+3|A|true"),
        ("{{ print 1 2 `a` `b` 3 }}|{{ print true nil }}", "1 2ab3|true <nil>"),
        ("{{ 5 | printf `%d-%d` 4 }}", "4-5"),
        ("{{ .Name | len }} {{ len .Match }} {{ len .Group }}", "6 3 5"),
        ("{{ if eq .Type `TXT` }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ if eq .Type `A` `AAAA` }}1{{ else if eq .Type `TXT` }}2{{ else }}3{{ end }}", "2"),
        ("{{ if .Zero }}1{{ else if .Nothing }}2{{ else }}3{{ end }}", "3"),
        ("{{ if and .Name (not .Zero) }}y{{ end }}{{ if or .Zero `` }}n{{ end }}", "y"),
        ("{{ and 1 0 }}{{ or 0 `z` }}{{ and 1 2 }}", "0z2"),
        ("{{ range $i, $m := .Match }}{{ $i }}={{ $m }} {{ end }}", "0=a 1=a 2= "),
        ("{{ range .Match }}[{{ . }}{{ $.Type }}]{{ end }}", "[aTXT][aTXT][TXT]"),
        ("{{ range $k, $v := .Group }}{{ $k }}{{ $v }},{{ end }}", "0a,1a,2,n,xa,"),
        ("{{ range .Nothing }}x{{ else }}none{{ end }}", "none"),
        ("{{ range $i, $m := .Match }}{{ if $i }}{{ break }}{{ end }}{{ $m }}{{ end }}", "a"),
        ("{{ range $i, $m := .Match }}{{ if not $i }}{{ continue }}{{ end }}{{ $i }}{{ end }}",
         "12"),
        ("{{ with .Group.x }}{{ . }}{{ end }}{{ with .Zero }}x{{ else }}y{{ end }}", "ay"),
        ("{{ $x := .Group.x }}{{ $x }}{{ $x = `b` }}{{ $x }}", "ab"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("a {{- ` b ` -}} c", "a b c"),
        ("a {{/* comment }} */}} b{{- /* c */ -}} d", "a  bd"),
        ("{{ `raw \\n }}` }}", "raw \\n }}"),
        ('{{ "tab\\tx\\x41\\u00e9\\"" }}', 'tab\txAé"'),
        ("{{ 'a' }} {{ 0x10 }} {{ 1.5 }} {{ 1e3 }} {{ -3 }}", "97 16 1.5 1000 -3"),
        ("{{ slice `abcdef` 1 3 }}{{ slice `abc` 1 }}", "bcbc"),
        ("{{ lt 1 2 }}{{ le 2 2 }}{{ gt `a` `b` }}{{ ge 1 2 }}{{ ne 1 1 }}",
         "truetruefalsefalsefalse"),
        ("{{ html `<a>&\"'` }} {{ urlquery `a b/` }}", "&lt;a&gt;&amp;&#34;&#39; a+b%2F"),
        ("{{ parseInt `ff` 16 8 }} {{ parseInt `zz` 36 16 }}", "255 1295"),
        ("{{ printf `%d.%d` (parseInt `7f` 16 8) (len .Match) }}", "127.3"),
        ("{{ .Meta `a/b` }}", "<a/b>"),
        ("{{ (.Group).x }}{{ (print .Group.x) }}", "aa"),
    ],
)  # fmt: skip
def test_renders(template: str, expected: str) -> None:
    assert parse(template).render(Data()) == expected


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ foo }}", "function 'foo' is not defined"),
        ("{{ if }}x{{ end }}", "missing value for if"),
        ("{{ .Name", "unclosed action"),
        ("{{ if .Name }}x", "without"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ else }}", "unexpected {{else}}"),
        ("{{ $x }}", "undefined variable"),
        ("{{ $x = 1 }}", "undefined variable"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable"),
        ("{{ break }}", "outside"),
        ("{{ }}", "missing value"),
        ("{{ .Name | }}", "missing value"),
        ("{{ (.Name }}", "never closed"),
        ("{{ .Name ) }}", "unexpected"),
        ("{{ `open }}", "unexpected"),
        ("{{ define `x` }}", "not supported"),
        ("{{ 1 2 }}", "non-function"),
        ("{{ ^ }}", "unexpected"),
        ("{{ if true }}" * 60, "nested too deeply"),
        ("{{ " + "(" * 5000 + " }}", "nested too deeply"),
    ],
)
def test_bad_syntax_is_found_when_parsing(template: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        parse(template)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ .Foo }}", "can't evaluate field Foo"),
        ("{{ .Name.Foo }}", "can't evaluate field Foo"),
        ("{{ index .Match 4 }}", "out of range: 4"),
        ("{{ index .Name `x` }}", "cannot index"),
        ("{{ len 5 }}", "len of int"),
        ("{{ eq 1 `a` }}", "incompatible types"),
        ("{{ eq .Match .Match }}", "non-comparable"),
        ("{{ lt 1 `a` }}", "incompatible types"),
        ("{{ parseInt `ffff` 16 8 }}", "out of range"),
        ("{{ parseInt `xyz` 16 8 }}", "invalid syntax"),
        ("{{ parseInt `-1` 10 8 }}", "invalid syntax"),
        ("{{ parseInt `1` 99 8 }}", "invalid syntax"),
        ("{{ slice `abc` 2 1 }}", "out of range"),
        ("{{ not }}", "wrong arguments"),
        ("{{ range .Name }}{{ end }}", "cannot iterate"),
        ("{{ printf `%99999d` 1 }}", "more than"),
        ("{{ .Meta }}", "wrong number"),
    ],
)
def test_what_cannot_be_done_is_said_when_rendering(template: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        parse(template).render(Data())


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("{{ .Name }} {{ $.Type }}", {"Name", "Type"}),
        ("{{ range .Match }}{{ .Foo }}{{ $.Zone }}{{ end }}", {"Match", "Zone"}),
        ("{{ if .Name }}{{ .Group.x }}{{ end }}", {"Name", "Group"}),
        ("{{ with $x := .Remote }}{{ $x.Foo }}{{ end }}", {"Remote"}),
    ],
)
def test_knows_the_fields_it_reads(template: str, fields: set[str]) -> None:
    assert parse(template).fields == fields


PARTS = (
    "{{ .Name }}", "{{", "}}", " -}}", "{{- ", ".Name", "$x", ":=", "(", ")", "|", "if ", "range ",
    "else", "end", "{{ end }}", "`", '"', "eq ", "1", "'a'", "/*", "*/", " ", "x", "printf ", "%d",
)  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join) | st.text(max_size=40))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    with suppress(TemplateError):
        parse(text).render(Data())
