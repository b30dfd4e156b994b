"""A newcomer's way: every command of the README prints what is shown, in order.

The tour, which it leads to, is walked by test_tour.
"""

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.lab.ranges import LOOPBACK
from tests.demo.played import DEMO, TOP, lacks
from tests.demo.walk import (
    LOOKS,
    PATIENCE_S,
    Shell,
    difference,
    moved,
    moved_back,
    steps,
    walk,
)

README = TOP / "README.md"
TUTORIAL = DEMO / "README.md"
MIGRATION = TOP / "kdns" / "help" / "migration.md"

FILLED = {
    "NAME [TYPE]": "web.shop A",
    "NAME": "web.shop",
    "shop/web-1": "shop/mysql-1",
    "10.96.0.10": "127.0.0.1:5353",
    "REGISTRY": "registry.example",
    "VERSION": "0.1.0",
    "kdns top": "kdns top --once",
}
"""What stands for the reader's own, and what would go on for ever."""
RESOLVES = "web.shop resolves to 10.96.20.1: service shop/web\n"

pytestmark = pytest.mark.skipif(bool(lacks()), reason=lacks() or "all is here")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_command_prints_what_is_shown(shell: Shell) -> None:
    for step in steps(README.read_text(encoding="utf-8")):
        wrong = walk(step, shell)
        assert not wrong, f"{README.name}:{step.line}: {step.command}\n{wrong}"


def block(path: Path, title: str) -> list[str]:
    """The indented commands of a section, without their comments."""
    section = path.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    return [line.partition("  #")[0].strip() for line in lines]


def said(shell: Shell, command: str, folder: Path | None = None) -> str:
    """What a command of a reader prints in a folder; it must end well, if need be the next time."""
    for theirs, ours in FILLED.items():
        command = command.replace(theirs, ours)
    until = time.monotonic() + PATIENCE_S
    while True:
        printed = shell.run(f"cd '{folder or shell.folder}'\n{command}\necho exit $?")
        if printed.endswith("exit 0\n") or not LOOKS.match(command) or time.monotonic() > until:
            break
    assert printed.endswith("exit 0\n"), f"{command}\n{printed}"
    return printed


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_why_a_name_resolves(shell: Shell, tmp_path: Path) -> None:
    commands = block(README, "Why does a name resolve, or not?")
    assert len(commands) == 5
    dump = tmp_path / "dump.yaml"
    dump.write_text(shell.run("kubectl get svc,endpointslices,pods,ns -A -o yaml"))
    printed = [said(shell, one.replace("dump.yaml", str(dump))) for one in commands]
    assert [one.partition("\n")[0] + "\n" for one in printed[:3]] == [RESOLVES] * 3
    assert "by pod shop/mysql-1" in printed[0]
    assert "names that do not exist" in printed[3]
    assert " 0 failed that must hold" in printed[4]


@pytest.mark.slow
def test_from_coredns_and_back(shell: Shell, tmp_path: Path) -> None:
    fetch, check = block(MIGRATION, "Before")
    said(shell, fetch, tmp_path)
    there, back = block(README, "From CoreDNS, and back")[1:]
    assert block(README, "From CoreDNS, and back")[0] == check
    assert "\nfrom CoreDNS 1.15.0: " in said(shell, check, tmp_path)
    image = "kubectl -n kube-system get deployment coredns -o jsonpath='{..image}'"
    before = shell.run(image)
    for over in ([there, back], block(MIGRATION, "Over, and back")):
        assert said(shell, over[0])
        assert shell.run(image) == "registry.example/kdns:0.1.0"
        assert [said(shell, one) for one in over[1:]]
        assert shell.run(image) == before


@pytest.mark.slow
def test_what_make_run_says_can_be_typed(shell: Shell) -> None:
    told = re.findall(r'^\t@echo "  (.*)"$', (TOP / "Makefile").read_text(), re.MULTILINE)
    told = [
        one.replace("\\$$", "$").replace("exec -it", "exec") for one in told
    ]  # no terminal here
    commands = [one for one in told if not one.startswith(("cd ", "export "))]
    assert {one.split()[0] for one in commands} == {"kubectl", "dig", "kdns"}
    for one in commands:
        if "wbe" in one:
            assert shell.run(one).startswith("service wbe does not exist in namespace shop")
        else:
            said(shell, one)


