"""The command line: CoreDNS's flags, our commands, exit codes and what is printed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from kdns import __version__
from kdns.cli.main import main
from tests.running import PATIENCE_S, Running, free_port

MANIFEST = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.20, ports: [{name: http, port: 80}]}
"""
COREFILE = """.:{port} {{
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa {{
        manifests cluster.yaml
    }}
}}
"""


@pytest.fixture
def corefile(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    file = tmp_path / "Corefile"
    file.write_text(COREFILE.format(port=53))
    return file


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_version_names_ours_and_coredns(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    assert f"kdns-{__version__} (CoreDNS 1.15.0" in capsys.readouterr().out


def test_plugins_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-plugins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "kubernetes" in lines
    assert "guard (not in CoreDNS)" in lines
    assert "etcd" not in lines
    assert lines == [*sorted(lines[:-1]), "on"]  # as CoreDNS lists them


@pytest.mark.parametrize(
    "words", [["-nonsense"], ["left", "over"], ["-dns.port", "99999"], ["-log-format", "xml"]]
)
def test_bad_usage_is_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: kdns" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("exlpain", "there is no command 'exlpain', did you mean explain?\n"),
        ("Corefile", "there is no command 'Corefile'\n"),
    ],
)
def test_a_command_that_is_none(word: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([word, "web"])
    assert capsys.readouterr().err.endswith(f"kdns: error: {told}")


@pytest.mark.parametrize("words", [["-h"], ["--help"]])
def test_help_names_the_commands_of_ours(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code
    said = " ".join(capsys.readouterr().out.split())
    assert all(f" {command} " in said for command in ("check", "query", "lab"))


def test_check_says_fine(corefile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(corefile)]) == 0
    assert "fine" in capsys.readouterr().out


def test_check_names_every_mistake_with_line_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Corefile"
    file.write_text(
        ".:53 {\n    kuberntes cluster.local\n    etcd\n    kubernetes {\n        ttl x\n"
        "        podz insecure\n    }\n}\n"
    )
    assert main(["check", str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [f"{file}:{n}:" for n in (2, 3, 5, 6)]
    assert "did you mean 'kubernetes'?" in lines[0]
    assert "etcd: this plugin of CoreDNS is not implemented" in lines[1]
    assert "did you mean 'pods'?" in lines[3]


def test_check_warns_of_multisocket_lines_that_do_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Corefile"
    file.write_text(".:53 {\n multisocket 2\n whoami\n}\na:53 {\n multisocket 3\n whoami\n}\n")
    assert main(["check", str(file)]) == 0
    assert f"warning: {file}:6: multisocket: does nothing" in capsys.readouterr().out


def test_check_of_a_missing_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none"
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr().err
    assert said == f"{file}: cannot read the Corefile: No such file or directory\n"


def test_check_without_a_corefile_calls_none_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
    said = "no Corefile here: kdns would serve whoami alone\n"
    assert capsys.readouterr().out.startswith(said)
    assert main(["check", "-q"]) == 0
    assert capsys.readouterr().out == said


def test_check_shows_the_corefile_as_it_is_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Corefile"
    file.write_text(
        "(more) {\n errors\n}\na.example:5300 {\n forward . 127.0.0.1:5300\n import more\n"
        " tsig {\n  secret key. c2VjcmV0\n }\n}\n"
    )
    assert main(["check", "--from", "coredns", str(file)]) == 0
    said = capsys.readouterr().out
    assert "a.example:5300\n   1. errors\n   2. tsig { secret key. *** }\n   3. forward ." in said
    assert "c2VjcmV0" not in said
    assert "listens on dns://:5300" in said
    assert f"{file}:5: 127.0.0.1 port 5300 is this server itself" in " ".join(said.split())
    assert "forward (kdns help forward):" in said


def test_query_asks_a_corefile_without_a_socket(
    corefile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", "-conf", str(corefile), "web.shop.svc.cluster.local"]) == 0
    out = capsys.readouterr().out
    assert ";; NOERROR, flags: qr aa rd" in out
    assert "web.shop.svc.cluster.local.\t5\tIN\tA\t10.96.0.20" in out


def test_query_of_nothing_that_is_a_name_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "a..b"]) == 2
    assert "has a label of 0 octets" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["a.example", "NOTYPE"], "'NOTYPE' is no type, and 'a.example' is the name already"),
        (["a.example", "@127.0.0.1:x"], "@127.0.0.1:x: expected a port from 1 to 65535"),
        (["a.example", "@"], "@: expected an IP address, a host name"),
    ],
)
def test_query_of_words_that_make_no_question_is_two(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", *words]) == 2
    assert why in capsys.readouterr().err


def test_query_asks_a_server_at_its_port(
    corefile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corefile.write_text(corefile.read_text().replace(":53", ""))
    with Running(corefile) as kdns:
        kdns.wait()
        for host in ("127.0.0.1", "localhost"):
            for at in ([f"@{host}:{kdns.port}"], [f"@{host}", "-p", str(kdns.port)]):
                assert main(["query", "web.shop.svc.cluster.local", *at]) == 0
                assert "10.96.0.20" in capsys.readouterr().out, at


def test_query_takes_its_words_behind_flags_too(
    corefile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["query", "-conf", str(corefile), "web.shop.svc.cluster.local", "-tcp", "A"]
    assert main(words) == 0
    assert "10.96.0.20" in capsys.readouterr().out


def test_query_of_a_server_without_an_address_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "a.example", "@none.invalid"]) == 1
    assert "unknown error" not in capsys.readouterr().err


def test_query_without_a_server_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "a.example", "@127.0.0.1", "-p", str(free_port())]) == 1
    assert "no usable reply" in capsys.readouterr().err


