"""The tools in a pod of a lab on loopback addresses: its files, its address, shifted ports."""

import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest
import trustme

from kdns.lab.tools import programs
from kdns.lab.tools.pod import here
from tests.lab.tools.naming import Naming
from tests.lab.tools.web import Pages

RESOLV = "search default.svc.cluster.local svc.cluster.local\nnameserver {}\noptions ndots:5\n"
ADDRESS = "127.244.1.9"


@dataclass(frozen=True)
class Pod:
    """One pod, its DNS server, and the shift of its ports."""

    naming: Naming
    offset: int
    folder: Path
    capture: pytest.CaptureFixture[str]

    def run(self, *argv: str) -> tuple[int, str, str]:
        """A tool, in this process."""
        self.capture.readouterr()
        code = import_module(f"kdns.lab.tools.{argv[0]}").main(list(argv[1:]))
        said = self.capture.readouterr()
        return code, said.out, said.err

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


def places() -> tuple[int, Naming]:
    """An offset under which the ports of DNS and HTTP are free."""
    for _ in range(50):
        with socket.socket() as one:
            one.bind(("127.96.1.2", 0))
            offset = one.getsockname()[1] - 80
        try:
            return offset, Naming("127.96.0.10", 53 + offset)
        except (OSError, OverflowError):
            continue
    raise AssertionError("no ports are free")


