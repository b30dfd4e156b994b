"""multisocket: how many workers a Corefile asks for."""

import logging
import os

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins import multisocket
from kdns.plugins.multisocket import Multisocket
from kdns.server.assembly import Services, build
from kdns.server.siblings import Siblings, wanted
from tests import fakes

SAID = "Corefile:{}: multisocket: does nothing, the first block of a listener says how many"


@pytest.mark.parametrize("given", ["1", "2", "1024", "03", "+3"])
def test_numbers_that_are_taken(given):
    [plugin] = fakes.chain(f"multisocket {given}", Multisocket).plugins
    assert plugin.count == int(given)


@pytest.mark.parametrize(
    "text",
    ["multisocket 0", "multisocket -1", "multisocket 1025", "multisocket 2x", "multisocket 1_0",
     "multisocket ٣", "multisocket 2 3", "multisocket 2 {\n x\n }"],
)  # fmt: skip
def test_what_is_not_taken(text):
    with pytest.raises(ConfigError, match="multisocket"):
        fakes.chain(text, Multisocket)


@pytest.mark.parametrize(
    ("maxprocs", "files", "cores", "expected"),
    [
        pytest.param("3", {}, 8, 3, id="the variable"),
        pytest.param("x", {}, 8, 8, id="a variable that is no number"),
        pytest.param("", {"cpu.max": "250000 100000\n"}, 8, 2, id="the limit, whole cores of it"),
        pytest.param("", {"cpu.max": "50000 100000\n"}, 8, 1, id="less than a core"),
        pytest.param("", {"cpu.max": "max 100000\n"}, 8, 8, id="no limit"),
        pytest.param("", {"cpu.max": "400000 100000\n"}, 2, 2, id="more than there are"),
        pytest.param("", {"memory.max": "178257920\n"}, 64, 2, id="the memory limit, 170 MiB"),
        pytest.param("", {"memory.max": "33554432\n"}, 64, 1, id="memory for less than one"),
        pytest.param("", {"memory.max": "max\n"}, 64, 64, id="no memory limit"),
        pytest.param("8", {"memory.max": "178257920\n"}, 64, 8, id="the variable, whatever the memory"),
        pytest.param("", {"memory/memory.limit_in_bytes": "178257920"}, 64, 2, id="cgroup 1, memory"),
        pytest.param("", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 8, 3, id="cgroup 1"),
        pytest.param("", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 8, id="cgroup 1, no limit"),
    ],
)  # fmt: skip
def test_without_a_number_it_is_what_go_would_take(
    maxprocs, files, cores, expected, tmp_path, monkeypatch
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("GOMAXPROCS", maxprocs)
    monkeypatch.setattr(multisocket, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores))
    [plugin] = fakes.chain("multisocket", Multisocket).plugins
    assert plugin.count == expected


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        pytest.param(".:1 {\n whoami\n}", 1, [], id="none"),
        pytest.param(".:1 {\n multisocket 2\n}\na:1 {\n multisocket 3\n}", 2, [SAID.format(5)], id="the first block of a listener"),
        pytest.param(".:1 {\n whoami\n}\na:1 {\n multisocket 3\n}", 1, [SAID.format(5)], id="not the second"),
        pytest.param(".:1 {\n multisocket 2\n}\na:2 {\n multisocket 3\n}", 3, [], id="the most of all listeners"),
        pytest.param("a:1 a:2 {\n whoami\n}\nb:1 b:3 {\n multisocket 5\n}", 5, [SAID.format(5)], id="each listener for itself"),
    ],
)  # fmt: skip
def test_of_several_blocks(text, expected, said):
    errors = []
    assembly = build(text, "Corefile", Services(), errors)
    assert not errors
    warned = []
    assert wanted(assembly, warned.append) == expected
    assert warned == said


async def test_a_reload_to_another_number_says_what_to_do(caplog):
    assembly = build(".:1 {\n multisocket 4\n}", "Corefile", Services(), [])
    with caplog.at_level(logging.WARNING, "kdns.multisocket"):
        await Siblings(4).agree(assembly)
        await Siblings(is_fixed=True).agree(assembly)
        assert not caplog.records
        await Siblings().agree(assembly)
    assert "started again" in caplog.text
