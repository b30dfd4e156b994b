"""One Chromium for all tests of the page, a tab for each; whoever opened one must leave it quiet."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import lacking
from tests.status.chromium import Page, start, tab, where


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a browser's profile."""
    if where() is None:
        lacking("chromium is not installed")
    folder = tmp_path_factory.mktemp("chromium")
    process = start(folder)
    yield folder
    process.terminate()
    process.wait(20)


@pytest.fixture
async def page(browser: Path) -> AsyncIterator[Page]:
    """A tab that broke no policy and threw nothing when the test was done with it."""
    async with tab(browser) as opened:
        yield opened
        assert await opened.troubles() == []
