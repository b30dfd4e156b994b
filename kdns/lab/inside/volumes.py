"""ConfigMaps, Secrets and empty folders that a container mounts become folders of the lab's.

Mounted is what lies below /etc, /run, /var/run or /tmp, where a pod has folders of its own: to make
one elsewhere needs rights on the machine's files, and what is there already is not covered.
"""

import base64
import posixpath
import shutil
from collections.abc import Iterator
from pathlib import Path

from kdns.lab.errors import Obj
from kdns.lab.inside.environ import Find

_PLACES = ("/etc/", "/run/", "/var/run/", "/tmp/")  # noqa: S108  # of the pod
_KINDS = {"configMap": ("ConfigMap", "name"), "secret": ("Secret", "secretName")}


class Volumes:
    """Those of one pod, by their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, Obj] = {}
        """What their files were made of."""

    def mounted(self, pod: Obj, container: Obj, find: Find) -> dict[str, Path]:
        """What stands for each path; raises LookupError for what is missing."""
        named = {one["name"]: one for one in (pod.get("spec") or {}).get("volumes") or ()}
        found = {}
        for mount in container.get("volumeMounts") or ():
            path = posixpath.normpath(mount.get("mountPath") or "")
            volume = named.get(mount.get("name"), {})
            if path.startswith(_PLACES) and (source := self._folder_of(volume, find)):
                found[path] = _below(source, mount.get("subPath") or "")
                if not found[path].exists():  # as a kubelet does for a subPath
                    found[path].mkdir(mode=0o700, parents=True)
        return dict(sorted(found.items()))

    def _folder_of(self, volume: Obj, find: Find) -> Path | None:
        """The folder of a volume as it is now; None for kinds that are not played."""
        if "emptyDir" not in volume and not _KINDS.keys() & volume.keys():
            return None
        folder = self._folder / str(volume["name"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for field, (kind, key) in _KINDS.items():
            if field in volume:
                self._fill(folder, kind, volume[field].get(key) or "", volume[field], find)
        return folder

    def _fill(self, folder: Path, kind: str, name: str, source: Obj, find: Find) -> None:
        held = find(kind, name)
        if held is None and not source.get("optional"):
            why = f'{kind.lower()} "{name}" not found'
            raise LookupError(f'MountVolume.SetUp failed for volume "{folder.name}" : {why}')
        if held is None or self._seen.get(folder.name) is held:
            return
        self._seen[folder.name] = held
        for old in folder.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for path, octets in _files(kind, held, source):
            _below(folder, path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(folder / path, "wb") as file:
                file.write(octets)


def _files(kind: str, held: Obj, source: Obj) -> Iterator[tuple[str, bytes]]:
    """Paths and contents: all keys, or the chosen items."""
    texts, binary = held.get("data") or {}, held.get("binaryData") or {}
    if kind == "Secret":
        texts, binary = {}, texts
    found = {key: text.encode() for key, text in texts.items()}
    found |= {key: base64.b64decode(text) for key, text in binary.items()}
    items = source.get("items")
    if not items:
        yield from found.items()
    for item in items or ():
        if item["key"] in found:
            yield item.get("path") or item["key"], found[item["key"]]
        elif not source.get("optional"):
            raise LookupError(f"references non-existent config key: {item['key']}")


def _below(folder: Path, path: str) -> Path:
    """A path in a folder; raises LookupError for one that leads out."""
    found = posixpath.normpath(path or ".")
    if found.startswith(("/", "../")) or found == "..":
        raise LookupError(f"{path!r} is no path within a volume")
    return folder / found
