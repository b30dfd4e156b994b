"""What RFC 9113 says of frames that may not be: each ends the connection with its code, or is let be."""

import asyncio
from collections import OrderedDict

import pytest

from kdns.server.streams.accepting import StreamListener
from kdns.server.streams.turns import Turns
from kdns.server.terms import Terms
from kdns.server.web.web import Web
from kdns.server.web.webservices import Doh
from kdns.wire import hpack
from kdns.wire.http2 import (
    CALM,
    CLOSED,
    COMPRESSION,
    CONTINUATION,
    DATA,
    FLOW,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL,
    PUSH,
    RESET,
    SETTINGS,
    SIZE,
    WINDOW,
    frame,
)
from tests.server.test_stream import plain
from tests.server.test_web import Paper, question

END, WHOLE, PADDED, WEIGHED = 1, 4, 8, 32
START = (
    (":method", "POST"),
    (":scheme", "https"),
    (":path", "/dns-query"),
    (":authority", "x"),
    ("content-type", "application/dns-message"),
)
ASK = hpack.encode(START)


class Talk:
    """A connection that began well."""

    def __init__(self, octets: bytes = PREFACE + frame(SETTINGS, 0, 0)) -> None:
        world = plain()
        listener = StreamListener.__new__(StreamListener)
        listener.__dict__.update(
            pipeline=world.with_table, clock=world.clock, terms=Terms(max_streams=10),
            connections=OrderedDict(), transport="https", heard_at=0.0, underway=0, held={},
            _emptied=None, _surplus=[], turns=Turns(),
        )  # fmt: skip
        self.web, self.paper = Web(listener, Doh("https")), Paper()
        self.web.connection_made(self.paper)
        self.web.data_received(octets)

    async def say(self, octets: bytes, piece: int = 1 << 20) -> list[tuple[int, int, int, bytes]]:
        """The frames that come back: kind, flags, stream, body."""
        await asyncio.sleep(0)
        self.paper.written = b""
        for at in range(0, len(octets), piece):
            self.web.data_received(octets[at : at + piece])
        for _ in range(200):  # it reads a little in each turn of the loop
            await asyncio.sleep(0)
        while self.web._turns._waiting:
            await asyncio.sleep(0)
        back, at, found = self.paper.written, 0, []
        while at < len(back):
            end = at + 9 + int.from_bytes(back[at : at + 3], "big")
            stream = int.from_bytes(back[at + 5 : at + 9], "big")
            found.append((back[at + 3], back[at + 4], stream, back[at + 9 : end]))
            at = end
        return found


def ask(stream: int, body: bytes = b"", fields: bytes = ASK) -> bytes:
    body = body or question()
    return frame(HEADERS, WHOLE, stream, fields) + frame(DATA, END, stream, body)


def setting(code: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, code.to_bytes(2, "big") + value.to_bytes(4, "big"))


def more(*fields: tuple[str, str], start: tuple = START) -> bytes:
    return frame(HEADERS, WHOLE | END, 1, hpack.encode((*start, *fields)))


