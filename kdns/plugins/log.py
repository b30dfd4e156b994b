"""log: one line per query on standard output, told per batch and after the fact.

All `log` directives of a block make one list of rules: the first whose zone holds the name decides
by its classes and its FORMAT. Lines are made from packet and reply as they were on the wire, and
only what FORMAT names is looked at.
"""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from kdns.corefile.options import Settings, Shape, Syntax, choice, text, zones
from kdns.observe import logs
from kdns.plugins.base import Observer, Seen, Site, zone_of
from kdns.wire import names, types
from kdns.wire.message import Question
from kdns.wire.names import ROOT, Key
from kdns.wire.scan import scan, skip_name

log = logging.getLogger("kdns.log")

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
COMBINED = COMMON + ' "{>opcode}"'
CLASSES = ("success", "denial", "error", "all")

_LABEL = re.compile(r"\{[^{}\s]+\}")
_FLAGS = ("qr", "aa", "tc", "rd", "ra", "z", "ad", "cd")
_MASKS = (types.QR, types.AA, types.TC, types.RD, types.RA, 0x40, types.AD, types.CD)
_CLASS_OF = {
    "NOERROR": "success", "DELEGATION": "success", "NXDOMAIN": "denial", "NODATA": "denial",
}  # fmt: skip


class Exchange:
    """One query and its reply, read where a label asks for it."""

    __slots__ = ("flags", "question", "seen", "template")

    def __init__(self, seen: Seen, template: "Template | None" = None) -> None:
        self.seen = seen
        self.template = template
        self.question: Question = _question(seen.packet[2:])
        """What was asked, but for the ID; a packet that was answered scans."""
        reply = seen.reply
        self.flags: int = reply[2] << 8 | reply[3] if reply else 0
        """The reply's header flags, 0 without a reply."""

    @property
    def bufsize(self) -> int:
        """How large a reply the asker can take."""
        return 65535 if self.seen.client.protocol == "tcp" else max(self.question.size, 512)

    @property
    def kind(self) -> str:
        """What sort of reply it is (facts C.4): the label {/log/type}."""
        reply, asked = self.seen.reply, self.question
        if reply is None:
            return "OTHERERROR"
        if asked.type in (types.AXFR, types.IXFR) or self.opcode == types.NOTIFY:
            return "META"
        rcode, has_answer = self.flags & 0xF, reply[6:8] != b"\0\0"
        if rcode == types.NOERROR:
            return "NOERROR" if has_answer or reply[8:10] == b"\0\0" else _authority(reply)
        if rcode == types.NXDOMAIN and not has_answer:
            return "NXDOMAIN"
        return "SERVERERROR" if rcode in (types.SERVFAIL, types.NOTIMP) else "OTHERERROR"

    @property
    def cls(self) -> str:
        """The class that `class` lines choose by."""
        return _CLASS_OF.get(self.kind, "error")

    @property
    def id(self) -> int:
        """The query's ID."""
        packet = self.seen.packet
        return packet[0] << 8 | packet[1]

    @property
    def opcode(self) -> int:
        """The opcode asked with."""
        return self.question.flags >> 11 & 0xF

    @property
    def rcode(self) -> str | None:
        """The reply's code; None without a reply."""
        return types.rcode_name(self.flags & 0xF) if self.seen.reply else None

    @property
    def protocol(self) -> str:
        """What carried it."""
        return self.seen.client.protocol

    def text(self) -> str:
        """The line as FORMAT makes it."""
        return self.template.fill(self) if self.template else ""

    def fields(self) -> Mapping[str, Any]:  # Any: JSON values
        """What a JSON record adds to the line (facts E.2)."""
        asked, seen = self.question, self.seen
        return {
            "client_ip": _host(seen.client.address).strip("[]"),
            "client_port": seen.client.port,
            "qname": _name(asked.key),
            "qtype": types.type_name(asked.type),
            "qclass": types.class_name(asked.cls),
            "protocol": self.protocol,
            "id": self.id,
            "opcode": self.opcode,
            "request_size": len(seen.packet),
            "dnssec_ok": asked.do,
            "bufsize": self.bufsize,
            "rcode": self.rcode,
            "response_size": len(seen.reply or b""),
            "duration_seconds": round(seen.ended - seen.started, 9),
        }


def _authority(reply: bytes) -> str:
    """What a reply without answers is, by its first authority records."""
    at = skip_name(reply, 12) + 4
    kind = "NOERROR"
    for _ in range(reply[8] << 8 | reply[9]):
        at = skip_name(reply, at)
        type_ = reply[at] << 8 | reply[at + 1]
        if type_ == types.SOA:
            return "NODATA"
        if type_ == types.NS:
            kind = "DELEGATION"
        at += 10 + (reply[at + 8] << 8 | reply[at + 9])
    return kind


# perf: clients repeat themselves, and unremembered these make half of a line's cost

_memo = lru_cache(4096)

REPEATED_BYTES: Final = 512
"""Longer packets are read each time: remembered, thousands of 64 KB would be all the memory."""


