"""An explanation as text: one screen, the reason first, nothing that a terminal would obey."""

import re
from dataclasses import replace

import dns.message
import msgspec
import pytest

from kdns.client.search import Asked, Heard, Walk
from kdns.explain.said import Connection, Explanation, Reason, Trace, Visit
from kdns.explain.shapes import ExplanationShape, encode
from kdns.explain.text import brief, render

NAME = "web.shop.svc.cluster.local."
REPLY = dns.message.make_response(dns.message.make_query(NAME, "A", id=1)).to_wire()
STEP = Asked(
    NAME, 1, ("10.96.0.10", 53), Heard(REPLY, "", 0.0042), "search domain 1 of 3: x", "ends here"
)
WALK = Walk("glibc", (STEP,), "no data", "EAI_NODATA")
FOUND = Explanation(
    "web.shop", "A", (WALK, replace(WALK, libc="musl")),
    (
        Reason("no-such-type", "it has no such record", ("one", "two"), ("kubectl get x",)),
        Reason("stale", "it is old", (), ("kubectl get x", "kubectl get y")),
    ),
    {(NAME, 1): Trace(".:53", (Visit("forward", 0, NAME, "A", "SERVFAIL", ("slow",)),), "forward")},
    (Connection("10.96.0.20", 80, "TCP", "refused", is_open=False),),
    ("pods: 403",), "pod shop/web-0",
)  # fmt: skip


def test_the_whole() -> None:
    assert render(FOUND, width=90).splitlines() == [
        "it has no such record",
        "",
        "asked: web.shop A, by pod shop/web-0",
        "",
        "as glibc and musl ask, all of 10.96.0.10:",
        "  web.shop.svc.cluster.local.  A  no data  4.2 ms  forward  search domain 1 of 3",
        "      forward: slow",
        "  the application is told: no data (EAI_NODATA)",
        "tried: 10.96.0.20 port 80/TCP: refused",
        "",
        "why:",
        "  - one",
        "  - two",
        "",
        "also:",
        "  - it is old",
        "",
        "next:",
        "  $ kubectl get x",
        "  $ kubectl get y",
        "",
        "not known:",
        "  - pods: 403",
    ]


def test_what_does_not_fit_stands_below() -> None:
    lines = render(FOUND, width=60).splitlines()
    at = lines.index("  web.shop.svc.cluster.local.  A  no data  4.2 ms  forward")
    assert lines[at + 1] == "      search domain 1 of 3"


def test_walks_that_differ_are_told_each() -> None:
    other = replace(WALK, libc="musl", outcome="failed", says="EAI_AGAIN")
    text = render(replace(FOUND, walks=(WALK, other)))
    assert "as glibc asks" in text
    assert "as musl asks" in text


def test_several_nameservers_are_named_in_the_rows() -> None:
    second = replace(STEP, nameserver=("fd00::a", 5353))
    text = render(replace(FOUND, walks=(replace(WALK, asked=(STEP, second)),)), width=200)
    assert "as glibc asks:" in text
    assert re.search(r"A  10\.96\.0\.10 +no data", text)
    assert re.search(r"A  fd00::a:5353 +no data", text)


def test_of_many_steps_the_first_and_the_last_are_shown() -> None:
    steps = tuple(replace(STEP, name=f"n{number}.") for number in range(40))
    lines = render(replace(FOUND, walks=(replace(WALK, asked=steps),))).splitlines()
    assert "  ... 28 more" in lines
    assert any(line.startswith("  n0. ") for line in lines)
    assert any(line.startswith("  n39. ") for line in lines)
    assert len(lines) < 45


def test_many_lines_of_evidence_are_counted() -> None:
    reason = Reason("x", "y", tuple(f"line {number}" for number in range(30)))
    text = render(replace(FOUND, reasons=(reason,)))
    assert "line 7" in text
    assert "line 8" not in text
    assert "- and 22 more" in text


def test_a_walk_that_asked_nothing_says_so() -> None:
    text = render(replace(FOUND, walks=(replace(WALK, asked=()),)))
    assert "nothing: it is told at once" in text


def test_time_outs_and_streams_are_told() -> None:
    silent = replace(STEP, heard=Heard(None, "no answer within 5 s", 5.0, "tcp"))
    text = render(replace(FOUND, walks=(replace(WALK, asked=(silent,)),)), width=200)
    assert "no answer within 5 s  5 s tcp" in text


@pytest.mark.parametrize(("id_", "code"), [("resolves", 32), ("search-wastes", 33), ("stale", 31)])
def test_colour_only_where_it_is_wanted(id_: str, code: int) -> None:
    found = replace(FOUND, reasons=(Reason(id_, "says"),))
    assert "\033" not in render(found)
    text = render(found, colour=True)
    assert text.startswith(f"\033[1m\033[{code}msays\033[0m\n")
    assert re.sub(r"\033\[\d+m", "", text) == render(found)


def test_commands_are_whole_and_on_one_line() -> None:
    command = "kdns explain web --manifests " + " ".join(f"{at}.yaml" for at in range(100))
    text = render(replace(FOUND, reasons=(Reason("x", "says", (), (command,)),)), width=40)
    assert f"  $ {command}" in text.splitlines()


HOSTILE = "a\x1b[2J\x9b31m\u202egnp.exe\x7f\n\r\t\u200b"


def test_attackers_text_is_written_out() -> None:
    assert brief(HOSTILE) == ("a\\u{1b}[2J\\u{9b}31m\\u{202e}gnp.exe\\u{7f}\\n\\r\\t\\u{200b}")
    assert brief("x" * 500) == "x" * 400 + "..."
    step = replace(STEP, name=HOSTILE, because=HOSTILE, heard=Heard(None, HOSTILE))
    visit = Visit(HOSTILE, 0, HOSTILE, "A", HOSTILE, (HOSTILE,))
    found = Explanation(
        HOSTILE, HOSTILE, (Walk("glibc", (step,), "failed", HOSTILE),),
        (Reason("x", HOSTILE, (HOSTILE,), (HOSTILE,)), Reason("y", HOSTILE)),
        {(HOSTILE, 1): Trace(HOSTILE, (visit,), HOSTILE, HOSTILE, ((3, HOSTILE),))},
        (Connection(HOSTILE, 1, HOSTILE, HOSTILE, is_open=False),), (HOSTILE,), HOSTILE,
    )  # fmt: skip
    for colour in (False, True):
        text = re.sub(r"\033\[\d+m", "", render(found, colour=colour))
        assert all(" " <= one <= "~" or one == "\n" for one in text)


def test_json_has_all_of_it() -> None:
    found = msgspec.json.decode(encode(FOUND), type=ExplanationShape)
    assert [one.id for one in found.reasons] == ["no-such-type", "stale"]
    assert [walk.libc for walk in found.walks] == ["glibc", "musl"]
    [step] = found.walks[0].steps
    assert (step.name, step.type, step.nameserver) == (NAME, "A", "10.96.0.10:53")
    assert (step.rcode, step.took_ms, step.plugin, step.block) == (
        "NOERROR",
        4.2,
        "forward",
        ".:53",
    )
    assert (step.because, step.then) == ("search domain 1 of 3: x", "ends here")
    assert step.visits[0].notes == ["slow"]
    assert found.connections[0].open is False
    assert found.unknown == ["pods: 403"]


def test_json_bears_names_that_are_no_text() -> None:
    found = replace(FOUND, name="web\udcff", reasons=(Reason("x", "\udcff"),))
    assert msgspec.json.decode(encode(found))["name"] == "web\\udcff"
