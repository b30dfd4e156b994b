"""Insides of played pods: each gets its environment when it starts, and files once one enters.

What was there when the pod started stays: services that come later are found by DNS only. Files
are written for those pods only in which a command runs, and none for a pod of which somebody else
than the admin is the author: nothing runs there (rights/trust.py).
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from kdns.lab.errors import ApiError, Obj
from kdns.lab.ground.base import Entry, Ground
from kdns.lab.history import Item
from kdns.lab.inside import environ, files
from kdns.lab.inside.environ import Around, Find, container_of
from kdns.lab.inside.links import MASTER, has_address, links
from kdns.lab.inside.volumes import Volumes
from kdns.lab.resources import CONFIGMAPS, NODES, SECRETS, SERVICEACCOUNTS, SERVICES
from kdns.lab.rights.trust import author, is_trusted
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = "/run/kdns"
"""Where a pod that sees files of its own finds the tools; elsewhere they are where they are."""
HOME = "/root"
"""A pod's own, so that a shell there neither meets nor leaves anything in that of the machine."""
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_S = 365 * 24 * 3600
"""How long a pod's token is good: as with a real server, which lengthens those of pods."""
_OWN = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname", ACCOUNT}
_REMEMBERED = 256
"""Namespaces whose variables are kept."""


@dataclass(slots=True)
class _Links:
    """Services of one moment, and their variables once somebody asks: few pods are entered."""

    master: Obj | None
    items: list[Item]
    offset: int
    made: dict[str, str] | None = None

    def variables(self) -> dict[str, str]:
        """Of the services of a namespace, and of the API's unless one has its name."""
        if self.made is None:
            named = {MASTER: self.master} if self.master else {}
            found = (item.object for item in self.items)
            named |= {one["metadata"]["name"]: one for one in found if has_address(one)}
            self.made = links(named.values(), self.offset)
        return self.made


@dataclass(slots=True)
class _Inside:
    """Of one pod."""

    pod: Obj
    """As it was when it started."""
    links: _Links
    environs: dict[str, dict[str, str]] = field(default_factory=dict)
    """What containers add, by their names, once all that they name was there."""
    folder: Path | None = None
    volumes: Volumes | None = None


