"""Turns a parsed message into text in dig's shape, and others' text into one a terminal shows."""

from collections.abc import Sequence

from kdns.wire import names, rare, types
from kdns.wire.message import RRset
from kdns.wire.parse import Message

_FLAGS = (("qr", types.QR), ("aa", types.AA), ("tc", types.TC), ("rd", types.RD),
          ("ra", types.RA), ("ad", types.AD), ("cd", types.CD))  # fmt: skip


def show(message: Message) -> str:
    """Header, question and sections."""
    lines = [f";; {types.rcode_name(message.rcode)}, flags: {flags(message)}, id: {message.id}"]
    lines += [
        f";{names.format(asked)}\t{types.class_name(cls)}\t{types.type_name(kind)}"
        for asked, kind, cls in message.questions
    ]
    sections = {
        "ANSWER": message.answer,
        "AUTHORITY": message.authority,
        "ADDITIONAL": message.additional,
    }
    for title, rrsets in sections.items():
        if rrsets:
            lines += ["", f";; {title}", *records(rrsets)]
    return "\n".join(lines)


def flags(message: Message) -> str:
    """The header's bits in words: `qr aa rd`."""
    return " ".join(word for word, bit in _FLAGS if message.flags & bit)


def records(rrsets: Sequence[RRset]) -> list[str]:
    """A line for each record of a section."""
    return [line for rrset in rrsets for line in rare.format_rrset(rrset)]


def plain(text: str) -> str:
    """Text with nothing in it that a terminal would obey, or show as something else."""
    return "".join(one if " " <= one <= "~" else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(one) or f"\\u{{{ord(one):x}}}"