def _question(tail: bytes) -> Question:
    return _repeated(tail) if len(tail) <= REPEATED_BYTES else scan(b"\0\0" + tail)


@_memo
def _repeated(tail: bytes) -> Question:
    return scan(b"\0\0" + tail)


@_memo
def _name(key: Key) -> str:
    return names.format(key)


@_memo
def _host(address: bytes) -> str:
    host = names.format_address(address)
    return f"[{host}]" if len(address) == 16 else host


@_memo
def _flag_names(flags: int) -> str:
    return ",".join([name for name, mask in zip(_FLAGS, _MASKS, strict=True) if flags & mask])


def _seconds(seen: Seen) -> str:
    return f"{seen.ended - seen.started:.9f}".rstrip("0").rstrip(".") + "s"


LABELS: dict[str, Callable[[Exchange], object]] = {
    "{type}": lambda one: types.type_name(one.question.type),
    "{class}": lambda one: types.class_name(one.question.cls),
    "{name}": lambda one: _name(one.question.key),
    "{proto}": lambda one: one.protocol,
    "{size}": lambda one: len(one.seen.packet),
    "{remote}": lambda one: _host(one.seen.client.address),
    "{port}": lambda one: one.seen.client.port,
    "{local}": lambda one: _host(one.seen.client.local) if one.seen.client.local else "-",
    "{rcode}": lambda one: one.rcode or "-",
    "{rsize}": lambda one: len(one.seen.reply or b""),
    "{duration}": lambda one: _seconds(one.seen),
    "{>id}": lambda one: one.id,
    "{>opcode}": lambda one: one.opcode,
    "{>do}": lambda one: str(one.question.do).lower(),
    "{>bufsize}": lambda one: one.bufsize,
    "{>rflags}": lambda one: _flag_names(one.flags) or "-",
    "{/log/class}": lambda one: one.cls,
    "{/log/type}": lambda one: one.kind,
}


class Template:
    """A FORMAT, taken apart once: fixed text with a place for each label."""

    def __init__(self, form: str) -> None:
        form = form.replace("{combined}", COMBINED).replace("{common}", COMMON)
        fixed, self._labels, at = [], [], 0
        words = [match[0] for match in _LABEL.finditer(form)]
        self.metadata = frozenset(word[2:-1] for word in words if word.startswith("{/"))
        """The labels of metadata among them."""
        for match in _LABEL.finditer(form):
            label = LABELS.get(match[0]) or _metadata(match[0])
            if label is not None:
                fixed.append(form[at : match.start()].replace("%", "%%"))
                self._labels.append(label)
                at = match.end()
        self._fixed = "%s".join([*fixed, form[at:].replace("%", "%%")])

    def fill(self, one: Exchange) -> str:
        """The line of an exchange; line ends in metadata are escaped."""
        line = self._fixed % tuple([label(one) for label in self._labels])
        return line.replace("\n", "\\n") if "\n" in line else line


def _metadata(label: str) -> Callable[[Exchange], object] | None:
    if not label.startswith("{/"):
        return None
    key = label[2:-1]
    return lambda one: (one.seen.metadata or {}).get(key, "-")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one directive asks for."""

    zones: tuple[Key, ...]
    template: Template
    classes: Collection[str]


class Log(Observer):
    """The rules of a block. The first directive holds them all, the others only bring theirs."""

    name = "log"
    syntax = Syntax(
        args=Shape(rest=text),
        options={"class": Shape(words=(choice(*CLASSES),), rest=choice(*CLASSES), repeats=True)},
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.rules: list[Rule] = site.beside.setdefault("log rules", [])
        self._writes = site.beside.setdefault("log", self) is self
        *scope, form = settings.args or (".", "{common}")
        if len(settings.args) == 1 or "{" not in form:
            scope, form = list(settings.args), "{common}"
        self._suspect = next((name for name in scope if "{" in name), "")
        classes = settings.values("class") or ("all",)
        template = Template(form)
        self.rules.append(Rule(_scope(settings, scope), template, frozenset(classes)))
        self.labels = template.metadata

    async def start(self) -> None:
        """Warns of a FORMAT that stands where a name is expected."""
        if self._suspect:
            log.warning("%r is read as a name: write `log . FORMAT`", self._suspect)

    def observe(self, batch: Sequence[Seen]) -> None:
        """Writes the lines of a batch at once."""
        if self._writes:
            logs.write(self.name, [one for one in map(self._chosen, batch) if one])

    def _chosen(self, seen: Seen) -> Exchange | None:
        """The line for a query, if the first rule for its name wants one."""
        one = Exchange(seen)
        for rule in self.rules:
            if rule.zones == (ROOT,) or zone_of(one.question.key, rule.zones) is not None:
                if "all" not in rule.classes and one.cls not in rule.classes:
                    return None
                one.template = rule.template
                return one
        return None


def _scope(settings: Settings, scope: Sequence[str]) -> tuple[Key, ...]:
    try:
        return tuple(zone for name in scope for zone in zones(name))
    except ValueError as error:
        raise settings.fail(f"log: expected {error}") from error
