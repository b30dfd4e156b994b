"""What is remarked of Corefiles that are right, and that a good one is quiet."""

from pathlib import Path

import pytest

from kdns.server.assembly import Services, build
from kdns.server.pitfalls import remarks

GOOD = """
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests .
        fallthrough in-addr.arpa ip6.arpa
    }
    forward . 192.0.2.53
    cache 30
    reload
}
"""


def said(text: str, files: dict[str, str] | None = None) -> list[str]:
    errors: list[Exception] = []
    assembly = build(text.strip(), "Corefile", Services(), errors)
    assert errors == []

    def read(path: str) -> str:
        found = (files or {}).get(path)
        if found is None:
            raise FileNotFoundError(path)
        return found

    return [str(one) for one in remarks(assembly, read)]


def test_a_good_corefile_is_quiet() -> None:
    assert said(GOOD) == []


@pytest.mark.parametrize("path", sorted(Path("tests/differential/vendors").rglob("*.corefile")))
def test_what_vendors_ship_is_quiet_but_for_what_they_left_out(path: Path) -> None:
    for one in said(path.read_text()):
        assert "would ask itself" not in one
        assert "never" not in one


@pytest.mark.parametrize(
    ("before", "after", "remark"),
    [
        ("192.0.2.53", "127.0.0.1", "Corefile:9: 127.0.0.1 port 53 is this server itself"),
        ("192.0.2.53", "/r", "Corefile:9: /r names 127.0.0.53, a resolver of this machine alone"),
        ("    cache 30\n", "", "Corefile:9: forward without cache"),
        ("    errors\n", "", "Corefile:2: failures are not logged"),
        ("    ready\n", "", "Corefile:4: no `ready`: its pod is sent queries before"),
        ("    health\n", "", "Corefile:4: no `health`: a server that hangs is not restarted"),
        ("    reload\n", "", "Corefile:5: no `reload`: a changed Corefile"),
        ("        fallthrough in-addr.arpa ip6.arpa\n", "",
         "Corefile:5: kubernetes: every address of in-addr.arpa ip6.arpa that is not"),
        ("fallthrough in-addr.arpa ip6.arpa", "fallthrough ip6.arpa",
         "Corefile:5: kubernetes: every address of in-addr.arpa that is not"),
        (".:53", "example.org:53",
         "Corefile:5: kubernetes: names of cluster.local. never come here: this block has"),
    ],
)  # fmt: skip
def test_each_pitfall_is_named_with_its_line(before: str, after: str, remark: str) -> None:
    files = {"/r": "search x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n"}
    assert before in GOOD
    found = said(GOOD.replace(before, after), files)
    assert [one for one in found if one.startswith(remark)], found


def test_two_blocks_for_a_zone_are_fine_where_the_first_takes_only_some() -> None:
    first = ".:53 {\n    view some {\n        expr type() == 'A'\n    }\n    whoami\n}\n"
    second = ".:53 {\n    view others {\n        expr true\n    }\n    whoami\n}\n"
    assert said(first + second) == []
