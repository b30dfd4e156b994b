"""Real clients and servers that a test skips without, and must not where `.ci/run` installs them.

With KDNS_REQUIRE_CLIENTS=1 a skip is a failure when its reason names a tool, or the package of one,
that `.ci/run` installs and that is missing here.
"""

import os
import re
import shutil
from ctypes.util import find_library
from pathlib import Path

import pytest

CI = Path(__file__).parents[1] / ".ci" / "run"
SBIN = "/usr/local/sbin:/usr/sbin"


def installed_by_ci() -> dict[str, str]:
    """The tools, and the packages that they come in."""
    listed = re.search(r"for tool in (.*?); do", CI.read_text(), re.DOTALL)
    assert listed
    pairs = listed[1].replace("\\\n", " ").split()
    return dict(pair.split(":") for pair in pairs) | {"cares": "libc-ares2"}


def is_here(tool: str) -> bool:
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    return bool(find_library(tool) if tool == "cares" else shutil.which(tool, path=path))


def missing(reason: str) -> list[str]:
    """What a reason to skip names that should be here and is not."""
    words = set(re.findall(r"[\w-]+", reason))
    tools = installed_by_ci().items()
    return [tool for tool, package in tools if {tool, package} & words and not is_here(tool)]


def judge(report: pytest.TestReport) -> None:
    """Makes a failure of a skip that must not be."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if os.environ.get("KDNS_REQUIRE_CLIENTS") == "1" and missing(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason}, and KDNS_REQUIRE_CLIENTS is set"
