"""A real API server takes the folders of the demo as they are."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import KUBECONFIG

DEMO = Path(__file__).parents[2] / "config" / "demo"
FOLDERS = ("first-service", "discovery", "stateful", "fleetman", "broken")
HOMES = ("hello", "discovery", "stateful", "fleetman", "broken", "elsewhere")

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")


def kubectl(*words: str) -> "subprocess.CompletedProcess[str]":
    command = ["kubectl", "--kubeconfig", str(KUBECONFIG), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def homes() -> Iterator[None]:
    """The namespace that no file makes; all of them are gone again afterwards."""
    kubectl("create", "namespace", "hello")
    yield
    kubectl("delete", "namespace", *HOMES, "--ignore-not-found", "--wait=false")


@pytest.mark.usefixtures("homes")
def test_every_folder_can_be_applied() -> None:
    for folder in FOLDERS:
        done = kubectl("apply", "-f", str(DEMO / folder))
        assert done.returncode == 0, done.stderr
        assert "unknown field" not in done.stderr
