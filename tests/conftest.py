"""Every async test runs on both event loops: uvloop's and asyncio's own."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop


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
