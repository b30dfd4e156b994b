"""Real servers as upstreams: Unbound, dnsdist and Knot DNS on ports of their own, ended by pid."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.child import listening
from tests.running import free_port
from tests.secure import write

ZONE = (
    "example. 60 IN SOA ns.example. root.example. 1 2 3 4 300",
    "example. 60 IN NS ns.example.",
    "ns.example. 60 IN A 10.0.0.53",
    "a.example. 60 IN A 10.0.0.1",
    "b.example. 60 IN AAAA 2001:db8::1",
    *(f'big.example. 60 IN TXT "{at:03} {"x" * 240}"' for at in range(40)),
)


def program(name: str, package: str) -> str:
    """The path of a server, or the test is skipped with what is missing."""
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return found


@contextmanager
def unbound(folder: Path) -> Iterator[dict[str, int]]:
    """Unbound with the zone as its own data: DNS, DNS over TLS and over HTTPS."""
    path = program("unbound", "unbound")
    pem, ports = write(folder), {scheme: free_port() for scheme in ("dns", "tls", "https")}
    data = "\n".join(f" local-data: '{line}'" for line in ZONE)
    interfaces = "\n".join(f" interface: 127.0.0.1@{port}" for port in ports.values())
    config = folder / "unbound.conf"
    config.write_text(
        f"server:\n{interfaces}\n tls-port: {ports['tls']}\n https-port: {ports['https']}\n"
        f' tls-service-key: "{pem["key"]}"\n tls-service-pem: "{pem["cert"]}"\n'
        ' chroot: ""\n username: ""\n pidfile: ""\n use-syslog: no\n do-daemonize: no\n'
        f' directory: "{folder}"\n module-config: "iterator"\n num-threads: 1\n'
        f" do-not-query-localhost: no\n local-zone: example. static\n{data}\n"
        "remote-control:\n control-enable: no\n"
    )
    with listening([path, "-d", "-c", str(config)], folder, *ports.values()):
        yield ports


@contextmanager
def dnsdist(folder: Path, behind: int) -> Iterator[dict[str, int]]:
    """dnsdist in front of a server: DNS over TLS and over HTTPS."""
    path = program("dnsdist", "dnsdist")
    pem, ports = write(folder), {scheme: free_port() for scheme in ("tls", "https")}
    listen = "\n".join(
        f'{call}("127.0.0.1:{ports[scheme]}", "{pem["cert"]}", "{pem["key"]}"{more})'
        for scheme, call, more in (
            ("tls", "addTLSLocal", ""),
            ("https", "addDOHLocal", ', "/dns-query"'),
        )
    )
    config = folder / "dnsdist.conf"
    config.write_text(
        f'setLocal("127.0.0.1:{free_port()}")\n{listen}\n'
        f'newServer({{address="127.0.0.1:{behind}"}}):setUp()\nsetSecurityPollSuffix("")\n'
        'setACL({"127.0.0.0/8"})\n'
    )
    command = [path, "--supervised", "--disable-syslog", "-C", str(config)]
    with listening(command, folder, *ports.values()):
        yield ports


@contextmanager
def knot(folder: Path) -> Iterator[dict[str, int]]:
    """Knot DNS as the zone's authoritative server."""
    path, port = program("knotd", "knot"), free_port()
    (folder / "example.zone").write_text("\n".join(ZONE) + "\n")
    config = folder / "knot.conf"
    config.write_text(
        f"server:\n rundir: {folder}\n listen: 127.0.0.1@{port}\n"
        f"database:\n storage: {folder}\nlog:\n - target: stdout\n   any: info\n"
        f"zone:\n - domain: example\n   storage: {folder}\n   file: example.zone\n"
        "   journal-content: none\n   zonefile-sync: -1\n   zonefile-load: whole\n"
    )
    with listening([path, "-c", str(config)], folder, port):
        yield {"dns": port}
