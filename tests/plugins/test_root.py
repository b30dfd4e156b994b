"""root: gives the directory that relative paths start from."""

import logging

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.root import Root
from kdns.server.assembly import Services, build
from tests import fakes


@pytest.mark.parametrize("text", ["root", "root /a /b", "root /a {\n x\n }"])
def test_it_takes_one_directory(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Root)


async def test_a_missing_directory_is_worth_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "kdns.root"):
        for path in (tmp_path, tmp_path / "nowhere"):
            [plugin] = fakes.chain(f"root {path}", Root).plugins
            await plugin.start()
    assert [record.getMessage().split()[0] for record in caplog.records] == [
        str(tmp_path / "nowhere")
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param("hosts file\n root /a", "/a", id="the order in the block is free"),
        pytest.param("root /a\n root /b\n hosts file", "/b", id="the last counts"),
        pytest.param("hosts file", "", id="none"),
    ],
)
def test_other_plugins_of_the_block_are_told(lines, expected):
    errors = []
    assembly = build(f".:0 {{\n {lines}\n}}\n", "Corefile", Services(), errors)
    assert not errors
    assert [one.site.root for one in assembly.plugins if one.name == "hosts"] == [expected]


def test_other_blocks_are_not():
    errors = []
    text = "a.:0 {\n root /a\n hosts file\n}\nb.:0 {\n hosts file\n}\n"
    assembly = build(text, "Corefile", Services(), errors)
    assert [one.site.root for one in assembly.plugins if one.name == "hosts"] == ["/a", ""]
