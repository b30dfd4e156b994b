"""Pods with network namespaces of their own: what a command sees there, who hears whom from where,
and what is left when a pod has gone."""

import sys
from typing import Any

import pytest

from kdns.lab.ground.base import NO_PLACE
from tests.lab.ground.within import USERS, seen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


@pytest.fixture(scope="module", params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def views(user: str) -> dict[str, Any]:
    return seen("views", user)


@pytest.fixture
def heard(user: str) -> dict[str, Any]:
    return seen("connections", user)


# What a command sees


def test_a_command_sees_the_files_of_its_pod(views: dict[str, Any]) -> None:
    assert views["resolv"] == "nameserver 10.96.0.10\nsearch a.test b.test\n"
    assert views["hostname"] == "web\nweb\n"
    assert views["nsswitch"] == "hosts: files dns\n"
    assert views["account"] == "a token"
    assert views["tmp"] == "mine\n"


def test_getent_reads_the_hosts_of_the_pod_and_asks_its_server(views: dict[str, Any]) -> None:
    assert views["hosts"].split() == ["10.244.1.5", "web"]
    assert views["dns"].split()[:3] == ["10.244.2.5", "STREAM", "mysql.a.test"]


def test_the_machines_own_runtime_folder_is_not_seen(views: dict[str, Any]) -> None:
    assert views["run"].split() == [".etc", "secrets"] * 2


def test_programs_that_lie_below_tmp_are_seen(views: dict[str, Any]) -> None:
    assert views["tool"].startswith("a tool\n")
    assert "nowhere" not in views["tool"]


def test_a_shell_finds_a_home_of_its_own(views: dict[str, Any]) -> None:
    """Not the machine's, which ordinary users may not even look into."""
    assert views["root"] == "mine\n"


def test_all_else_in_etc_is_the_machines(views: dict[str, Any]) -> None:
    assert "root:" in views["release"]
    assert "No such file" not in views["release"]


def test_an_etc_of_odd_links_is_as_good_as_any(user: str) -> None:
    told = seen("odd", user)
    assert told["resolv"] == "nameserver 10.96.0.10\nsearch a.test b.test\n"
    assert told["hosts"].split() == ["10.244.1.5", "web"]
    assert told["dns"].split()[:3] == ["10.244.2.5", "STREAM", "mysql.a.test"]
    assert told["nsswitch"] == "hosts: files dns\n"
    assert told["hostname"] == "web\n"
    assert told["plain"] == "plainplain"
    assert told["out"].split() == ["/dev/zero"] * 2
    shared = ["closed", "folder", "plain", "secret", "zero"]
    own = ["hostname", "hosts", "nsswitch.conf", "resolv.conf"]
    assert told["entries"].split() == sorted(shared + own)
    assert told["python"] == "1\n"


def test_a_command_has_its_environment_and_no_more(views: dict[str, Any]) -> None:
    names = {line.partition("=")[0] for line in views["environ"].splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"A", "PATH"}


def test_a_command_sees_the_network_of_its_pod(views: dict[str, Any]) -> None:
    links = {line.split(":")[0].strip() for line in views["links"].splitlines()[2:]}
    assert {"lo", "eth0"} <= links
    assert not any(one.startswith("pod") for one in links)
    assert views["forward"] == "0\n", "the lab's namespace forwards, pods do not"


def test_a_command_leads_a_session_with_nothing_blocked(views: dict[str, Any]) -> None:
    ids, blocked, folder, mask = views["session"].splitlines()
    _, group, session = ids.split()
    assert group == session
    assert blocked.split()[1].strip("0") == ""
    assert (folder, mask[-3:]) == ("/", "022")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("foo", 127, 'exec: "foo": executable file not found in $PATH\n'),
        ("/nope", 127, 'exec: "/nope": no such file or directory\n'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied\n'),
    ],
)
def test_what_cannot_be_run_says_so(
    views: dict[str, Any], command: str, code: int, said: str
) -> None:
    assert views[command] == [code, "", said]


