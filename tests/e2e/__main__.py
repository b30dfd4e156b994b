"""`make e2e`: these tests on KDNS_E2E_KUBECONFIG's cluster, or on a control plane started for them."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from tests.referee.controlplane import HOW, ControlPlane, program


def main() -> int:
    """Starts what is needed, runs pytest, ends what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = str(Path(__file__).parent)
    arguments = [folder, "--durations=5", *sys.argv[1:]]
    if os.environ.get("KDNS_E2E_KUBECONFIG"):
        return int(pytest.main(arguments))
    if program() is None:
        print(HOW)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="kdns-e2e-") as name,
        ControlPlane(Path(name) / "plane") as plane,
    ):
        os.environ["KDNS_E2E_KUBECONFIG"] = str(plane.kubeconfig)
        return int(pytest.main(arguments))


if __name__ == "__main__":
    sys.exit(main())
