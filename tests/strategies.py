"""Hypothesis strategies that several tests share: names, questions, packets, broken packets."""

import dns.edns
import dns.message
import dns.rdataclass
from hypothesis import strategies as st

from kdns.wire import names

labels = st.binary(min_size=1, max_size=63)
plain_labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=15)


@st.composite
def wire_names(draw: st.DrawFn) -> bytes:
    """Any name that fits."""
    parts: list[bytes] = []
    for label in draw(st.lists(labels, max_size=12)):
        if sum(len(p) + 1 for p in parts) + len(label) + 2 <= 255:
            parts.append(label)
    return names.from_labels(parts)


@st.composite
def host_names(draw: st.DrawFn) -> str:
    """Ordinary text names of a few labels."""
    return ".".join(draw(st.lists(plain_labels, min_size=1, max_size=6))) + "."


@st.composite
def packets(draw: st.DrawFn, name: st.SearchStrategy[str] | None = None) -> bytes:
    """A well-formed query, with or without EDNS."""
    text = draw(name or host_names())
    query = dns.message.make_query(
        text,
        draw(
            st.sampled_from(["A", "AAAA", "SRV", "PTR", "TXT", "SOA", "NS", "MX", "ANY", "HTTPS"])
        ),
    )
    query.id = draw(st.integers(0, 0xFFFF))
    query.flags = draw(st.sampled_from([0, 0x0100, 0x0110, 0x0120, 0x0130]))
    if draw(st.booleans()):
        options = draw(st.lists(st.binary(max_size=20), max_size=2))
        query.use_edns(
            0,
            0x8000 if draw(st.booleans()) else 0,
            draw(st.sampled_from([0, 512, 1232, 4096, 65535])),
            options=[dns.edns.GenericOption(65001 + at, data) for at, data in enumerate(options)],
        )
    wire = bytearray(query.to_wire())
    if draw(st.booleans()):
        at = 12
        while size := wire[at]:
            for place in range(at + 1, at + 1 + size):
                if chr(wire[place]).isalpha() and draw(st.booleans()):
                    wire[place] ^= 0x20
            at += size + 1
    return bytes(wire)


@st.composite
def broken_packets(draw: st.DrawFn) -> bytes:
    """A query after some bytes were changed, cut out, or put in."""
    wire = bytearray(draw(packets()))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(wire) - 1, 0)))
        match draw(st.sampled_from(["set", "cut", "put", "end"])):
            case "set" if wire:
                wire[at] = draw(st.integers(0, 255))
            case "cut":
                del wire[at : at + draw(st.integers(1, 8))]
            case "put":
                wire[at:at] = draw(st.binary(max_size=8))
            case _:
                del wire[at:]
    return bytes(wire)