def test_serve_answers_until_sigterm_and_leaves_no_pidfile(corefile: Path) -> None:
    pidfile = corefile.parent / "pid"
    corefile.write_text(corefile.read_text().replace(":53", ""))
    with Running(corefile, "-pidfile", str(pidfile)) as kdns:
        kdns.wait()
        assert pidfile.read_text() == f"{kdns.process.pid}\n"
        query = dns.message.make_query("WEB.shop.svc.cluster.local", "A")
        for ask in (dns.query.udp, dns.query.tcp):
            reply = ask(query, "127.0.0.1", 5, kdns.port)
            assert reply.answer[0].to_text() == "WEB.shop.svc.cluster.local. 5 IN A 10.96.0.20"
        code, printed = kdns.end(signal.SIGTERM)
    assert code == 0
    assert f".:{kdns.port} on 127.0.0.1" in printed
    assert "[INFO] SIGTERM: stopping" in printed
    assert f"kdns-{__version__}" in printed
    assert "Traceback" not in printed
    assert not pidfile.exists()


def test_a_manifest_that_changes_is_served_at_once(corefile: Path) -> None:
    corefile.write_text(corefile.read_text().replace(":53", ""))
    with Running(corefile, "-quiet") as kdns:
        kdns.wait()
        assert kdns.ask("web.shop.svc.cluster.local").answer
        manifest = corefile.parent / "cluster.yaml"
        manifest.write_text(MANIFEST.replace("10.96.0.20", "10.96.0.99"))
        for _ in range(800):
            text = kdns.ask("web.shop.svc.cluster.local").answer[0][0].to_text()
            if text == "10.96.0.99":
                break
            signal.sigtimedwait([], 0.05)
        assert text == "10.96.0.99"
        assert kdns.end(signal.SIGINT) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_has_the_corefile_read_again(tmp_path: Path, number: int) -> None:
    file = tmp_path / "Corefile"
    text = ". {\n bind 127.0.0.1\n hosts {\n  10.0.0.%d a.example\n }\n}\n"
    file.write_text(text % 1)
    with Running(file) as kdns:
        kdns.wait()
        for last in (2, 2):  # the second time nothing differs: it is done all the same
            file.write_text(text % last)
            kdns.process.send_signal(number)
            assert kdns.process.stdout is not None
            assert "[INFO] Reloading\n" in iter(kdns.process.stdout.readline, "")
            for _ in range(2000):
                address = kdns.ask("a.example").answer[0][0].address
                if address == f"10.0.0.{last}":
                    break
                signal.sigtimedwait([], 0.02)
            assert address == f"10.0.0.{last}"
        assert kdns.end()[0] == 0


