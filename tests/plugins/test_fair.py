"""fair: what it takes; what it does is tested in tests/server/test_overload."""

from ipaddress import ip_network

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.fair import Fair, Terms
from tests import fakes


def fair(text: str) -> Fair:
    return fakes.plugins(text, fakes.site(), Fair)[0]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("fair", Terms(is_on=True, share=0.6, exempt=())),
        ("fair off", Terms(is_on=False)),
        ("fair {\n share 75%\n}", Terms(share=0.75)),
        (
            "fair {\n exempt 10.0.0.0/8 ::1\n exempt 192.0.2.1\n}",
            Terms(exempt=tuple(map(ip_network, ("10.0.0.0/8", "::1", "192.0.2.1")))),
        ),
    ],
)
def test_terms(text, terms):
    assert fair(text).terms == terms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fair on", "expected off"),
        ("fair off {\n share 50%\n}", "goes with no options"),
        ("fair {\n share 5%\n}", "from 10% to 95%"),
        ("fair {\n share 96%\n}", "from 10% to 95%"),
        ("fair {\n share 50\n}", "a percentage"),
        ("fair {\n exempt\n}", "exempt"),
        ("fair {\n exempt x\n}", "found 'x'"),
        ("fair {\n limit 5\n}", "unknown option"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        fair(text)
