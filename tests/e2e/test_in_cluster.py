"""In a pod: the files of a ServiceAccount and two variables are all that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.differential import peer
from tests.e2e.conftest import COREFILE, KUBECONFIG, account, rules
from tests.referee.asking import ask, eventually, texts
from tests.referee.inside import IN_CLUSTER, inside, write_account
from tests.referee.kube import Kube, ca_of

NAME = "kubernetes.default.svc.cluster.local"


def test_the_files_of_a_service_account_suffice_and_are_read_again(
    kube: Kube, space: str, upstream: int, tmp_path: Path
):
    (tmp_path / "try").mkdir()
    command = [*IN_CLUSTER, str(tmp_path / "try"), "true"]
    if (
        not shutil.which("unshare")
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("needs user and mount namespaces")
    assert KUBECONFIG
    files = write_account(tmp_path / "account", "not-yet", Path(ca_of(KUBECONFIG)))
    text = COREFILE.replace("kubeconfig KUBECONFIG", "").replace(
        "UPSTREAM", f"127.0.0.1:{upstream}"
    )
    with peer.start(inside(files, kube.url, [sys.executable, "-m", "kdns"]), text) as server:
        address = kube.get("Service", "default", "kubernetes")["spec"]["clusterIP"]
        assert not texts(ask(server.port, NAME))
        assert "serviceaccount/token" in server.log, server.log
        new = tmp_path / "account" / "token.new"
        new.write_text(account(kube, space, rules()))
        new.rename(tmp_path / "account" / "token")
        eventually(lambda: texts(ask(server.port, NAME)) == [address], within_s=90)
        assert "Traceback" not in server.log
