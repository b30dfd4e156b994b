"""What a container mounts."""

import base64
from pathlib import Path
from typing import Any

import pytest

from kdns.lab.inside.volumes import Volumes

HELD: dict[tuple[str, str], dict[str, Any]] = {
    ("ConfigMap", "settings"): {
        "data": {"color": "red", "nginx.conf": "server {}"},
        "binaryData": {"raw": base64.b64encode(b"\xff\0").decode()},
    },
    ("Secret", "keys"): {"data": {"password": base64.b64encode(b"secret").decode()}},
}


def mounted(folder: Path, volume: dict[str, Any], **mount: str) -> dict[str, Path]:
    mounts = [{"name": "v", "mountPath": "/etc/config", **mount}]
    pod = {"spec": {"volumes": [{"name": "v", **volume}]}}
    return Volumes(folder).mounted(pod, {"volumeMounts": mounts}, lambda *key: HELD.get(key))


def shown(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"configMap": {"name": "settings"}},
         {"color": b"red", "nginx.conf": b"server {}", "raw": b"\xff\0"}),
        ({"configMap": {"name": "settings", "items": [{"key": "color", "path": "a/b"}]}}, {"a/b": b"red"}),
        ({"secret": {"secretName": "keys"}}, {"password": b"secret"}),
        ({"emptyDir": {}}, {}),
        ({"configMap": {"name": "none", "optional": True}}, {}),
        ({"configMap": {"name": "settings", "optional": True, "items": [{"key": "x", "path": "x"}]}}, {}),
    ],
)  # fmt: skip
def test_volumes_are_folders(
    tmp_path: Path, volume: dict[str, Any], files: dict[str, bytes]
) -> None:
    found = mounted(tmp_path, volume)
    assert set(found) == {"/etc/config"}
    assert shown(found["/etc/config"]) == files


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({"configMap": {"name": "none"}},
         'MountVolume.SetUp failed for volume "v" : configmap "none" not found'),
        ({"configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}},
         "references non-existent config key: x"),
        ({"configMap": {"name": "settings", "items": [{"key": "color", "path": "../../out"}]}},
         "no path within a volume"),
        ({"configMap": {"name": "settings", "items": [{"key": "color", "path": "/out"}]}},
         "no path within a volume"),
    ],
)  # fmt: skip
def test_what_cannot_be_mounted(tmp_path: Path, volume: dict[str, Any], why: str) -> None:
    with pytest.raises(LookupError) as found:
        mounted(tmp_path / "lab", volume)
    assert why in str(found.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        ("/etc/nginx/conf.d/", True),
        ("/tmp/cache", True),
        ("/var/run/app", True),
        ("/run/app", True),
        ("/etc", False),
        ("/etc/", False),
        ("/etc/..", False),
        ("/etc/../usr/bin", False),
        ("/usr/share/nginx/html", False),
        ("/", False),
        ("etc/config", False),
    ],
)
def test_where(tmp_path: Path, path: str, is_there: bool) -> None:
    assert bool(mounted(tmp_path, {"emptyDir": {}}, mountPath=path)) is is_there


def test_a_part_of_a_volume(tmp_path: Path) -> None:
    volume = {"configMap": {"name": "settings"}}
    found = mounted(tmp_path, volume, mountPath="/etc/nginx/nginx.conf", subPath="nginx.conf")
    assert found["/etc/nginx/nginx.conf"].read_text() == "server {}"
    assert mounted(tmp_path, {"emptyDir": {}}, subPath="new")["/etc/config"].is_dir()
    with pytest.raises(LookupError, match="no path within a volume"):
        mounted(tmp_path, volume, subPath="../out")


def test_other_kinds_and_names_are_left_out(tmp_path: Path) -> None:
    assert mounted(tmp_path, {"hostPath": {"path": "/etc"}}) == {}
    assert mounted(tmp_path, {"emptyDir": {}}, name="other") == {}


def test_changes_are_seen_and_what_is_written_stays(tmp_path: Path) -> None:
    held: dict[str, Any] = {"data": {"one": "1", "two": "2"}}
    pod = {
        "spec": {
            "volumes": [{"name": "c", "configMap": {"name": "x"}}, {"name": "e", "emptyDir": {}}]
        }
    }
    mounts = [{"name": "c", "mountPath": "/etc/c"}, {"name": "e", "mountPath": "/tmp/e"}]
    volumes = Volumes(tmp_path)

    def look() -> dict[str, Path]:
        return volumes.mounted(pod, {"volumeMounts": mounts}, lambda *_: held)

    (look()["/tmp/e"] / "kept").write_text("x")
    held = {"data": {"one": "one"}}
    found = look()
    assert shown(found["/etc/c"]) == {"one": b"one"}
    assert shown(found["/tmp/e"]) == {"kept": b"x"}
