"""Log records become lines on standard output, in CoreDNS's text shape or as one JSON object each.

Everything logs through `logging.getLogger("kdns.<plugin>")`; only `set_up` knows how lines look. A
record may carry `entries`, the query lines of a whole batch: they leave in one write. What nobody
will read costs nothing: entries make their text and their fields when a line is written.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

ROOT: Final = "kdns"
LAYERS: Final = frozenset(("cli", "server", "zone", "cluster", "corefile", "client", "observe"))
"""Second parts of logger names that are no plugins."""

STOPPING: Final = "%s: stopping; what was asked before is still answered"
NOT_REPLACED: Final = "SIGUSR2: the program is not replaced; restart kdns"
FROM_STDIN: Final = "nothing is reloaded: the Corefile came from standard input"

_TEXT_LEVELS = {logging.CRITICAL: "FATAL"}
_JSON_LEVELS = {logging.CRITICAL: "FATAL", logging.WARNING: "WARN"}


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class Entry(Protocol):
    """One query line."""

    def text(self) -> str:
        """The line as FORMAT makes it."""

    def fields(self) -> Mapping[str, Any]:  # Any: JSON values
        """What a JSON record adds to the line."""


def set_up(shape: str = "text") -> None:
    """Sends the process's log to standard output; `shape` is text or json."""
    root = logging.getLogger(ROOT)
    for old in [one for one in root.handlers if isinstance(one, Output)]:
        root.removeHandler(old)
    root.addHandler(Output(Json() if shape == "json" else Text()))
    root.setLevel(logging.INFO)
    root.propagate = False


def quieten() -> None:
    """Logs nothing: a command that is done in a second tells what it found itself."""
    root = logging.getLogger(ROOT)
    root.addHandler(logging.NullHandler())
    root.propagate = False


def keep(only: logging.Filter) -> None:
    """Logs no more than what passes a filter."""
    for handler in logging.getLogger(ROOT).handlers:
        handler.addFilter(only)


def warn(line: str) -> None:
    """Logs a warning of the process itself."""
    logging.getLogger(ROOT).warning("%s", line)


def announce(line: str) -> None:
    """Says a fact about the start: plain in text, one INFO record in JSON."""
    logging.getLogger(ROOT).info("%s", line, extra={"plain": True})


def fatal(line: str) -> None:
    """Says on standard error why the process cannot go on."""
    logging.getLogger(ROOT).critical("%s", line, extra={"plain": True})


def write(plugin: str, entries: Sequence[Entry]) -> None:
    """Logs the query lines of a batch at once."""
    log = logging.getLogger(f"{ROOT}.{plugin}")
    if entries and log.isEnabledFor(logging.INFO):
        log.info("%d queries", len(entries), extra={"entries": entries})


class Shape(Protocol):
    """How records look."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""

    def batch(self, record: logging.LogRecord, entries: Iterable[Entry]) -> str:
        """The lines of a batch of query lines, each with its line end."""


class Output(logging.Handler):
    """Writes to what standard output (for FATAL: error) is at that moment."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record, or the whole batch it carries; a closed output is not our failure."""
        stream = sys.stderr if record.levelno >= logging.CRITICAL else sys.stdout
        entries = getattr(record, "entries", None)
        if entries is None:
            lines = self.shape.format(record) + "\n"
        else:
            lines = self.shape.batch(record, entries)
        try:
            stream.write(lines.encode("utf-8", "backslashreplace").decode())
            stream.flush()
        except (OSError, ValueError):
            return


class Text:
    """`[INFO] plugin/<name>: message`, one line whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        message = record.getMessage()
        if getattr(record, "plain", False):
            return message
        level = _TEXT_LEVELS.get(record.levelno, record.levelname)
        line = f"[{level}] {_prefix(record)}{message}{_reason(record)}"
        return line.replace("\n", "\\n") + _trace(record)

    def batch(self, record: logging.LogRecord, entries: Iterable[Entry]) -> str:
        """Query lines have no prefix (CoreDNS)."""
        head = f"[{record.levelname}] "
        return "".join([f"{head}{entry.text()}\n" for entry in entries])


class Json:
    """One object per line: time, level, msg, plugin, and for queries their fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        plugin, area = _source(record)
        message = (f"{area}: " if area else "") + record.getMessage()
        message += _reason(record) + _trace(record)
        body = _ENCODE({"msg": message, **({"plugin": plugin} if plugin else {})})
        return f"{_head(record)[:-1]},{body[1:]}"

    def batch(self, record: logging.LogRecord, entries: Iterable[Entry]) -> str:
        """A line per query."""
        head = _head(record)[:-1]
        more = {"plugin": _source(record)[0]}
        bodies = [_ENCODE({"msg": one.text(), **more, **one.fields()})[1:] for one in entries]
        return "".join([f"{head},{body}\n" for body in bodies])


def _head(record: logging.LogRecord) -> str:
    """What all records have, as an object of its own."""
    time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return _ENCODE({"time": time, "level": _JSON_LEVELS.get(record.levelno, record.levelname)})


def _source(record: logging.LogRecord) -> tuple[str, str]:
    """The plugin that logs, or the area of the program; both empty for the process itself."""
    name = record.name.removeprefix(ROOT).removeprefix(".").removeprefix("plugins.")
    if name.partition(".")[0] in LAYERS:
        return "", name
    return name, ""


def _prefix(record: logging.LogRecord) -> str:
    plugin, area = _source(record)
    if plugin:
        return f"plugin/{plugin}: "
    return f"{area}: " if area else ""


def _reason(record: logging.LogRecord) -> str:
    """What was raised and where, in a few words."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f": {type(error).__name__}: {error}{where}"


def _trace(record: logging.LogRecord) -> str:
    """The whole traceback, where `debug` is on."""
    if not record.exc_info or not logging.getLogger(ROOT).isEnabledFor(logging.DEBUG):
        return ""
    return "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
