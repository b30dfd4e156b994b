"""What the reader of a status port says of servers that are none."""

import socket
import threading

import pytest

from kdns.status.reader import Reader, ReadError


def ask(reply: bytes, patience_s: float) -> str:
    """What is said of a server that sends this to whoever comes, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        has_heard = threading.Event()

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.recv(4096)
                sock.sendall(reply)
                has_heard.wait(5)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(ReadError) as failed:
                Reader.of(f"127.0.0.1:{port}", "", "").octets("/explain", patience_s)
        finally:
            has_heard.set()
            thread.join()
    return str(failed.value).partition(f":{port}: ")[2]


def test_how_long_was_waited_is_said():
    assert ask(b"", 0.2) == "no answer within 0.2 s"


def test_a_status_that_no_registry_has_is_told_as_it_is():
    assert ask(b"HTTP/1.1 599 So\r\nContent-Length: 0\r\n\r\n", 5) == "HTTP 599"
