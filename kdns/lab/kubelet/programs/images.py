"""Well-known images, and what plays them: the program and the ports they listen on by themselves.

The table is the whole truth of it. An image that is not in it is played by a web server on the
ports that its manifest declares or probes, else on 80 and 8080; the annotation
`lab.kdns.io/program` says otherwise.
"""

from typing import Literal, NamedTuple

Kind = Literal["http", "greeter", "dns", "shell", "none"]
KINDS: tuple[Kind, ...] = ("http", "greeter", "dns", "none")
"""What an annotation may ask for: a shell is what its image says, never an annotation."""


class Cast(NamedTuple):
    """Who plays an image."""

    kind: Kind
    ports: tuple[int, ...] = ()
    """TCP, where the manifest declares none."""
    command: tuple[str, ...] = ()
    """What a shell image runs by itself."""


UNKNOWN = Cast("http", (80, 8080))
WEB_PORTS = frozenset({8161, 15672})
"""Web pages of what else is a greeter: the consoles of ActiveMQ and RabbitMQ."""
_WEB = Cast("http", (80,))
_APP = Cast("http", (8080,))
_SHELL = Cast("shell", (), ("sh",))
_SLEEP = Cast("shell", (), ("sleep", "infinity"))
_QUEUE = Cast("greeter", (61616, 8161))
_DNS = Cast("dns")
_TABLE: dict[str, Cast] = {
    **dict.fromkeys(("nginx", "httpd", "caddy", "hello", "whoami", "nginx-slim"), _WEB),
    **dict.fromkeys(("wordpress", "phpmyadmin", "httpbin", "apache", "traefik"), _WEB),
    **dict.fromkeys(("hello-app", "echoserver", "nginx-unprivileged", "agnhost"), _APP),
    **dict.fromkeys(("tomcat", "echo-server", "jenkins", "hello-kubernetes"), _APP),
    **dict.fromkeys(("kubernetes-bootcamp", "goproxy"), _APP),
    "http-echo": Cast("http", (5678,)),
    "serve_hostname": Cast("http", (9376,)),
    "serve-hostname": Cast("http", (9376,)),
    "elasticsearch": Cast("http", (9200,)),
    "prometheus": Cast("http", (9090,)),
    "grafana": Cast("http", (3000,)),
    "k8s-fleetman-webapp-angular": _WEB,
    "k8s-fleetman-api-gateway": _APP,
    "k8s-fleetman-position-tracker": _APP,
    "k8s-fleetman-vehicle-telemetry": _APP,
    "k8s-fleetman-position-simulator": Cast("none"),
    "k8s-fleetman-queue": _QUEUE,
    "activemq": _QUEUE,
    "activemq-classic": _QUEUE,
    "rabbitmq": Cast("greeter", (5672, 15672)),
    **dict.fromkeys(("mysql", "mysql-server", "mariadb", "percona"), Cast("greeter", (3306,))),
    **dict.fromkeys(("postgres", "postgresql"), Cast("greeter", (5432,))),
    **dict.fromkeys(("redis", "valkey"), Cast("greeter", (6379,))),
    **dict.fromkeys(("mongo", "mongodb"), Cast("greeter", (27017,))),
    "memcached": Cast("greeter", (11211,)),
    "kafka": Cast("greeter", (9092,)),
    "zookeeper": Cast("greeter", (2181,)),
    "cassandra": Cast("greeter", (9042,)),
    "nats": Cast("greeter", (4222,)),
    "coredns": _DNS,
    "kdns": _DNS,
    "pause": Cast("none"),
    **dict.fromkeys(("busybox", "alpine", "ubuntu", "debian", "bash", "fedora"), _SHELL),
    **dict.fromkeys(("busyboxplus", "network-multitool", "toolbox"), _SHELL),
    **dict.fromkeys(("netshoot", "dnstools", "centos", "rockylinux", "amazonlinux"), _SHELL),
    **dict.fromkeys(("dnsutils", "jessie-dnsutils", "buildpack-deps"), _SLEEP),
    "curl": Cast("shell", (), ("curl",)),
}
_ENTRANCES = {"curl": "curl"}
"""Images that take options for their program as arguments."""


def name_of(image: str) -> str:
    """A repository's name without registry, path, tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def tag_of(image: str) -> str:
    """What stands behind the name; empty where nothing does."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def cast_of(image: str) -> Cast:
    """Who plays an image."""
    return _TABLE.get(name_of(image), UNKNOWN)


def command_of(image: str, command: list[str], args: list[str]) -> tuple[str, ...]:
    """What a shell image runs, given `command` and `args`."""
    if command or args:
        entrance = _ENTRANCES.get(name_of(image))
        if not command and entrance and args[0].startswith("-"):
            return entrance, *args
        return *command, *args
    return cast_of(image).command
