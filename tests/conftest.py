"""Every async test runs on both event loops: uvloop's and asyncio's own.

Properties are not timed by Hypothesis: others share the machine. Where CI is set they are tried with
the same examples each time, as is Hypothesis's own habit; `make fuzz` looks for new ones.
"""

import asyncio
import logging
from collections.abc import Callable, Generator, Iterator

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests import required

settings.register_profile(
    "shared", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops where sockets are tested; asyncio's alone elsewhere."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop
    }
    if item.path.parent.name in {"server", "client", "conformance"}:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test may not be skipped for want of what must be there."""
    report = yield
    required.judge(report)
    return report


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A test that runs a command in this process leaves the process's log as it found it."""
    root = logging.getLogger("kdns")
    before = root.level, root.propagate, list(root.handlers)
    yield
    root.level, root.propagate, root.handlers = before