@pytest.mark.slow
def test_what_is_said_to_be_exported_is_the_same_everywhere() -> None:
    texts = [README.read_text(), TUTORIAL.read_text(), (TOP / "Makefile").read_text()]
    found = [re.findall(r"\bexport (KUBECONFIG=.*?)\"?$", one, re.MULTILINE) for one in texts]
    expected = ["KUBECONFIG=$PWD/.kdns/kubeconfig PATH=$PWD/.venv/bin:$PATH"]
    assert [[one.replace("\\$$", "$") for one in each] for each in found] == [expected] * 3


@pytest.mark.slow
@pytest.mark.parametrize("path", [README, TUTORIAL], ids=["README", "tutorial"])
def test_pages_that_are_named_are_there(shell: Shell, path: Path) -> None:
    pages = set(re.findall(r"http://127\.0\.0\.1:\d+[\w/]*", path.read_text(encoding="utf-8")))
    pages = {page for page in pages if ":30" not in page}  # node ports, which the tour asks
    assert pages == {"http://127.0.0.1:9154"}
    for page in pages:
        with urllib.request.urlopen(page.replace(*next(_pages(shell))), timeout=30) as reply:
            assert b"<title>kdns" in reply.read()


def _pages(shell: Shell) -> Iterator[tuple[str, str]]:
    return ((old, new) for old, new in shell.replace.items() if old.startswith("http://"))


@pytest.mark.parametrize(
    ("shown", "printed", "holds"),
    [
        ("10.244.1.2", "10.244.3.9", True),
        ("10.96.20.1", "10.96.20.2", False),
        ("10.244.1.2", "10.244.1.2\n10.244.1.3", False),
        ("10.244.1.2\n10.244.1.3", "10.244.1.2", False),
        ("a\nb", "b\na", True),
        ("a\n...", "b\na", True),
        ("a\n...", "b", False),
        ("web-vvsv7jhl4h-q8f5t 1/1 5s", "web-6cg7vvh5g2-4vd9b   1/1  12s", True),
        ("web-vvsv7jhl4h-q8f5t 1/1 5s", "web-6cg7vvh5g2-4vd9b   0/1  12s", False),
        ("x 6s (x2 over 10s) y", "x 1s y", True),
        ("  2 web.shop.svc.", "  12 web.shop.svc.", True),
        ("  2 web.shop.svc.", "  2 api.shop.svc.", False),
        ("since 2026-11-22T10:00:00Z (2 s): x", "since 2027-01-02T03:04:05Z (14 s): x", True),
        ("176 of 189 clauses passed, 0 failed that must hold, 1 skipped; 1.7 s.",
         "170 of 190 clauses passed, 0 failed that must hold, 12 skipped; 2.9 s.", True),
        ("1 of 2 clauses passed, 0 failed that must hold",
         "1 of 2 clauses passed, 1 failed that must hold", False),
    ],
)  # fmt: skip
def test_what_is_otherwise_is_noticed(shown: str, printed: str, holds: bool) -> None:
    assert bool(difference(tuple(shown.splitlines()), printed)) != holds


def test_a_lab_on_loopback_is_read_as_the_usual_one() -> None:
    typed = "dig -x 10.96.0.10; curl http://172.18.0.11:30080 http://110.96.0.1"
    assert (
        moved(typed, LOOPBACK)
        == "dig -x 127.96.0.10; curl http://127.18.0.11:30080 http://110.96.0.1"
    )
    printed = "127.244.1.5 127.51.100.1 tcp://127.107.0.1:20443 PORT=20080 127.18.0.9:20303 127.0.0.1 (here on port 20080)"
    assert moved_back(printed, LOOPBACK) == (
        "10.244.1.5 198.51.100.1 tcp://10.107.0.1:443 PORT=80 172.18.0.9:303 127.0.0.1"
    )


def test_what_is_ours_is_marked() -> None:
    text = "<!-- ours -->\n```console\n$ a\nb\n```\n\n```console\n$ c\n```\n"
    assert [(one.line, one.command, one.shown, one.is_ours) for one in steps(text)] == [
        (3, "a", ("b",), True),
        (8, "c", (), False),
    ]
