"""The Corefiles that vendors ship are taken as they are, with what their users add to them."""

import re

import pytest

from kdns.corefile.tree import ConfigError
from kdns.server.assembly import Services, build
from tests.differential import acceptance

VENDORS = sorted(acceptance.VENDORS.glob("*.corefile"))


def taken(text, path):
    errors: list[ConfigError] = []
    notes: list[str] = []
    assembly = build(text, str(path), Services(), errors, warn=notes.append)
    return assembly, [str(error) for error in errors], notes


@pytest.mark.parametrize("path", VENDORS, ids=lambda path: path.stem)
def test_it_is_taken(path):
    assembly, errors, notes = taken(path.read_text(), path)
    assert not errors
    assert assembly.routers
    imports = re.findall(r"^\s*import \S+", path.read_text(), re.MULTILINE)
    assert len([note for note in notes if "no files match" in note]) == len(imports)


def test_each_names_a_cluster():
    assert len(VENDORS) >= 10
    assert all("cluster.local" in path.read_text() for path in VENDORS)


@pytest.mark.parametrize("vendor", ["aks", "k3s"])
def test_what_users_add_is_taken_in(vendor, tmp_path):
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "log.override").write_text("log . {\n  class error\n}\n")
    (custom / "b.server").write_text("b.example:53 {\n  whoami\n}\n")
    (custom / "a.server").write_text("a.example {\n  errors\n  whoami\n}\n")
    text = (acceptance.VENDORS / f"{vendor}.corefile").read_text()
    text = text.replace("/etc/coredns/custom", str(custom))
    assembly, errors, notes = taken(text, tmp_path / "Corefile")
    assert (errors, notes) == ([], [])
    assert [line.split(":")[0] for line in assembly.served] == [".", "a.example.", "b.example."]
    assert "log" in [plugin.name for plugin in assembly.plugins]


@pytest.mark.parametrize(
    ("line", "token", "hint"),
    [
        ("forward . __PILLAR__CLUSTER__DNS__ {", "__PILLAR__CLUSTER__DNS__", "a Service of the"),
        ("bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__", "__PILLAR__LOCAL__DNS__", "169.254"),
        ("forward . __PILLAR__UPSTREAM__SERVERS__", "__PILLAR__UPSTREAM__SERVERS__", "resolv.conf"),
        ("health __PILLAR__LOCAL__DNS__:8080", "__PILLAR__LOCAL__DNS__", "169.254.20.10"),
        ("errors __PILLAR__WHO__KNOWS__", "__PILLAR__WHO__KNOWS__", "what it stands for"),
    ],
)  # fmt: skip
def test_what_was_never_filled_in_is_named(line, token, hint):
    _, [error], _ = taken(f".:53 {{\n  whoami\n  {line}\n}}\n", "Corefile")
    assert error.startswith("Corefile:3")
    assert token in error
    assert hint in error


def test_also_as_a_zone_and_in_an_imported_file(tmp_path):
    _, [error], _ = taken("__PILLAR__DNS__DOMAIN__:53 {\n  whoami\n}\n", "Corefile")
    assert "cluster.local" in error
    (tmp_path / "more").write_text("forward . __PILLAR__DNS__SERVER__\n")
    _, [error], _ = taken(". {\n import more\n}\n", tmp_path / "Corefile")
    assert error.startswith(f"{tmp_path}/more:1")
