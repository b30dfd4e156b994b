"""The load generator against servers in C that do nothing, or lie: every answer is counted and judged."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import pages
from tests.bench import build, questions, table
from tests.bench.load import NXDOMAIN, RECORDS, Load, load, write
from tests.bench.scenarios import SCENARIOS
from tests.bench.servers import c_peer

MODES = ("window", "paced", "stream", "connections")
OPTIONS = ("-w", 8, "-s", 2, "-q", 20_000, "-t", 100)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    try:
        build.program("load")
        build.program("peer")
    except build.NoCompiler as error:
        pytest.skip(str(error))


@contextmanager
def playing(word: str) -> Iterator[int]:
    process, port = c_peer(word)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def asked(word: str, mode: str, path: Path, *options: str | int) -> Load:
    with playing(word) as port:
        return load(mode, port, path, *OPTIONS, *options)


@pytest.fixture
def packets(tmp_path: Path) -> Path:
    return write(tmp_path / "packets", questions.missing(16, 0))


@pytest.mark.parametrize("mode", MODES)
def test_every_answer_is_counted(mode: str, packets: Path) -> None:
    found = asked("echo", mode, packets, "-a", "-n", 200)
    assert (found.sent, found.answered, found.rcodes) == (200, 200, {"0": 200})
    assert not found.trouble
    assert 0 < found.p50_us <= found.p99_us <= found.max_us < 1e6


@pytest.mark.parametrize("mode", MODES)
def test_lost_and_wrong_answers_are_noticed(mode: str, packets: Path) -> None:
    found = asked("lie", mode, packets, "-a", "-n", 24)
    assert (found.sent, found.lost, found.wrong) == (24, 3, 3)
    assert found.answered == 21
    assert found.trouble.startswith("3 lost of 24, 3 wrong of 24 (")


def test_what_an_answer_says_is_compared(tmp_path: Path) -> None:
    name = questions.query("a.example", questions.A)
    right = asked("answer", "window", write(tmp_path / "right", [(name, RECORDS)]))
    assert not right.trouble
    for expected in (NXDOMAIN, RECORDS | 0x10):
        found = asked("answer", "window", write(tmp_path / "wrong", [(name, expected)]))
        assert (found.answered, found.wrong) == (1, 1)


def test_nobody_there_is_a_loss(packets: Path) -> None:
    with playing("echo") as port:
        pass
    found = load("window", port, packets, "-t", 20, "-w", 8, "-n", 10_000)
    assert (found.sent, found.lost, found.answered) == (40, 40, 0)


def test_source_ports_take_turns(packets: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        seen: list[int] = []

        def echo() -> None:
            while len(seen) < 16:
                packet, peer = sock.recvfrom(512)
                seen.append(peer[1])
                sock.sendto(packet[:2] + b"\x81" + packet[3:], peer)

        thread = threading.Thread(target=echo)
        thread.start()
        found = load("window", sock.getsockname()[1], packets, "-s", 4, "-w", 4, "-a")
        thread.join()
    assert not found.trouble
    assert len(set(seen)) == 4


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "BUILT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.NoCompiler, match="apt install gcc"):
        build.program("load")


def test_rounds_share_no_question() -> None:
    for make in (questions.once, lambda _, at, __: questions.missing(100, at)):
        rounds = [{wire for wire, _ in make(30, at, 3)} for at in range(3)]
        assert len(set.union(*rounds)) == sum(map(len, rounds))


@pytest.mark.parametrize(
    ("make", "names"),
    [(questions.pods, 1000), (lambda n, count: questions.noisy(n, count, 0), 1000)],
)
def test_no_packet_says_more_than_one_thing(
    make: Callable[[int, int], list[tuple[bytes, int]]], names: int
) -> None:
    expected: dict[bytes, int] = {}
    for wire, what in make(names, 3000):
        assert expected.setdefault(wire, what) == what


def test_a_bound_that_is_missed_fails_its_row() -> None:
    medians = {"hot": {"knot": 2.0, "coredns": 20.0, "coredns+cache": 10.0, "kdns": 2.4}}
    names = ["knot", "coredns+cache", "coredns", "kdns"]
    (row,) = table.rows([SCENARIOS[0]], medians, names)
    assert row.is_missed
    assert row.verdict == "≤ 1.15 × Knot: 1.20 FAIL, ≤ 0.25 × CoreDNS: 0.24 pass"
    medians["hot"]["kdns"] = 2.2
    assert not table.rows([SCENARIOS[0]], medians, names)[0].is_missed


def test_the_table_stands_between_its_marks(tmp_path: Path) -> None:
    page, readme = tmp_path / "page.md", tmp_path / "README.md"
    begin, end = pages.marks("bench-peers")
    for each in (page, readme):
        each.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    row = f"| {table.BRIEF[0]} | 1 |"
    table.write(f"| cost | kdns |\n|---|---|\n{row}\n| other | 2 |\n\nMeasured.", page, readme)
    assert "| other | 2 |\n\nMeasured." in page.read_text()
    expected = f"before\n{begin}\n| cost | kdns |\n|---|---|\n{row}\n{end}\nafter\n"
    assert readme.read_text() == expected


def test_the_readme_has_the_telling_rows_of_the_page() -> None:
    whole = pages.written(table.PAGE, "bench-peers")
    assert pages.written(pages.README, "bench-peers") == pages.brief(whole, table.BRIEF)
    assert all(f"\n| {name} |" in whole for name in table.BRIEF)
