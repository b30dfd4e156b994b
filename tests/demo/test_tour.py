"""The tour, command by command: in namespaces, on loopback addresses, and with CoreDNS."""

from pathlib import Path

import pytest

from tests.demo.conftest import alone, require
from tests.demo.played import DEMO, Way, lacks, played
from tests.demo.walk import Shell, steps, walk
from tests.differential.peer import coredns

TOUR = DEMO / "README.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # a minute and a half each, and three wait for one another
    pytest.mark.skipif(bool(lacks()), reason=lacks() or "all is here"),
]


def go(shell: Shell, *, is_ours: bool = True) -> None:
    for step in steps(TOUR.read_text(encoding="utf-8")):
        if step.is_ours and not is_ours:
            continue
        wrong = walk(step, shell)
        assert not wrong, f"{TOUR.name}:{step.line}: {step.command}\n{wrong}"


@pytest.mark.parametrize("way", ["namespaces", "loopback"])
def test_every_command_prints_what_is_shown(way: Way, tmp_path: Path) -> None:
    require(way)
    with alone(), played(tmp_path, way) as shell:
        go(shell)


@pytest.mark.peer
def test_coredns_can_stand_in_our_place(way: Way, tmp_path: Path) -> None:
    binary = coredns()
    if binary is None:
        pytest.skip("CoreDNS is not installed")
    with alone(), played(tmp_path, way, dns=f"{binary} -conf {{corefile}}") as shell:
        go(shell, is_ours=False)