@pytest.fixture
def pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Pod]:
    offset, naming = places()
    files = {f"/etc/{name}": str(tmp_path / name) for name in ("resolv.conf", "hosts", "hostname")}
    files["/tmp"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("KDNS_POD_FILES", json.dumps(files))
    monkeypatch.setenv("KDNS_POD_ADDRESS", ADDRESS)
    monkeypatch.setenv("KDNS_POD_OFFSET", str(offset))
    made = Pod(naming, offset, tmp_path, capfd)
    made.write("resolv.conf", RESOLV.format("127.96.0.10"))
    made.write(
        "hosts", f"127.0.0.1\tlocalhost\n{ADDRESS}\tmypod.sub.default.svc.cluster.local mypod\n"
    )
    made.write("hostname", "mypod\n")
    with naming.serving():
        yield made


@pytest.fixture
def web(pod: Pod) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.96.1.2", 80 + pod.offset), Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_nslookup_shows_the_real_address_and_port(pod: Pod) -> None:
    code, out, _ = pod.run("nslookup", "web")
    assert code == 0
    assert out == (
        f"Server:\t\t127.96.0.10\nAddress:\t127.96.0.10#{53 + pod.offset}\n\n"
        "Name:\tweb.default.svc.cluster.local\nAddress: 127.96.1.2\n\n"
    )


def test_servers_see_the_address_of_the_pod(pod: Pod, web: ThreadingHTTPServer) -> None:
    for argv in (["nslookup", "web"], ["dig", "web.default.svc.cluster.local"], ["host", "web"],
                 ["getent", "hosts", "web"], ["dig", "+tcp", "web."]):  # fmt: skip
        pod.naming.asked.clear()
        pod.run(*argv)
        assert {peer for _, _, peer in pod.naming.asked} == {ADDRESS}, argv
    _, out, _ = pod.run("curl", "-s", "http://web/echo")
    assert json.loads(out)["peer"] == ADDRESS


def test_the_hosts_file_comes_first(pod: Pod, web: ThreadingHTTPServer) -> None:
    pod.write("hosts", "127.96.1.2 elsewhere.example web\n")
    assert pod.run("getent", "ahostsv4", "web")[1].startswith("127.96.1.2      STREAM elsewhere.")
    assert pod.run("curl", "-s", "http://elsewhere.example")[1] == "hello\n"
    assert pod.naming.asked == []
    assert "127.96.1.2" in pod.run("nslookup", "web")[1]
    assert pod.naming.asked, "nslookup does not read it"


def test_ndots_decides_what_is_asked_first(pod: Pod) -> None:
    pod.run("getent", "ahostsv4", "www.example.org")
    assert [name for name, _, _ in pod.naming.asked] == [
        "www.example.org.default.svc.cluster.local.", "www.example.org.svc.cluster.local.",
        "www.example.org.",
    ]  # fmt: skip
    pod.naming.asked.clear()
    pod.write("resolv.conf", RESOLV.format("127.96.0.10").replace("ndots:5", "ndots:2"))
    pod.run("getent", "ahostsv4", "www.example.org")
    assert [name for name, _, _ in pod.naming.asked] == ["www.example.org."]


def test_addresses_of_tutorials_are_taken(pod: Pod, web: ThreadingHTTPServer) -> None:
    assert pod.run("curl", "-s", "http://10.96.1.2")[1] == "hello\n"
    assert "127.96.1.2" in pod.run("nslookup", "web", "10.96.0.10")[1]
    assert pod.run("dig", "@10.96.0.10", "+short", "-x", "10.96.1.2")[1] == (
        "web.default.svc.cluster.local.\n"
    )
    assert pod.run("getent", "hosts", "10.96.1.2")[1].split() == [
        "127.96.1.2", "web.default.svc.cluster.local",
    ]  # fmt: skip


def test_localhost_is_the_pod(pod: Pod) -> None:
    server = ThreadingHTTPServer((ADDRESS, 80 + pod.offset), Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        for host in ("localhost", "127.0.0.1"):
            assert pod.run("curl", "-s", f"http://{host}")[1] == "hello\n"
        assert pod.run("nc", "-z", "localhost", "80")[0] == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_is_down_is_told(pod: Pod) -> None:
    pod.write("resolv.conf", RESOLV.format("127.96.0.99"))
    code, out, _ = pod.run("nslookup", "web")
    port = 53 + pod.offset
    assert (code, out.splitlines()[0], out.splitlines()[-2]) == (
        1, f";; communications error to 127.96.0.99#{port}: connection refused",
        ";; no servers could be reached",
    )  # fmt: skip
    assert pod.run("dig", "web")[0] == 9
    assert pod.run("getent", "hosts", "web")[0] == 2
    assert pod.run("curl", "-sS", "http://web") == (
        6,
        "",
        "curl: (6) Could not resolve host: web\n",
    )


def test_a_server_that_is_silent_is_given_up(pod: Pod) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.96.0.98", 53 + pod.offset))
        code, out, _ = pod.run("dig", "@127.96.0.98", "web.", "+time=1", "+tries=1")
        pod.write("resolv.conf", RESOLV.format("127.96.0.98"))
        late = pod.run("curl", "-sS", "-m", "0.2", "http://web")
        assert late[0] == 28
        assert late[2].startswith("curl: (28) Resolving timed out after ")
        assert pod.run("wget", "-q", "-T", "0.2", "http://web")[2] == "wget: download timed out\n"
    assert code == 9
    assert f";; communications error to 127.96.0.98#{53 + pod.offset}: timed out\n" in out


def test_a_page_that_does_not_come_in_time_is_given_up(pod: Pod) -> None:
    with socket.socket() as silent:
        silent.bind(("127.96.1.2", 80 + pod.offset))
        silent.listen()
        code, _, said = pod.run("curl", "-sS", "-m", "0.2", "http://web")
        assert (code, said.split(" after ")[0]) == (28, "curl: (28) Operation timed out")
        code, _, said = pod.run("wget", "-q", "-T", "0.2", "-O", "-", "http://web")
        assert (code, said) == (1, "wget: download timed out\n")


def test_the_other_side_may_end_early(pod: Pod, web: ThreadingHTTPServer) -> None:
    assert pod.run("curl", "-sS", "http://web/cut") == (
        52, "", "curl: (52) Empty reply from server\n",
    )  # fmt: skip


def test_https_is_checked_unless_told_otherwise(pod: Pod, web: ThreadingHTTPServer) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("web.default.svc.cluster.local").configure_cert(context)
    authority.cert_pem.write_to_path(str(pod.folder / "tmp" / "ca.crt"))
    web.socket = context.wrap_socket(web.socket, server_side=True)
    url = "https://web.default.svc.cluster.local:80"
    code, _, said = pod.run("curl", "-sS", url)
    assert code == 60
    assert said.startswith("curl: (60) SSL certificate problem: ")
    assert pod.run("curl", "-s", "--cacert", "/tmp/ca.crt", url) == (0, "hello\n", "")
    assert pod.run("curl", "-sk", "https://web:80") == (0, "hello\n", "")


def test_files_are_those_of_the_pod(pod: Pod, web: ThreadingHTTPServer) -> None:
    assert pod.run("cat", "/etc/resolv.conf")[1] == RESOLV.format("127.96.0.10")
    assert pod.run("cat", "/etc/nothing") == (
        1,
        "",
        "cat: /etc/nothing: No such file or directory\n",
    )
    assert pod.run("curl", "-s", "-o", "/tmp/page", "http://web")[0] == 0
    assert pod.run("cat", "/tmp/../tmp/page", "/tmp/page")[1] == "hello\nhello\n"
    assert pod.run("wget", "-q", "-O", "/tmp/other", "http://web")[0] == 0
    assert (pod.folder / "tmp" / "other").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ((), "mypod"), (("-s",), "mypod"), (("-i",), ADDRESS),
        (("-f",), "mypod.sub.default.svc.cluster.local"), (("-d",), "sub.default.svc.cluster.local"),
    ],
)  # fmt: skip
def test_hostname_is_the_pods(pod: Pod, flag: tuple[str, ...], said: str) -> None:
    assert pod.run("hostname", *flag) == (0, f"{said}\n", "")


