"""A directive that nobody would ever get to is a mistake, with the one that is in its way."""

import pytest

from kdns.server.assembly import Services, build


def mistakes(*lines: str) -> list[str]:
    errors = []
    block = "\n".join([".:53 {", *lines, "kubernetes cluster.local", "}"])
    build(block, "Corefile", Services(), errors)
    return [str(error) for error in errors]


@pytest.mark.parametrize("behind", ["hostnames", "ingress"])
@pytest.mark.parametrize("zone", ["apps.example", "a.apps.example"])
def test_a_zone_of_which_nothing_is_left_is_a_mistake(behind, zone):
    [error] = mistakes("k8s_external apps.example", f"{behind} other.example {zone}")
    assert error.startswith("Corefile:3: ")
    assert "k8s_external (line 2) is asked before it" in error
    assert "add fallthrough to k8s_external" in error


@pytest.mark.parametrize(
    "before",
    [
        "k8s_external apps.example {\n fallthrough\n}",
        "k8s_external apps.example b.example {\n fallthrough apps.example\n}",
        "k8s_external a.apps.example",
        "hostnames apps.example {\n fallthrough example\n}",
    ],
)
def test_one_that_names_come_to_is_none(before):
    assert not mistakes(before, "ingress apps.example")


def test_each_block_is_for_itself():
    errors = []
    one, two = (
        f".:{port} {{\n {directive} apps.example\n kubernetes cluster.local\n}}\n"
        for port, directive in ((53, "hostnames"), (54, "ingress"))
    )
    build(one + two, "Corefile", Services(), errors)
    assert not errors
