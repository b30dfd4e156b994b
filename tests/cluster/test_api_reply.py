"""The bytes of HTTP answers, however they are cut into pieces."""

import pytest

from kdns.cluster.api.reply import MAX_LINE, HttpError, Reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "counted": (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", False),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", b"", False),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", False),
    "chunked": (CHUNKED + b"3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\n\r\n", b"hello", False),
    "trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello", False),
    "lines within": (CHUNKED + b"C\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n\r\n0\r\n", False),
    "told to wait": (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\nx", b"x", False),
    "closing": (HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\nx", b"x", True),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", True),
    "old, kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", b"x", False),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(("wire", "body", "is_last"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(wire, body, is_last, step):
    reply = Reply()
    for at in range(0, len(wire), step):
        assert not reply.is_over
        reply.feed(wire[at : at + step])
    assert (b"".join(reply.pieces), reply.is_over, reply.is_last) == (body, True, is_last)
    assert reply.status in {200, 204}
    assert reply.headers.get("content-type") in {"text/plain", None}


def test_the_end_of_the_connection_ends_a_body_of_no_length():
    reply = Reply()
    reply.feed(HEAD + b"\r\nhel")
    reply.feed(b"lo")
    assert not reply.is_over
    assert reply.end()
    assert (b"".join(reply.pieces), reply.is_last) == (b"hello", True)


@pytest.mark.parametrize("name", ["counted", "chunked", "trailer"])
def test_a_connection_that_ends_before_the_body_does_is_told(name):
    wire, _, _ = ANSWERS[name]
    for cut in range(len(wire)):
        reply = Reply()
        reply.feed(wire[:cut])
        assert not reply.end()
        assert reply.has_begun == (cut > 0)


BAD = {
    "another protocol": b"SSH-2.0-server\r\n\r\n",
    "no code": b"HTTP/1.1 abc OK\r\n\r\n",
    "a code of nothing": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "a short code": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "an endless length": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "no size": CHUNKED + b"zz\r\n",
    "a size below nothing": CHUNKED + b"-5\r\n",
    "a wrong size": CHUNKED + b"3\r\nhello\r\n",
    "no length": HEAD + b"Content-Length: five\r\n\r\n",
    "compressed": HEAD + b"Content-Encoding: gzip\r\n\r\n",
    "too much": HEAD + b"Content-Length: 1\r\n\r\nxy",
    "no end of a head": b"HTTP/1.1 200 " + b"x" * MAX_LINE,
    "no end of a size": CHUNKED + b"0" * (MAX_LINE + 1),
}


@pytest.mark.parametrize("wire", BAD.values(), ids=BAD)
def test_what_is_none_of_http_is_refused(wire):
    with pytest.raises(HttpError):
        Reply().feed(wire)
