"""logs: lines as CoreDNS writes them, in text and JSON; one write for a batch of queries."""

import io
import json
import logging
import re
import sys

import pytest

from kdns.observe import logs


@pytest.fixture
def written(monkeypatch):
    """Sets the process's log up and returns what it wrote, by stream."""
    root = logging.getLogger("kdns")
    before = root.level, root.propagate, list(root.handlers)

    def set_up(shape: str) -> tuple[Writes, Writes]:
        out, err = Writes(), Writes()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        logs.set_up(shape)
        return out, err

    yield set_up
    root.level, root.propagate, root.handlers = before


class Writes(io.StringIO):
    """A stream that counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


class Line:
    """A query line."""

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self) -> str:
        return self._text

    def fields(self) -> dict[str, object]:
        return {"qname": "a.", "rcode": None, "id": 7}


@pytest.mark.parametrize(
    ("logger", "level", "message", "expected"),
    [
        ("kdns", "info", "up", "[INFO] up"),
        ("kdns", "warning", "hm", "[WARNING] hm"),
        ("kdns.hosts", "error", "gone", "[ERROR] plugin/hosts: gone"),
        ("kdns.plugins.hosts", "error", "gone", "[ERROR] plugin/hosts: gone"),
        ("kdns.server", "error", "gone", "[ERROR] server: gone"),
        ("kdns.cluster.manifests", "info", "read", "[INFO] cluster.manifests: read"),
        ("kdns.hosts", "info", "two\nlines", "[INFO] plugin/hosts: two\\nlines"),
        ("kdns.hosts", "info", "b\xfccher \udc80", "[INFO] plugin/hosts: b\xfccher \\udc80"),
    ],
)
def test_text(written, logger, level, message, expected):
    out, err = written("text")
    getattr(logging.getLogger(logger), level)("%s", message)
    assert (out.getvalue(), err.getvalue()) == (expected + "\n", "")


@pytest.mark.parametrize(
    ("logger", "level", "message", "expected"),
    [
        ("kdns", "info", "up", {"level": "INFO", "msg": "up"}),
        ("kdns", "warning", "hm", {"level": "WARN", "msg": "hm"}),
        ("kdns.hosts", "error", "g\n", {"level": "ERROR", "msg": "g\n", "plugin": "hosts"}),
        ("kdns.server", "error", "gone", {"level": "ERROR", "msg": "server: gone"}),
        ("kdns.hosts", "info", "\udc80", {"level": "INFO", "msg": "\udc80", "plugin": "hosts"}),
    ],
)
def test_json(written, logger, level, message, expected):
    out, _ = written("json")
    getattr(logging.getLogger(logger), level)("%s", message)
    [line] = out.getvalue().splitlines()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", found.pop("time"))
    assert found == expected


@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_batch_leaves_in_one_write(written, shape):
    out, _ = written(shape)
    logs.write("log", [Line("one"), Line("two")])
    logs.write("log", [])
    assert out.count == 1
    if shape == "text":
        assert out.getvalue() == "[INFO] one\n[INFO] two\n"
        return
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(one["msg"], one["plugin"], one["id"], one["rcode"]) for one in found] == [
        ("one", "log", 7, None),
        ("two", "log", 7, None),
    ]


def test_debug_lines_need_debug(written):
    out, _ = written("text")
    log = logging.getLogger("kdns.hosts")
    log.debug("no")
    logging.getLogger("kdns").setLevel(logging.DEBUG)
    log.debug("yes")
    assert out.getvalue() == "[DEBUG] plugin/hosts: yes\n"


def fail() -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        logging.getLogger("kdns.server").exception("a plugin failed")


def test_an_error_is_one_line_with_its_place(written):
    out, _ = written("text")
    fail()
    [line] = out.getvalue().splitlines()
    start = "[ERROR] server: a plugin failed: ValueError: bad\\nvalue at "
    assert re.fullmatch(re.escape(start) + r".*test_logs\.py:\d+", line)


@pytest.mark.parametrize("shape", ["text", "json"])
def test_debug_shows_the_traceback(written, shape):
    out, _ = written(shape)
    logging.getLogger("kdns").setLevel(logging.DEBUG)
    fail()
    text = out.getvalue() if shape == "text" else json.loads(out.getvalue())["msg"]
    assert "\nTraceback (most recent call last):\n" in text
    assert text.rstrip().endswith("ValueError: bad\nvalue")


@pytest.mark.parametrize(
    ("shape", "plain", "last"),
    [("text", ".:53\n", "no socket\n"), ("json", '"msg":".:53"', '"level":"FATAL"')],
)
def test_what_is_said_at_start(written, shape, plain, last):
    out, err = written(shape)
    logs.announce(".:53")
    logs.warn("odd name")
    logs.fatal("no socket")
    assert plain in out.getvalue()
    assert "odd name" in out.getvalue()
    assert last in err.getvalue()
    assert "no socket" not in out.getvalue()


def test_setting_up_twice_writes_once(written):
    written("json")
    out, _ = written("text")
    logging.getLogger("kdns").info("once")
    assert out.getvalue() == "[INFO] once\n"


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed")])
def test_a_closed_output_is_not_our_failure(written, error, monkeypatch):
    out, err = written("text")

    def broken(_: str) -> int:
        raise error

    monkeypatch.setattr(out, "write", broken)
    logging.getLogger("kdns").info("lost")
    assert err.getvalue() == ""