def test_a_bad_corefile_changes_nothing_and_says_what_it_would_at_start(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(". {\n bind 127.0.0.1\n whoami\n}\n")
    with Running(file) as kdns:
        kdns.wait()
        file.write_text(". {\n bind 127.0.0.1\n whoam\n}\n")
        kdns.process.send_signal(signal.SIGHUP)
        assert kdns.process.stdout is not None
        lines = iter(kdns.process.stdout.readline, "")
        said = next(line for line in lines if "[ERROR]" in line)
        assert f"[ERROR] {file}:3: unknown directive 'whoam' (did you mean 'whoami'?)" in said
        assert kdns.ask("a.example").additional
        _, printed = kdns.end()
    assert "Reloading complete" not in printed


def test_sigusr2_changes_nothing_and_sigquit_ends_at_once(tmp_path: Path) -> None:
    file, pidfile = tmp_path / "Corefile", tmp_path / "pid"
    file.write_text(". {\n bind 127.0.0.1\n whoami\n}\n")
    with Running(file, "-pidfile", str(pidfile)) as kdns:
        kdns.wait()
        kdns.process.send_signal(signal.SIGUSR2)
        assert kdns.ask("a.example").additional
        code, printed = kdns.end(signal.SIGQUIT)
    assert code == 0
    assert not pidfile.exists()
    warned = [line for line in printed.splitlines() if line.startswith("[WARNING]")]
    assert warned == ["[WARNING] SIGUSR2: the program is not replaced; restart kdns"]


def test_a_pidfile_that_cannot_be_written_is_three_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, pidfile = tmp_path / "Corefile", tmp_path / "none" / "pid"
    file.write_text(". {\n bind 127.0.0.1\n whoami\n}\n")
    assert main(["-conf", str(file), "-pidfile", str(pidfile)]) == 3
    said = capsys.readouterr().err
    assert said == f"cannot write the pid file {pidfile}: No such file or directory\n"


def test_an_interpreter_that_may_not_be_started_again_is_three_in_one_line(
    corefile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(corefile))  # it is there, and no program
    assert main(["-conf", str(corefile), "-workers", "2"]) == 3
    assert capsys.readouterr().err == f"cannot start workers with {corefile}: Permission denied\n"


def test_a_bad_corefile_is_two_and_every_line_is_said(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(". {\n whoam\n hots\n}\n")
    with Running(file) as kdns:
        printed = kdns.process.communicate(timeout=40)[0]
    assert kdns.process.returncode == 2
    assert f"{file}:2: unknown directive 'whoam' (did you mean 'whoami'?)" in printed
    assert f"{file}:3: unknown directive 'hots' (did you mean 'hosts'?)" in printed


def test_a_taken_port_is_three_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(". {\n bind 127.0.0.1\n whoami\n}\n")
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = str(foreign.getsockname()[1])
        command = [sys.executable, "-m", "kdns", "-conf", str(file), "-dns.port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert second.returncode == 3
    assert "is taken: stop what listens there" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_a_second_kdns_on_a_port_joins_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(". {\n bind 127.0.0.1\n whoami\n}\n")
    with Running(file) as first:
        first.wait()
        with Running(file, port=first.port) as second:
            assert f"127.0.0.1, port {first.port} is shared with another process" in next(
                second.process.stdout
            )
            assert second.end()[0] == 0
        assert "is shared" not in first.end()[1]


def test_without_a_corefile_whoami_is_served(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "kdns", "-dns.port", str(port), "-quiet"]
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": root})
    try:
        query = dns.message.make_query("a.example", "A")
        until = time.monotonic() + PATIENCE_S
        reply = None
        while reply is None and time.monotonic() < until:
            try:
                reply = dns.query.udp(query, "127.0.0.1", 1.0, port)
            except (dns.exception.Timeout, OSError):
                time.sleep(0.05)
        assert reply
        assert reply.rcode() == dns.rcode.NOERROR
        assert reply.additional[0][0].to_text() == "127.0.0.1"
    finally:
        process.terminate()
        assert process.wait(40) == 0


@pytest.mark.parametrize("words", [["-version"], ["-plugins"], ["query", "-conf", "{}", "a.org"]])
def test_a_reader_that_leaves_is_no_failure_to_be_told_of(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(". {\n whoami\n}\n")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kdns", *(word.format(file) for word in words)]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=40, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