class Furnished:
    """The Insides of a lab; `folder` is its own, `authority` the PEM of the API's CA, `tools` the
    folder of the commands that kdns brings along."""

    def __init__(
        self,
        storage: Storage,
        ground: Ground,
        tokens: Tokens,
        *,
        folder: Path,
        authority: bytes = b"",
        tools: str = "",
    ) -> None:
        self._storage = storage
        self._ground = ground
        self._tokens = tokens
        self._folder = folder
        self._authority = authority
        self._tools = tools
        self._numbers = count(1)
        self._found: dict[str, _Inside] = {}
        self._links: dict[tuple[str, bool], _Links] = {}

    def prepare(self, pod: Obj) -> None:
        """Makes them for a pod that starts, or whose container starts again."""
        uid = pod["metadata"]["uid"]
        made = _Inside(pod, self._linked(pod))
        before = self._found.get(uid)
        if before and before.folder:
            made.folder, made.volumes = before.folder, before.volumes
            for own in ("tmp", "home"):  # a container that starts again has new files
                _empty(before.folder / own)
        self._found[uid] = made
        if not is_trusted(pod):
            return
        for container in (pod.get("spec") or {}).get("containers") or ():
            try:
                made.environs[container["name"]] = self._own(made, container)
            except LookupError:
                continue  # `entry` says so, after another look

    def drop(self, uid: str) -> None:
        """Forgets them, and removes the files."""
        gone = self._found.pop(uid, None)
        if gone and gone.folder:
            shutil.rmtree(gone.folder, ignore_errors=True)

    def entry(self, pod: Obj, container: str, command: tuple[str, ...]) -> Entry:
        """What runs a command in a container; raises LookupError with what is in the way."""
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if not is_trusted(pod):
            raise LookupError(f"nothing runs in pod {name}, because {author(pod)} wrote its spec")
        inside = self._found.get(pod["metadata"]["uid"])
        if inside is None:
            raise LookupError(f"pod {name} has not started")
        if not is_trusted(inside.pod):  # the admin has written it anew since it started
            self.prepare(pod)
            inside = self._found[pod["metadata"]["uid"]]
        asked = container_of(inside.pod, container)
        own = inside.environs.get(asked["name"])
        if own is None:
            own = inside.environs[asked["name"]] = self._own(inside, asked)
        shown = files.identity(inside.pod).shown
        seen = self._files(inside) | self._mounted(inside, asked)
        runtime = {"PATH": self._path(), "HOSTNAME": shown, "HOME": self._home(inside)}
        if command[:1] == ("tar",):  # kubectl cp; a pod has one user, and others cannot own files
            runtime["TAR_OPTIONS"] = "--no-same-owner"
        return Entry(command, runtime | inside.links.variables() | own, shown, seen)

    # The environment

    def _linked(self, pod: Obj) -> _Links:
        """The services of this moment; the same for all pods that start among the same ones."""
        namespace = pod["metadata"]["namespace"]
        has_links = (pod.get("spec") or {}).get("enableServiceLinks", True)
        items = self._storage.items(SERVICES, namespace) if has_links else []
        master = self._storage.find(SERVICES, "default", MASTER)
        known = self._links.get((namespace, has_links))
        if known and known.master is master and known.items == items:
            return known
        if len(self._links) >= _REMEMBERED:
            self._links.clear()
        made = self._links[namespace, has_links] = _Links(master, items, self._ground.offset)
        return made

    def _own(self, inside: _Inside, container: Obj) -> dict[str, str]:
        node = self._storage.find(NODES, "", (inside.pod.get("spec") or {}).get("nodeName") or "")
        around = Around(self._finding(inside.pod), node or {})
        return environ.own(inside.pod, container, inside.links.variables, around)

    def _finding(self, pod: Obj) -> Find:
        """Finds ConfigMaps and Secrets of the pod's namespace."""
        namespace = pod["metadata"]["namespace"]
        kinds = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}

        def find(kind: str, name: str) -> Obj | None:
            held = self._storage.find(kinds[kind], namespace, name)
            if held and not is_trusted(held):
                # What others write bends commands: BASH_ENV, LD_PRELOAD, /etc/profile.d.
                raise LookupError(
                    f'{kind.lower()} "{name}" goes into no pod, because {author(held)} wrote it'
                )
            return held

        return find

    def _path(self) -> str:
        if not self._tools:
            return PATH
        return f"{PATH}:{TOOLS}" if self._ground.has_spaces else f"{self._tools}:{PATH}"

    def _home(self, inside: _Inside) -> str:
        assert inside.folder
        return HOME if self._ground.has_spaces else str(inside.folder / "home")

    # Files

    def _files(self, inside: _Inside) -> dict[str, Path]:
        """Where they are; written when they are first asked for."""
        if inside.folder is None:
            inside.folder = self._written(inside.pod)
        found = {
            "/etc/resolv.conf": inside.folder / "resolv.conf",
            "/etc/hosts": inside.folder / "hosts",
            "/etc/hostname": inside.folder / "hostname",
            "/tmp": inside.folder / "tmp",  # noqa: S108  # the pod's own
        }
        if self._ground.has_spaces and Path(HOME).is_dir():
            found[HOME] = inside.folder / "home"
        if self._ground.has_spaces:
            found["/etc/wgetrc"] = inside.folder / "wgetrc"
        if self._tools and self._ground.has_spaces:
            found[TOOLS] = Path(self._tools)
        account = inside.folder / "account"
        if account.exists() or self._introduce(inside.pod, account):
            found[ACCOUNT] = account
        return found

    def _mounted(self, inside: _Inside, container: Obj) -> dict[str, Path]:
        """The container's volumes; what the pod has anyway is not covered by them."""
        assert inside.folder
        if inside.volumes is None:
            inside.volumes = Volumes(inside.folder / "volumes")
        found = inside.volumes.mounted(inside.pod, container, self._finding(inside.pod))
        return {path: source for path, source in found.items() if path not in _OWN}

    def _written(self, pod: Obj) -> Path:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        for own in ("tmp", "home"):
            (folder / own).mkdir(mode=0o700)
        _write(folder / "resolv.conf", files.resolv_conf(pod, self._ground.ranges.dns).encode())
        _write(folder / "hosts", files.hosts(pod).encode())
        _write(folder / "wgetrc", b"tries = 1\n")  # as BusyBox, which tutorials run: no 20 times
        _write(folder / "hostname", f"{files.identity(pod).shown}\n".encode())
        return folder

    def _introduce(self, pod: Obj, account: Path) -> bool:
        """Writes the folder of the pod's ServiceAccount; False when it gets none."""
        spec, namespace = pod.get("spec") or {}, pod["metadata"]["namespace"]
        name = spec.get("serviceAccountName") or "default"
        held = self._storage.find(SERVICEACCOUNTS, namespace, name)
        wished = spec.get("automountServiceAccountToken")
        if held is None or not (
            held.get("automountServiceAccountToken", True) if wished is None else wished
        ):
            return False
        try:
            token = self._tokens.issue(namespace, name, seconds=TOKEN_S, pod=pod)
        except ApiError:
            return False
        account.mkdir(mode=0o700)
        _write(account / "token", token.encode())
        _write(account / "ca.crt", self._authority)
        _write(account / "namespace", namespace.encode())
        return True


def _empty(folder: Path) -> None:
    """Commands may have removed it, closed it, or put a link in its place: none is in the way."""
    with suppress(OSError):
        if folder.is_symlink():
            folder.unlink()
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        for one in folder.iterdir():
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink(missing_ok=True)


def _write(path: Path, octets: bytes) -> None:
    with open(path, "wb", opener=_private) as file:
        file.write(octets)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
