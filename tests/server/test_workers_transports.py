"""Several processes on the ports of every transport, through a reload that drops no connection."""

import signal
import socket
import ssl
import time
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.certificates import Authority
from tests.running import PATIENCE_S, free_port
from tests.server.workers import Workers, until

COREFILE = """. {{
 bind 127.0.0.1
 hosts {{
  10.0.0.{last} a.example
 }}
}}
tls://.:{tls} https://.:{https} {quic} {{
 bind 127.0.0.1
 tls {files}
 hosts {{
  10.0.0.{last} a.example
 }}
}}
grpc://.:0 {{
 bind 127.0.0.1
 whoami
}}
"""


class Stream:
    """A connection over TLS that stays."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.sock = context.wrap_socket(sock, server_hostname="localhost")

    def address(self) -> str:
        query = dns.message.make_query("a.example", "A")
        dns.query.send_tcp(self.sock, query)
        reply, _ = dns.query.receive_tcp(self.sock, time.time() + PATIENCE_S)
        return reply.answer[0][0].address


def has_quic() -> bool:
    try:
        import aioquic  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


# dnspython leaves the socket pairs of its QUIC connections to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.slow
def test_every_transport_is_served_by_all_and_connections_stand(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ports = {"tls": free_port(), "https": free_port()}
    quic = free_port()
    ports["quic"] = f"quic://.:{quic}" if has_quic() else ""
    ports["files"] = " ".join(map(str, authority.issue()))
    file = tmp_path / "Corefile"
    file.write_text(COREFILE.format(last=1, **ports))
    context = authority.client()
    with Workers(file) as kdns:
        kdns.wait()
        streams = [Stream(ports["tls"], context) for _ in range(8)]
        assert {one.address() for one in streams} == {"10.0.0.1"}
        if has_quic():
            query = dns.message.make_query("a.example", "A", id=0)
            for _ in range(4):
                reply = dns.query.quic(
                    query,
                    "127.0.0.1",
                    PATIENCE_S,
                    quic,
                    verify=str(authority.file),
                    server_hostname="localhost",
                )
                assert reply.answer[0][0].address == "10.0.0.1"
        file.write_text(COREFILE.format(last=2, **ports))
        kdns.process.send_signal(signal.SIGUSR1)
        until(lambda: kdns.ask_all("a.example", times=8) == {"10.0.0.2"})
        assert {one.address() for one in streams} == {"10.0.0.2"}
        for one in streams:
            one.sock.close()
        code, printed = kdns.end()
        assert code == 0, printed
        assert "Traceback" not in printed