def test_nc_tells_whether_one_can_connect(pod: Pod, web: ThreadingHTTPServer) -> None:
    assert pod.run("nc", "-zv", "web", "80") == (
        0, "", "Connection to web (127.96.1.2) 80 port [tcp/http] succeeded!\n",
    )  # fmt: skip
    assert pod.run("nc", "-z", "-v", "-w", "1", "down", "80") == (
        1, "", "nc: connect to down (127.96.9.9) port 80 (tcp) failed: Connection refused\n",
    )  # fmt: skip
    assert pod.run("nc", "-zuv", "down", "80")[0] == 1
    assert pod.run("nc", "-zv", "nosuch", "80") == (
        1, "", 'nc: getaddrinfo for host "nosuch" port 80: Name or service not known\n',
    )  # fmt: skip
    assert pod.run("nc", "web", "x")[0] == 1
    assert pod.run("nc", "-l", "80")[0] == 1


def script(pod: Pod) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    tools = programs.folder(pod.folder)

    def run(*argv: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
        return subprocess.run(argv, env=environ, input=said, capture_output=True, text=True,
                              timeout=20, check=False, cwd="/")  # fmt: skip

    return run


def test_the_scripts_run_from_path(pod: Pod, web: ThreadingHTTPServer) -> None:
    run = script(pod)
    assert run("sh", "-c", "hostname; cat /etc/hostname; getent hosts web").stdout == (
        "mypod\nmypod\n127.96.1.2      web.default.svc.cluster.local\n"
    )
    asked = "GET / HTTP/1.0\r\n\r\n"
    assert run("nc", "web", "80", said=asked).stdout.endswith("hello\n")
    told = run("nslookup", said="set type=srv\n_http._tcp.web\nexit\nweb\n").stdout
    assert "service = 0 100 80 web.default.svc.cluster.local." in told
    assert "Address: 127.96.1.2" not in told
    assert run("sh", "-c", "yes | cat | head -1").stdout == "y\n"


def test_all_names_have_a_tool() -> None:
    for name in programs.NAMES:
        assert callable(import_module(f"kdns.lab.tools.{name}").main)


@pytest.mark.parametrize(
    "argv",
    [
        ("dig", "+nonsense", "web"), ("dig", "-p"), ("dig", "-x", "web"), ("host", "--nonsense"),
        ("curl", "--nonsense", "web"), ("curl", "-m"), ("curl", "-m", "x", "http://web"),
        ("curl", "http://[::1"), ("wget", "--nonsense"), ("wget",), ("nc", "web", "99999"),
        ("getent",), ("getent", "passwd", "root"), ("hostname", "new"), ("dig", f"{'a' * 70}."),
        ("nslookup", "a..b"), ("host", "a..b"), ("curl", "http://web:99999"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said_in_a_line(pod: Pod, argv: tuple[str, ...]) -> None:
    code, out, err = pod.run(*argv)
    assert code
    assert len((out + err).splitlines()) == 1
    assert "Traceback" not in err


def test_a_second_lab_has_addresses_of_its_own() -> None:
    environ = {
        "KDNS_POD_ADDRESS": "127.245.1.9",
        "KDNS_POD_OFFSET": "20000",
        "KDNS_POD_RANGES": "1",
    }
    pod = here(environ)
    assert pod.place("10.96.0.10", 53) == ("127.112.0.10", 20053)
    assert pod.place("127.112.0.10", 8080) == ("127.112.0.10", 8080)
    assert pod.place("127.96.0.10", 53) == ("127.96.0.10", 53)
    assert here({}).place("10.96.0.10", 53) == ("10.96.0.10", 53)
