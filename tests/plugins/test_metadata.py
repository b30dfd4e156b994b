"""metadata: labels are kept for names in its zones and only there."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP, Backend, Ledger, Query
from kdns.plugins.metadata import Metadata
from kdns.wire import names
from tests import fakes


class Labels(Backend):
    """Offers one label, and remembers what it could read back."""

    name = "labels"
    made = 0

    async def answer(self, query):
        query.note("labels/key", self.value)
        self.read = query.meta("labels/key")
        return SKIP

    def value(self):
        self.made += 1
        return "value"


async def labels(text: str, name: str, **site: object) -> tuple[str, Labels]:
    """What a plugin behind `text` reads of the label it offered."""
    chain = fakes.chain(text, Metadata, **site)
    backend = Labels(chain.plugins[0].settings, chain.site)
    ledger = Ledger(chain.site.stamps, chain.route)
    query = Query.of(fakes.question(name), fakes.client(), 0.0, ledger)
    assert await chain.plugins[0].around(query, backend.answer) is SKIP
    return backend.read, backend


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("metadata", "a.example.org", "value"),
        ("metadata", "a.example.net", ""),
        ("metadata example.net", "a.example.net", "value"),
        ("metadata example.net", "a.example.org", ""),
        ("metadata example.net .", "a.example.org", "value"),
        ("metadata 10.0.0.0/8", "1.0.0.10.in-addr.arpa", "value"),
    ],
)
async def test_labels_are_kept_in_its_zones(text, name, expected):
    read, _ = await labels(text, name, zones=(names.parse_key("example.org"),))
    assert read == expected


async def test_a_label_is_made_only_when_it_is_read():
    read, backend = await labels("metadata", "a.example.org")
    assert (read, backend.made) == ("value", 1)
    _, backend = await labels("metadata example.net", "a.example.org")
    assert backend.made == 0


async def test_an_internal_look_up_adds_to_the_labels_of_its_query():
    chain = fakes.chain("metadata", Metadata)
    ledger = Ledger(chain.site.stamps, chain.route)
    ledger.metadata = {"old/label": lambda: "kept"}
    query = Query.of(fakes.question("a.example.org"), fakes.client(), 0.0, ledger)
    backend = Labels(chain.plugins[0].settings, chain.site)
    await chain.plugins[0].around(query, backend.answer)
    assert (query.meta("old/label"), query.meta("labels/key")) == ("kept", "value")


@pytest.mark.parametrize("text", ["metadata {\n x\n }", "metadata a..b"])
def test_what_it_does_not_take(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Metadata)
