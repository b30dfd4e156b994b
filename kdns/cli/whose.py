"""Whose lab a command is about that names none: what kubectl asks, or the one started here."""

import os
from pathlib import Path

KUBECONFIG = Path(".kdns/kubeconfig")
"""Where a lab leaves it."""


def named() -> str:
    """The kubeconfig; "" where there is none."""
    return os.environ.get("KUBECONFIG", "") or (str(KUBECONFIG) if KUBECONFIG.exists() else "")
