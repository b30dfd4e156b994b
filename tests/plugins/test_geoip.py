"""geoip: labels by the asker's address. The values are those CoreDNS 1.15.0 gave for this file."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.geoip import Geoip
from tests import fakes
from tests.mmdb import database
from tests.tabled import served

LOOP = {
    "city": {"names": {"en": "Looptown", "de": "x"}},
    "country": {"iso_code": "LO", "is_in_european_union": True, "names": {"en": "Loop Land"}},
    "continent": {"code": "EU", "names": {"en": "Europe"}},
    "location": {"latitude": 51.5, "longitude": -0.1, "time_zone": "Europe/Loop"},
    "postal": {"code": "1 2"},
}
BARE = {"country": {"iso_code": "BA"}}
EXPECTED = {
    "city/name": "Looptown", "country/code": "LO", "country/name": "Loop Land",
    "country/is_in_european_union": "true", "continent/code": "EU", "continent/name": "Europe",
    "latitude": "51.5", "longitude": "-0.1", "timezone": "Europe/Loop", "postalcode": "1 2",
}  # fmt: skip
SUBNET = ((8, b"\0\1\x18\0\x0a\1\2"),)


def core(path, options="", rest="hosts {\n 10.0.0.1 a.example\n }"):
    told = " ".join(f"{{/geoip/{label}}}" for label in [*EXPECTED, "asn/number", "asn/org"])
    return f'a.example:0 {{\n metadata\n geoip {path} {options}\n log . "{told}"\n {rest}\n}}\n'


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "city.mmdb"
    path.write_bytes(database({"127.0.0.0/8": LOOP, "10.0.0.0/8": BARE, "fd00::/8": BARE}))
    return path


async def labels(one, address, **how):
    """The labels that observers are told with the next replies to one client."""
    seen = []
    [log] = [plugin for plugin in one.plugins if plugin.name == "log"]
    log.observe = seen.extend
    for _ in range(3):
        await one.ask("a.example", address=address, **how)
    one.pipeline.tell()
    found = [dict(told.metadata or {}) for told in seen]
    assert all(told == found[0] for told in found)
    return {label.removeprefix("geoip/"): value for label, value in found[0].items()}


async def test_the_labels_are_those_of_the_record(path):
    async with served(core(path)) as one:
        assert await labels(one, "127.0.0.1") == EXPECTED
        bare = await labels(one, "10.9.9.9")
        assert bare == dict.fromkeys(EXPECTED, "") | {
            "country/code": "BA", "country/is_in_european_union": "false",
        }  # fmt: skip
        assert await labels(one, "11.1.1.1") == {}


@pytest.mark.parametrize("order", [1, -1])
async def test_each_asker_has_his_own_labels_whoever_came_first(path, order):
    expected = [("127.0.0.1", "LO"), ("10.0.0.1", "BA"), ("fd00::1", "BA"), ("8.8.8.8", None)]
    async with served(core(path)) as one:
        for _ in range(3):
            for address, code in expected[::order]:
                assert (await labels(one, address)).get("country/code") == code
        assert await one.is_remembered("a.example")


async def test_an_answer_made_of_a_label_is_for_who_has_it(path):
    rest = 'template IN TXT {\n answer "{{ .Name }} 5 IN TXT x{{ .Meta `geoip/country/code` }}"\n }'
    async with served(core(path, rest=rest)) as one:
        for _ in range(4):
            for address, code in (("127.0.0.1", "xLO"), ("10.0.0.1", "xBA"), ("8.8.8.8", "x")):
                reply = await one.ask("a.example", "TXT", address)
                assert reply.answer[0][0].to_text() == f'"{code}"'


async def test_a_client_subnet_counts_where_that_is_wanted(path):
    async with served(core(path, "{\n edns-subnet\n }")) as one:
        for _ in range(3):
            assert (await labels(one, "127.0.0.1", options=SUBNET))["country/code"] == "BA"
            assert (await labels(one, "127.0.0.1"))["country/code"] == "LO"
    async with served(core(path)) as one:
        assert (await labels(one, "127.0.0.1", options=SUBNET))["country/code"] == "LO"


async def test_numbers_of_networks_are_labels_too(tmp_path):
    record = {"autonomous_system_number": 65001, "autonomous_system_organization": "Org"}
    path = tmp_path / "asn"
    path.write_bytes(database({"127.0.0.0/8": record}, type_="GeoLite2-ASN"))
    async with served(core("asn").replace("metadata", f"root {tmp_path}\n metadata")) as one:
        assert await labels(one, "127.0.0.1") == {"asn/number": "65001", "asn/org": "Org"}


def test_without_metadata_nothing_is_looked_up(path):
    [plugin] = fakes.plugins(f"geoip {path}", fakes.site(), Geoip)
    plugin.look()
    assert plugin.site.beside["metadata"] == [plugin.offer]


@pytest.mark.parametrize("text", ["geoip", "geoip a b", "geoip a {\n other\n}"])
def test_wrong_arguments_are_refused(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Geoip)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"), (b"x", "is no MaxMind DB"), (b"", "cannot mmap"),
        (database({"10.0.0.0/8": {}}, type_="Mine"), "is a Mine database"),
    ],
)  # fmt: skip
async def test_a_file_that_will_not_do_ends_the_start(tmp_path, content, why):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    [plugin] = fakes.plugins(f"geoip {path}", fakes.site(), Geoip)
    with pytest.raises(ConfigError, match=why):
        await plugin.start()
