"""What a pod finds: of the moment it started, in files of its own, until it goes."""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kdns.lab.ground.base import Entry
from kdns.lab.inside import furnished
from kdns.lab.inside.furnished import ACCOUNT, PATH, Furnished
from kdns.lab.ranges import LOOPBACK, USUAL, Ranges
from kdns.lab.resources import CONFIGMAPS, NAMESPACES, PODS, SERVICEACCOUNTS, SERVICES, Resource
from kdns.lab.rights.trust import MARK
from kdns.lab.storage import Deletion, Storage
from kdns.lab.tokens import Tokens


@dataclass
class Flat:
    """What Insides ask of a ground."""

    ranges: Ranges = USUAL
    offset: int = 0
    has_spaces: bool = True


class Stage:
    def __init__(self, folder: Path, ground: Flat | None = None) -> None:
        self.storage = Storage(now=time.time, uid=lambda: str(uuid.uuid4()))
        for name in ("default", "shop"):
            self.make(NAMESPACES, "", name)
        self.tokens = Tokens(b"secret", self.storage)
        self.folder = folder
        self.insides = Furnished(
            self.storage, ground or Flat(), self.tokens,  # type: ignore[arg-type]
            folder=folder, authority=b"PEM", tools="/opt/tools",
        )  # fmt: skip
        self.service("kubernetes", "10.96.0.1", "default", port=443, name="https")

    def make(self, resource: Resource, namespace: str, name: str, **more: Any) -> Any:
        metadata = {"name": name, **more.pop("metadata", {})}
        return self.storage.create(resource, namespace, {"metadata": metadata, **more})

    def service(self, name: str, address: str, namespace: str = "shop", /, **port: Any) -> None:
        spec = {"clusterIP": address, "ports": [{"port": 80, **port}]}
        self.make(SERVICES, namespace, name, spec=spec)

    def pod(self, name: str = "web", *, container: dict[str, Any] | None = None,
            metadata: dict[str, Any] | None = None, **spec: Any) -> Any:  # fmt: skip
        made = {"containers": [{"name": "main", "image": "i", **(container or {})}], **spec}
        pod = self.make(PODS, "shop", name, spec=made, metadata=metadata or {})
        addresses = {"podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}]}
        status = {**pod["status"], **addresses}
        return self.storage.update(PODS, "shop", name, {**pod, "status": status}, part="status")

    def started(self, name: str = "web", **more: Any) -> Entry:
        pod = self.pod(name, **more)
        self.insides.prepare(pod)
        return self.insides.entry(pod, "", ("id",))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_services_of_the_moment_a_pod_starts(stage: Stage) -> None:
    stage.service("before", "10.96.0.20")
    stage.service("headless", "None")
    stage.service("elsewhere", "10.96.0.21", "default")
    pod = stage.pod()
    stage.insides.prepare(pod)
    stage.service("after", "10.96.0.22")
    environ = stage.insides.entry(pod, "main", ("env",)).environ
    assert {name for name in environ if name.endswith("_SERVICE_HOST")} == {
        "BEFORE_SERVICE_HOST", "KUBERNETES_SERVICE_HOST",
    }  # fmt: skip
    assert environ["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert environ["KUBERNETES_SERVICE_PORT"] == environ["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert "AFTER_SERVICE_HOST" in stage.started("later").environ
    stage.insides.prepare(pod)  # its container starts again
    assert "AFTER_SERVICE_HOST" in stage.insides.entry(pod, "main", ("env",)).environ


def test_a_pod_without_links_still_finds_the_api(stage: Stage) -> None:
    stage.service("before", "10.96.0.20")
    environ = stage.started(enableServiceLinks=False).environ
    assert environ["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert not any("BEFORE" in name for name in environ)


def test_services_that_change_are_seen_by_pods_that_start_then(stage: Stage) -> None:
    stage.service("web", "10.96.0.20")
    assert stage.started("one").environ["WEB_SERVICE_PORT"] == "80"
    service = stage.storage.get(SERVICES, "shop", "web")
    changed = {**service, "spec": {**service["spec"], "ports": [{"port": 81, "protocol": "TCP"}]}}
    stage.storage.update(SERVICES, "shop", "web", changed)
    assert stage.started("two").environ["WEB_SERVICE_PORT"] == "81"


def test_variables_are_made_once_for_pods_that_start_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    links = furnished.links
    monkeypatch.setattr(furnished, "links", lambda *given: made.append(given) or links(*given))  # type: ignore[func-returns-value]
    for at in range(20):
        stage.started(f"pod-{at}")
    assert len(made) == 1
    for at in range(furnished._REMEMBERED + 10):
        stage.insides._linked({"metadata": {"namespace": f"n{at}"}})
    assert len(stage.insides._links) <= furnished._REMEMBERED


def test_an_own_service_of_that_name_stands_for_the_api(stage: Stage) -> None:
    stage.service("kubernetes", "10.96.0.99")
    assert stage.started().environ["KUBERNETES_SERVICE_HOST"] == "10.96.0.99"


def test_the_runtime_s_own_variables(stage: Stage) -> None:
    entry = stage.started()
    environ = entry.environ
    assert (environ["HOSTNAME"], environ["HOME"]) == ("web", "/root")
    assert environ["PATH"] == f"{PATH}:/run/kdns"
    assert entry.files["/run/kdns"] == Path("/opt/tools")
    container = {"env": [{"name": "HOME", "value": "/srv"}, {"name": "PATH", "value": "/bin"}]}
    environ = stage.started("own", container=container).environ
    assert (environ["HOME"], environ["PATH"]) == ("/srv", "/bin")


def test_on_loopback_addresses(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Flat(LOOPBACK, 20000, has_spaces=False))
    entry = stage.started()
    assert entry.environ["KUBERNETES_SERVICE_PORT"] == "20443"
    assert entry.environ["PATH"] == f"/opt/tools:{PATH}"
    assert "nameserver 127.96.0.10\n" in entry.files["/etc/resolv.conf"].read_text()
    assert Path(entry.environ["HOME"]) == entry.files["/etc/hosts"].parent / "home"
    assert Path(entry.environ["HOME"]).is_dir()
    assert "/root" not in entry.files


def test_tar_asks_for_no_other_owners(stage: Stage) -> None:
    """kubectl cp: files of an ordinary user come with an owner that a pod does not know."""
    pod = stage.pod()
    stage.insides.prepare(pod)
    assert "TAR_OPTIONS" not in stage.insides.entry(pod, "", ("sh",)).environ
    entry = stage.insides.entry(pod, "", ("tar", "-xmf", "-", "-C", "/tmp"))
    assert entry.environ["TAR_OPTIONS"] == "--no-same-owner"


def test_what_a_container_lacks_is_looked_for_again(stage: Stage) -> None:
    pod = stage.pod(container={"envFrom": [{"configMapRef": {"name": "late"}}]})
    stage.insides.prepare(pod)
    with pytest.raises(LookupError, match='configmap "late" not found'):
        stage.insides.entry(pod, "", ("env",))
    stage.make(CONFIGMAPS, "shop", "late", data={"COLOR": "red"})
    assert stage.insides.entry(pod, "", ("env",)).environ["COLOR"] == "red"
    late = stage.storage.get(CONFIGMAPS, "shop", "late")
    stage.storage.update(CONFIGMAPS, "shop", "late", {**late, "data": {"COLOR": "blue"}})
    assert stage.insides.entry(pod, "", ("env",)).environ["COLOR"] == "red"  # as in a process


def test_a_pod_must_have_started_and_have_the_container(stage: Stage) -> None:
    pod = stage.pod()
    with pytest.raises(LookupError, match="pod shop/web has not started"):
        stage.insides.entry(pod, "", ("env",))
    stage.insides.prepare(pod)
    with pytest.raises(LookupError, match="container x is not valid for pod web"):
        stage.insides.entry(pod, "x", ("env",))


# What others wrote


def test_nothing_runs_in_a_pod_that_somebody_else_wrote(stage: Stage) -> None:
    with pytest.raises(LookupError, match="because robot wrote its spec"):
        stage.started(metadata={"annotations": {MARK: "robot"}})
    assert not list(stage.folder.iterdir())


def test_nor_with_the_environment_that_it_started_with(stage: Stage) -> None:
    bent = {"env": [{"name": "BASH_ENV", "value": "$(touch x)"}]}
    pod = stage.pod(container=bent, metadata={"annotations": {MARK: "robot"}})
    stage.insides.prepare(pod)
    clean = {**pod, "metadata": {**pod["metadata"], "annotations": {}},
             "spec": {**pod["spec"], "containers": [{"name": "main"}]}}  # fmt: skip
    assert "BASH_ENV" not in stage.insides.entry(clean, "", ("bash",)).environ


def test_environments_hold_nothing_that_somebody_else_wrote(stage: Stage) -> None:
    bent = {"annotations": {MARK: "robot"}}
    stage.make(CONFIGMAPS, "shop", "bent", data={"BASH_ENV": "$(touch x)"}, metadata=bent)
    with pytest.raises(LookupError, match='configmap "bent" goes into no pod, because robot'):
        stage.started(container={"envFrom": [{"configMapRef": {"name": "bent", "optional": True}}]})


# Files


def test_files_are_private_and_go_with_the_pod(stage: Stage) -> None:
    pod = stage.pod()
    stage.insides.prepare(pod)
    assert not list(stage.folder.iterdir())  # nobody has entered
    files = stage.insides.entry(pod, "", ("id",)).files
    own = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/wgetrc", "/tmp"}
    home = {"/root"} if Path("/root").is_dir() else set()
    assert set(files) == own | home | {"/run/kdns"}
    assert files["/etc/hostname"].read_text() == "web\n"
    assert files["/etc/wgetrc"].read_text() == "tries = 1\n"
    assert files["/etc/hosts"].read_text().endswith("10.244.1.5\tweb\n")
    assert files["/etc/resolv.conf"].read_text().startswith("search shop.svc.cluster.local ")
    for path in stage.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert stage.insides.entry(pod, "", ("id",)).files == files
    stage.insides.drop(pod["metadata"]["uid"])
    assert not list(stage.folder.iterdir())
    stage.insides.drop(pod["metadata"]["uid"])


def test_a_container_that_starts_again_has_an_empty_folder_for_temporary_files(
    stage: Stage,
) -> None:
    pod = stage.pod()
    stage.insides.prepare(pod)
    folder = stage.insides.entry(pod, "", ("id",)).files["/tmp"]
    (folder / "stuck").write_text("x")
    (folder / "deep").mkdir()
    (folder / "deep" / "er").write_text("x")
    stage.insides.prepare(pod)
    assert stage.insides.entry(pod, "", ("id",)).files["/tmp"] == folder
    assert not list(folder.iterdir())


def test_what_a_command_does_to_its_temporary_folder_keeps_no_container_from_its_next_start(
    stage: Stage,
) -> None:
    pod = stage.pod()
    stage.insides.prepare(pod)
    folder = stage.insides.entry(pod, "", ("id",)).files["/tmp"]
    folder.rmdir()
    stage.insides.prepare(pod)
    folder.rmdir()
    other = stage.folder / "other"
    other.mkdir()
    (other / "mine").write_text("x")
    folder.symlink_to(other)
    stage.insides.prepare(pod)
    assert folder.is_dir()
    assert not folder.is_symlink()
    assert (other / "mine").exists(), "what a link leads to is not emptied"


# The account


def test_the_token_ends_with_the_pod(stage: Stage) -> None:
    stage.make(SERVICEACCOUNTS, "shop", "default")
    token = (stage.started().files[ACCOUNT] / "token").read_text()
    assert stage.tokens.user(token)
    stage.storage.delete(PODS, "shop", "web", Deletion(grace_s=0))
    assert stage.tokens.user(token) is None
    stage.pod()
    assert stage.tokens.user(token) is None, "it is not for another pod of that name"


def test_the_token_is_that_of_the_pod_s_account(stage: Stage) -> None:
    stage.make(SERVICEACCOUNTS, "shop", "robot")
    account = stage.started(serviceAccountName="robot").files[ACCOUNT]
    assert {path.name for path in account.iterdir()} == {"token", "ca.crt", "namespace"}
    user = stage.tokens.user((account / "token").read_text())
    assert user
    assert (user.name, user.is_admin) == ("system:serviceaccount:shop:robot", False)
    assert (account / "ca.crt").read_bytes() == b"PEM"
    assert (account / "namespace").read_text() == "shop"


def test_the_default_account_may_come_later(stage: Stage) -> None:
    pod = stage.pod()
    stage.insides.prepare(pod)
    assert ACCOUNT not in stage.insides.entry(pod, "", ("id",)).files
    stage.make(SERVICEACCOUNTS, "shop", "default")
    assert ACCOUNT in stage.insides.entry(pod, "", ("id",)).files


@pytest.mark.parametrize(
    ("account", "pod", "is_there"),
    [
        (None, None, True),
        (False, None, False),
        (False, True, True),
        (None, False, False),
        (True, False, False),
    ],
)
def test_accounts_that_are_not_to_be_mounted(
    stage: Stage, account: bool | None, pod: bool | None, is_there: bool
) -> None:
    of_account = {} if account is None else {"automountServiceAccountToken": account}
    of_pod = {} if pod is None else {"automountServiceAccountToken": pod}
    stage.make(SERVICEACCOUNTS, "shop", "default", **of_account)
    assert (ACCOUNT in stage.started(**of_pod).files) is is_there


# Volumes


def test_mounted_config_maps_come_with_the_pod_s_own_files(stage: Stage) -> None:
    stage.make(CONFIGMAPS, "shop", "settings", data={"color": "red"})
    mounts = [{"name": "v", "mountPath": path} for path in ("/etc/config", "/etc/hosts", ACCOUNT)]
    volumes = [{"name": "v", "configMap": {"name": "settings"}}]
    files = stage.started(container={"volumeMounts": mounts}, volumes=volumes).files
    assert (files["/etc/config"] / "color").read_text() == "red"
    assert files["/etc/hosts"].is_file()
    assert ACCOUNT not in files
    assert list(files).index("/tmp") < list(files).index("/etc/config")
    assert all(path.stat().st_mode & 0o077 == 0 for path in stage.folder.iterdir())


def test_nothing_that_somebody_else_wrote_is_mounted(stage: Stage) -> None:
    bent = {"annotations": {MARK: "robot"}}
    stage.make(CONFIGMAPS, "shop", "bent", data={"x.sh": "touch x"}, metadata=bent)
    volumes = [{"name": "v", "configMap": {"name": "bent"}}]
    container = {"volumeMounts": [{"name": "v", "mountPath": "/etc/profile.d"}]}
    with pytest.raises(LookupError, match='configmap "bent" goes into no pod, because robot'):
        stage.started(container=container, volumes=volumes)
