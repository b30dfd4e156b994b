"""A program is run as in a pod: with the files and variables of a ServiceAccount, where they belong."""

from pathlib import Path
from urllib.parse import urlsplit

IN_CLUSTER = (
    "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
    'mount -t tmpfs none /run && mkdir -p "$0" && mount --bind "$1" "$0" && shift && exec "$@"',
    "/run/secrets/kubernetes.io/serviceaccount",
)  # fmt: skip


def inside(account: Path, url: str, command: list[str]) -> list[str]:
    """The command that runs a program with the files of a folder, on an API server's URL."""
    at = urlsplit(url)
    where = [f"KUBERNETES_SERVICE_HOST={at.hostname}", f"KUBERNETES_SERVICE_PORT={at.port}"]
    return [*IN_CLUSTER, str(account), "env", *where, *command]


def write_account(folder: Path, token: str, ca: Path) -> Path:
    """The files of a ServiceAccount in a new folder."""
    folder.mkdir()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_text(ca.read_text())
    (folder / "namespace").write_text("kube-system")
    return folder
