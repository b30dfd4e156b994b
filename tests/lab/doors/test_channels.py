"""The messages of remote commands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.doors import channels


@given(st.integers(0, 255))
def test_an_exit_code_survives_its_status(code: int) -> None:
    message = channels.outcome(code)
    assert message[0] == channels.ERROR
    assert channels.exit_code(json.loads(message[1:])) == code


def test_a_code_is_told_as_kubectl_reads_it() -> None:
    status = json.loads(channels.outcome(3)[1:])
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


def test_a_command_that_cannot_run_is_an_internal_error() -> None:
    status = json.loads(channels.failure("no such thing")[1:])
    assert status["reason"] == "InternalError"
    assert "no such thing" in status["message"]
    assert channels.exit_code(status) == 1


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b'{"Width":80,"Height":24}', (24, 80)),
        (b'{"Width":80,"Height":24,"More":1}', (24, 80)),
        (b'{"Width":0,"Height":24}', None),
        (b'{"Width":80}', None),
        (b'{"Width":65536,"Height":24}', None),
        (b'{"Width":-1,"Height":24}', None),
        (b'{"Width":"80","Height":24}', None),
        (b"80x24", None),
        (b"", None),
        (b"\xff\xfe", None),
    ],
)
def test_sizes(octets: bytes, found: object) -> None:
    assert channels.size(octets) == found


@given(st.binary(max_size=60))
def test_no_size_breaks_anything(octets: bytes) -> None:
    channels.size(octets)