BROKEN = {
    "data of no stream": (frame(DATA, 0, 0, b"x"), PROTOCOL),
    "data of an idle stream": (frame(DATA, 0, 1, b"x"), PROTOCOL),
    "data on a closed stream": (ask(1) + frame(DATA, 0, 1, b"x"), CLOSED),
    "too much padding": (frame(HEADERS, WHOLE, 1, ASK) + frame(DATA, PADDED, 1, b"\5x"), PROTOCOL),
    "no padding": (frame(HEADERS, WHOLE, 1, ASK) + frame(DATA, PADDED, 1, b""), PROTOCOL),
    "fields of no stream": (frame(HEADERS, WHOLE, 0, ASK), PROTOCOL),
    "fields of a stream of ours": (frame(HEADERS, WHOLE, 2, ASK), PROTOCOL),
    "fields on a closed stream": (ask(1) + frame(HEADERS, WHOLE | END, 1, ASK), CLOSED),
    "an older stream": (ask(5) + ask(3), CLOSED),
    "fields within fields": (frame(HEADERS, 0, 1, ASK) + frame(HEADERS, WHOLE, 3, ASK), PROTOCOL),
    "data within fields": (frame(HEADERS, 0, 1, ASK) + frame(DATA, 0, 1, b"x"), PROTOCOL),
    "an unknown frame within fields": (frame(HEADERS, 0, 1, ASK) + frame(77, 0, 1), PROTOCOL),
    "other fields go on": (frame(HEADERS, 0, 1, ASK) + frame(CONTINUATION, 4, 3), PROTOCOL),
    "nothing goes on": (frame(CONTINUATION, WHOLE, 1, ASK), PROTOCOL),
    "a flood of pieces": (
        frame(HEADERS, 0, 1, ASK) + frame(CONTINUATION, 0, 1) * 50,
        CALM,
    ),
    "a flood of fields": (
        frame(HEADERS, 0, 1, ASK) + frame(CONTINUATION, 0, 1, bytes(16_000)) * 5,
        CALM,
    ),
    "no fields": (frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff\xff"), COMPRESSION),
    "a number that is none": (frame(HEADERS, WHOLE, 1, b"\x80"), COMPRESSION),
    "a bomb of fields": (
        frame(HEADERS, WHOLE, 1, b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 5),
        COMPRESSION,
    ),
    "a large table": (frame(HEADERS, WHOLE, 1, b"\x3f\xe2\x1f" + ASK), COMPRESSION),
    "a short priority": (frame(PRIORITY, 0, 1, b"1234"), SIZE),
    "a priority of no stream": (frame(PRIORITY, 0, 0, b"12345"), PROTOCOL),
    "its own parent": (frame(PRIORITY, 0, 1, b"\0\0\0\1\1"), PROTOCOL),
    "its own parent in fields": (
        frame(HEADERS, WHOLE | WEIGHED, 1, b"\0\0\0\1\1" + ASK),
        PROTOCOL,
    ),
    "a reset of no stream": (frame(RESET, 0, 0, bytes(4)), PROTOCOL),
    "a reset of an idle stream": (frame(RESET, 0, 1, bytes(4)), PROTOCOL),
    "a short reset": (ask(1) + frame(RESET, 0, 1, bytes(3)), SIZE),
    "settings of a stream": (frame(SETTINGS, 0, 1), PROTOCOL),
    "settings in part": (frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    "an acknowledgement with settings": (frame(SETTINGS, 1, 0, bytes(6)), SIZE),
    "push, perhaps": (setting(2, 2), PROTOCOL),
    "a window too large": (setting(4, 1 << 31), FLOW),
    "a frame too small": (setting(5, 100), PROTOCOL),
    "a frame too large": (setting(5, 1 << 24), PROTOCOL),
    "a push": (frame(PUSH, WHOLE, 1, bytes(4) + ASK), PROTOCOL),
    "a ping of a stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL),
    "a short ping": (frame(PING, 0, 0, bytes(7)), SIZE),
    "the end of a stream": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "a short end": (frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    "no room": (frame(WINDOW, 0, 0, bytes(4)), PROTOCOL),
    "no room of a stream": (
        frame(HEADERS, WHOLE, 1, ASK) + frame(WINDOW, 0, 1, bytes(4)),
        PROTOCOL,
    ),
    "room of an idle stream": (frame(WINDOW, 0, 1, b"\0\0\0\1"), PROTOCOL),
    "room in part": (frame(WINDOW, 0, 0, bytes(3)), SIZE),
    "room without end": (frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2, FLOW),
    "room without end of a stream": (
        frame(HEADERS, WHOLE, 1, ASK) + frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff") * 2,
        FLOW,
    ),
    "an overlong frame": (b"\0\x40\1\0\0\0\0\0\1", SIZE),
    "more than there is room for": (
        frame(HEADERS, WHOLE, 1, ASK) + frame(DATA, 0, 1, bytes(16_384)) * 9,
        FLOW,
    ),
    "eleven streams": (
        b"".join(frame(HEADERS, WHOLE, at, ASK) for at in range(1, 23, 2)),
        PROTOCOL,
    ),
    "a body longer than it said": (
        ask(1, fields=hpack.encode((*START, ("content-length", "5")))),
        PROTOCOL,
    ),
    "no length": (more(("content-length", "x")), PROTOCOL),
    "two lengths": (more(("content-length", "5"), ("content-length", "6")), PROTOCOL),
    "a large letter": (more(("X-y", "z")), PROTOCOL),
    "a field that is a line": (more(("x", "a\r\nb")), PROTOCOL),
    "an unknown pseudo field": (more((":x", "y"), start=START[:4]), PROTOCOL),
    "a response's field": (more((":status", "200"), start=START[:4]), PROTOCOL),
    "a pseudo field at the end": (more(("x", "y"), START[0], start=START[1:4]), PROTOCOL),
    "a pseudo field twice": (more(START[0], start=START[:4]), PROTOCOL),
    "no method": (more(start=START[1:]), PROTOCOL),
    "no scheme": (more(start=(START[0], *START[2:])), PROTOCOL),
    "no path": (more((":path", ""), start=START[:2]), PROTOCOL),
    "a connection": (more(("connection", "close")), PROTOCOL),
    "no trailers": (more(("te", "gzip")), PROTOCOL),
    "fields in the middle": (
        frame(HEADERS, WHOLE, 1, ASK) + frame(HEADERS, WHOLE, 1, hpack.encode([("a", "b")])),
        PROTOCOL,
    ),
    "pseudo fields at the end": (
        frame(HEADERS, WHOLE, 1, ASK) + frame(HEADERS, 5, 1, ASK),
        PROTOCOL,
    ),
}


@pytest.mark.parametrize("piece", [1 << 20, 7])
@pytest.mark.parametrize("name", BROKEN)
async def test_what_may_not_be_ends_the_connection(name: str, piece: int) -> None:
    octets, code = BROKEN[name]
    talk = Talk()
    *_, (kind, _, _, body) = await talk.say(octets, piece)
    assert (kind, int.from_bytes(body[4:8], "big")) == (GOAWAY, code)
    assert talk.paper.is_over


@pytest.mark.parametrize(
    "octets",
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(PING, 0, 0, bytes(8)), PREFACE + ask(1)],
    ids=["ping", "request"],
)
async def test_settings_come_first(octets: bytes) -> None:
    talk = Talk(octets)
    await talk.say(b"")
    assert talk.paper.is_over


FINE = {
    "padding": frame(HEADERS, WHOLE | PADDED, 1, b"\3" + ASK + bytes(3))
    + frame(DATA, END | PADDED, 1, b"\2" + question() + bytes(2)),
    "a priority": frame(HEADERS, WHOLE | WEIGHED, 1, b"\0\0\0\7\1" + ASK)
    + frame(DATA, END, 1, question()),
    "fields in pieces": frame(HEADERS, 0, 1, ASK[:3])
    + frame(CONTINUATION, 0, 1)
    + frame(CONTINUATION, WHOLE, 1, ASK[3:])
    + frame(DATA, END, 1, question()),
    "a body in pieces": frame(HEADERS, WHOLE, 1, ASK)
    + frame(DATA, 0, 1, question()[:5])
    + frame(DATA, 0, 1)
    + frame(DATA, END, 1, question()[5:]),
    "trailers": frame(HEADERS, WHOLE, 1, ASK)
    + frame(DATA, 0, 1, question())
    + frame(HEADERS, WHOLE | END, 1, hpack.encode([("a", "b")])),
    "unknown frames": frame(77, 3, 0, b"x") + frame(200, 0, 9) + ask(1),
    "unknown settings": setting(0x99, 7) + ask(1),
    "a smaller table": setting(1, 0) + ask(1),
    "a priority of an idle stream": frame(PRIORITY, 0, 9, bytes(5)) + ask(1),
    "the length it said": ask(1, fields=hpack.encode((*START, ("content-length", str(len(question()))))))
}  # fmt: skip


@pytest.mark.parametrize("piece", [1 << 20, 1])
@pytest.mark.parametrize("name", FINE)
async def test_what_may_be_is_answered(name: str, piece: int) -> None:
    talk = Talk()
    back = await talk.say(FINE[name], piece)
    assert [each[:3] for each in back if each[2]] == [(HEADERS, WHOLE, 1), (DATA, END, 1)]
    *_, again = await talk.say(ask(3, fields=b"\x20" + ASK))
    assert again[:3] == (DATA, END, 3)


async def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    talk = Talk()
    assert await talk.say(frame(PING, 0, 0, b"12345678")) == [(PING, 1, 0, b"12345678")]
    assert await talk.say(frame(PING, 1, 0, b"12345678")) == []
    assert await talk.say(frame(SETTINGS, 1, 0)) == []
    assert await talk.say(setting(4, 5)) == [(SETTINGS, 1, 0, b"")]


async def test_room_comes_back_for_what_was_read() -> None:
    talk, given, stream = Talk(), 0, 1
    for _ in range(200):
        body = question() + bytes(5000)
        given -= len(body)
        for kind, _, number, octets in await talk.say(ask(stream, body)):
            if kind == WINDOW and not number:
                given += int.from_bytes(octets, "big")
        stream += 2
    assert -(1 << 17) < given <= 0


async def test_a_window_that_shrinks_below_nothing_is_waited_for() -> None:
    talk = Talk()
    assert [each[0] for each in await talk.say(setting(4, 10) + ask(1))] == [
        SETTINGS,
        HEADERS,
        DATA,
    ]
    assert await talk.say(setting(4, 0)) == [(SETTINGS, 1, 0, b"")]  # now it is 10 below nothing
    assert await talk.say(frame(WINDOW, 0, 1, b"\0\0\0\x0a")) == []
    ((kind, flags, _, body),) = await talk.say(frame(WINDOW, 0, 1, b"\0\0\0\1"))
    assert (kind, flags, len(body)) == (DATA, 0, 1)
    ((kind, flags, _, _),) = await talk.say(frame(WINDOW, 0, 1, b"\0\0\xff\xff"))
    assert (kind, flags) == (DATA, END)
