"""Policies that make no sense are refused, as a server does: whoever enforces them never sees one."""

from itertools import count
from typing import Any

import pytest

from kdns.lab.errors import ApiError
from kdns.lab.resources import NAMESPACES, POLICIES
from kdns.lab.storage import Storage

BLOCK = {"cidr": "10.0.0.0/8"}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"from": [{"podSelector": {"matchExpressions": [{"key": "a"}]}}]}, "operator: Invalid"),
        ({"from": [{"namespaceSelector": {"matchLabels": {"a b": ""}}}]}, "matchLabels: Invalid"),
        ({"from": [{"ipBlock": BLOCK, "podSelector": {}}]}, "both ipBlock and another peer"),
        ({"from": [{"ipBlock": {**BLOCK, "except": ["x"]}}]}, "except[0]: Invalid value"),
        ({"from": [{"ipBlock": {**BLOCK, "except": ["11.0.0.0/9"]}}]}, "strict subset of `cidr`"),
        ({"ports": [{"port": 80, "endPort": 70}]}, "greater than or equal to `port`"),
        ({"ports": [{"port": "http", "endPort": 70}]}, "when `port` is non-numeric"),
        ({"ports": [{"endPort": 70}]}, "when `port` is not specified"),
    ],
)
def test_what_makes_no_sense_is_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError) as refused:
        stored({"podSelector": {}, "ingress": [rule]})
    assert refused.value.code == 422
    assert said in refused.value.message


def test_there_are_two_directions() -> None:
    with pytest.raises(ApiError, match=r'policyTypes: Unsupported value: "Both"'):
        stored({"podSelector": {}, "policyTypes": ["Both"]})


def stored(spec: dict[str, Any]) -> None:
    number = count(1)
    storage = Storage(now=lambda: 1.7e9, uid=lambda: f"uid-{next(number)}")
    storage.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
    storage.create(POLICIES, "shop", {"metadata": {"name": "one"}, "spec": spec})
