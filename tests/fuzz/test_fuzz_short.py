"""Three seconds of everything; and each check of the fuzz can fail."""

import logging
import time
from collections.abc import Callable
from random import Random

import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.server.pipeline import Pipeline
from tests.fuzz import answering, corefiles, manifests, replies
from tests.fuzz.__main__ import TARGETS, run
from tests.fuzz.report import Listener, Report
from tests.fuzz.targets import Target, feed_one
from tests.socketless import Socketless

QUERY = dns.message.make_query("web.shop.svc.cluster.local", "A").to_wire()
REPLY = dns.message.make_response(dns.message.from_wire(QUERY)).to_wire()


async def test_three_seconds_find_nothing() -> None:
    report = await run(seed=Random().getrandbits(32), seconds=3)
    assert not report.findings, report.text()
    assert report.counts["packets demo"] > 100
    assert report.counts["hostile objects"] > 0
    assert all(report.counts[f"fed to {target.name}"] for target in TARGETS)


FAULTS = {
    "silence where a reply is due": None,
    "another id": b"xx" + REPLY[2:],
    "QR is clear": REPLY[:2] + b"\x01" + REPLY[3:],
    "another opcode": REPLY[:2] + b"\x91" + REPLY[3:],
    "the reply is too large": REPLY + bytes(512),
    "dnspython cannot read the reply: TrailingJunk": REPLY + b"\0",
    "another question": REPLY[:13] + b"W" + REPLY[14:],
    "": REPLY,
}


@pytest.mark.parametrize("what", FAULTS, ids=lambda what: what or "nothing")
def test_a_wrong_reply_is_seen(what: str) -> None:
    assert answering.fault(QUERY, FAULTS[what], tcp=False) == what


def test_silence_for_replies_and_for_less_than_a_header_is_right() -> None:
    for packet in (QUERY[:11], REPLY):
        assert answering.fault(packet, None, tcp=False) == ""


def slow(*_: object) -> bytes:
    """Works for longer than a call may, on a machine of any speed."""
    end = time.thread_time() + 2 * answering.MOST_CPU_S
    while time.thread_time() < end:
        pass
    return REPLY


PLANTS: dict[str, Callable] = {
    "ZeroDivisionError: ": lambda *_: 1 / 0,
    "a call took more than 0.05 s of CPU": slow,
}


@pytest.mark.parametrize("what", PLANTS)
async def test_a_pipeline_that_fails_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "recall", PLANTS[what])
    report = Report()
    with Listener() as heard:
        async with Socketless(answering.COREFILES[0]) as server:
            room = answering.Room(server, "demo", report, heard)
            room.ask(QUERY, tcp=True, address=b"\x7f\0\0\1")
    assert [found.startswith(what) for found in report.findings] == [True]


def test_a_plugin_that_fails_is_found() -> None:
    """The pipeline answers SERVFAIL and logs it; the log is read."""
    with Listener() as heard:
        try:
            raise KeyError("planted")
        except KeyError:
            logging.getLogger("kdns.server").exception("a plugin failed")
        assert "KeyError: 'planted'" in heard.take()[1][0]


def test_a_build_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corefiles, "build", lambda *_: {}["planted"])
    report = Report()
    with Listener() as heard:
        corefiles.build_one(report, ". {\n}\n", heard)
    assert [found.startswith("build raises KeyError") for found in report.findings] == [True]


def test_an_error_that_is_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corefiles, "build", lambda *given: given[3].append(ValueError("planted")))
    report = Report()
    with Listener() as heard:
        corefiles.build_one(report, ". {\n}\n", heard)
    assert list(report.findings) == ["an error that is no ConfigError, or says nothing"]
    assert ConfigError is not ValueError


async def test_manifests_that_keep_others_from_being_served_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(manifests, "ANSWERS", (("absent.fine.svc.cluster.local", "A", "10.0.0.1"),))
    report, path = Report(), tmp_path / "manifests.yaml"
    path.write_text(manifests.written([], as_list=True))
    with Listener() as heard:
        await manifests.serve_one(report, [], path, "disabled", heard)
    assert list(report.findings) == ["absent.fine.svc.cluster.local A is not answered"]


def test_a_second_warning_about_an_object_is_seen() -> None:
    once = ["f: document 1, items[0]: x", "f: document 1, items[1]: x", "f: document 2: x"]
    assert manifests.repeated(once) == []
    assert manifests.repeated([*once, "f: document 2: y"]) == ["document 2"]


def test_every_path_of_every_object_can_be_hostile() -> None:
    places = manifests.places()
    assert len(places) > 150
    assert (5, ("endpoints", 0, "hints", "forZones", 0, "name")) in places


@pytest.mark.parametrize(
    ("message", "is_framed"),
    [
        (REPLY, True),
        (REPLY + b"\0", False),
        (REPLY[:-1], False),
        (REPLY[:7] + b"\1" + REPLY[8:], False),
    ],
    ids=["whole", "junk-behind", "cut", "a-record-short"],
)
def test_frames_of_records_are_counted(message: bytes, is_framed: bool) -> None:
    assert replies.is_framed(message) == is_framed


def test_memory_that_grows_is_seen() -> None:
    settles = [(at, 40 + min(at, 5)) for at in range(20)]
    grows = [(at, 40 + at) for at in range(20)]
    assert Report(memory=settles).growth_mb() == 0
    assert Report(memory=grows).growth_mb() > answering.MOST_GROWTH_MB


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_what_is_mutated_is_right_at_first(target: Target) -> None:
    report = Report()
    with Listener() as heard:
        for octets in target.corpus:
            await feed_one(report, Random(1), target, octets, heard)
    assert not report.findings, report.text()
    assert report.counts[f"refused by {target.name}"] < len(target.corpus)


def log_it(*_: object) -> None:
    try:
        raise KeyError("planted")
    except KeyError:
        logging.getLogger("kdns.server").exception("it failed")


FEEDS = {
    "KeyError: 'planted'": lambda *_: {}["planted"],
    "it takes more than 0.05 s of CPU": slow,
    "it logs a traceback": log_it,
}


@pytest.mark.parametrize("what", FEEDS)
async def test_a_function_that_fails_is_found(what: str) -> None:
    report = Report()
    with Listener() as heard:
        await feed_one(report, Random(1), Target("it", (b"",), FEEDS[what], ()), b"", heard)
    assert [found.startswith(f"it: {what}") for found in report.findings] == [True]