def test_a_pod_on_the_host_network_has_files_of_its_own(views: dict[str, Any]) -> None:
    assert views["host"] == [0, "web\nnameserver 10.96.0.10\nsearch a.test b.test\n", ""]


def test_what_a_command_sees_does_not_change_what_the_lab_sees(views: dict[str, Any]) -> None:
    assert "10.96.0.10" not in (views["home"] or "")


def test_a_command_cannot_break_out_of_the_network_of_its_pod(user: str) -> None:
    told = seen("break_out", user)
    assert (told["code"], told["why"]) == (0, "")
    assert told["sources"] == ["10.244.1.5"], "no other pod's address is borne"
    assert told["said"] == ["in PermissionError", "mounts -1"]


def test_a_pod_without_a_place_is_not_entered(views: dict[str, Any]) -> None:
    assert views["unknown"] == NO_PLACE


def test_a_terminal_is_the_commands_own(user: str) -> None:
    told = seen("terminals", user)
    assert "yes" in told["said"]
    assert told["code"] == -2, "Control-C in it is a signal to the command"


# Who hears whom


def test_a_listener_hears_the_address_of_the_pod_that_asks(heard: dict[str, Any]) -> None:
    assert heard["pod"] == heard["service"] == heard["node"] == "10.244.1.5"
    assert heard["itself"] == "10.244.2.5"


def test_ipv6_is_no_different(heard: dict[str, Any]) -> None:
    if not heard["v6"]:
        pytest.skip("this kernel has no IPv6")
    assert heard["pod6"] == heard["service6"] == "fd00:10:244:1::5"


def test_without_ipv6_pods_have_their_other_addresses(user: str) -> None:
    assert seen("four", user)["heard"] == "10.244.1.5"


def test_localhost_is_each_pods_own(heard: dict[str, Any]) -> None:
    assert heard["own localhost"] == "127.0.0.1"
    assert heard["other's localhost"] == "ConnectionRefusedError"


def test_a_port_where_nothing_listens_refuses(heard: dict[str, Any]) -> None:
    assert heard["closed"] == "ConnectionRefusedError"


@pytest.mark.parametrize(
    ("source", "as_seen"),
    [
        ("10.244.1.5", "10.244.1.5"),
        ("10.244.2.5", "10.244.2.5"),
        ("172.18.0.7", "172.18.0.7"),
        ("", "172.18.0.1"),
    ],
    ids=["pod", "itself", "node", "lab"],
)
def test_an_outgoing_socket_bears_the_address_of_its_source(
    heard: dict[str, Any], source: str, as_seen: str
) -> None:
    assert heard[f"from {source}"] == as_seen


def test_an_address_is_known_by_its_pod(heard: dict[str, Any]) -> None:
    assert heard["stand"] == ["web", None]


def test_who_listens_is_told_before_and_closed_with_its_pod(heard: dict[str, Any]) -> None:
    assert heard["told"] == ["web"]
    assert heard["twice"] == "EADDRINUSE"
    assert heard["closed with its pod"] == -1


# What is left


def test_nothing_is_left_of_a_pod(user: str) -> None:
    told = seen("endings", user)
    assert told["code"] == told["host"] == told["early"] == -9
    assert told["read"] == "", "what is connected there ends"
    assert told["links"] == told["zombies"] == told["descriptors"] == []


def test_kill_1_in_a_pod_does_not_end_the_lab(user: str) -> None:
    assert seen("endings", user)["kill 1"] == [0, "", ""]


def test_an_address_can_be_had_again_at_once(user: str) -> None:
    assert seen("endings", user)["again"] == "10.244.2.5"


def test_the_labs_own_children_end_with_their_codes(user: str) -> None:
    assert seen("endings", user)["own child"] == 5


def test_pods_come_and_go_without_holding_the_lab_up(user: str) -> None:
    told = seen("many", user)
    assert told["left"] == []
    assert told["down"] < 10, "the kernel's own removal of a link takes 30 ms"
