"""Bodies in protobuf: what kubectl and typed clients of Go send, byte by byte."""

from typing import Any

import pytest

from kdns.lab import protobuf
from kdns.lab.errors import ApiError


def varint(number: int) -> bytes:
    found = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def message(*fields: tuple[int, Any]) -> bytes:
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(raw)) + raw
    return found


def body(version: str, kind: str, raw: bytes) -> bytes:
    named = message((1, version), (2, kind))
    return b"k8s\0" + message((1, named), (2, raw), (3, ""), (4, ""))


def test_a_config_map_as_kubectl_sends_it() -> None:
    sent = bytes.fromhex(
        "6b3873000a0f0a02763112 09436f6e6669674d6170121c0a120a02636d12001a002200"
        "2a003200380042 0012060a01611201311a002200"
    )
    found = protobuf.decode(sent)
    assert (found["kind"], found["apiVersion"]) == ("ConfigMap", "v1")
    assert (found["metadata"]["name"], found["data"]) == ("cm", {"a": "1"})


def test_zeros_that_nobody_wrote_are_left_out() -> None:
    port = message(
        (1, "http"), (2, "TCP"), (3, 80), (4, message((1, 0), (2, 8080), (3, ""))), (5, 0)
    )
    raw = message((1, message((1, "web"))), (2, message((1, port), (4, "ClusterIP"), (12, 0))))
    spec = protobuf.decode(body("v1", "Service", raw))["spec"]
    assert spec == {
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
        "type": "ClusterIP",
    }


def test_zeros_that_somebody_wrote_stay() -> None:
    raw = message((1, message((1, "web"))), (2, message((1, 0))))
    assert protobuf.decode(body("apps/v1", "Deployment", raw))["spec"] == {"replicas": 0}


def test_members_of_an_inlined_type_stand_beside_the_others() -> None:
    source = message((19, message((1, message((1, "conf"))))))
    spec = message((1, message((1, "vol"), (2, source))))
    raw = message((1, message((1, "one"))), (2, spec))
    assert protobuf.decode(body("v1", "Pod", raw))["spec"]["volumes"] == [
        {"name": "vol", "configMap": {"name": "conf"}}
    ]


def test_times_bytes_quantities_and_negative_numbers() -> None:
    made = message((1, 1_700_000_000), (2, 0))
    raw = message((1, message((1, "s"), (8, made))), (2, message((1, "k"), (2, b"\x01\x02"))))
    found = protobuf.decode(body("v1", "Secret", raw))
    assert found["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert found["data"] == {"k": "AQI="}
    raw = message((1, -5))
    assert protobuf.decode(body("v1", "DeleteOptions", raw))["gracePeriodSeconds"] == -5
    limits = message((1, message((1, "cpu"), (2, message((1, "100m"))))))
    spec = message((2, message((1, "c"), (8, limits))))
    raw = message((2, spec))
    (container,) = protobuf.decode(body("v1", "Pod", raw))["spec"]["containers"]
    assert container["resources"] == {"limits": {"cpu": "100m"}}


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{}",
        b"k8s\0",
        body("v9", "Nothing", b""),
        body("v1", "Service", message((1, message((1, "web"))))[:-1]),
        body("v1", "Service", message((2, message((4, 7))))),
        body("v1", "Service", b"\x0b"),
        body("v1", "Service", b"\x08" + b"\xff" * 12),
        body("v1", "Service", message((1, message((1, b"\xff"))))),
    ],
)
def test_what_cannot_be_read_is_a_bad_request(sent: bytes) -> None:
    with pytest.raises(ApiError) as error:
        protobuf.decode(sent)
    assert error.value.code == 400
