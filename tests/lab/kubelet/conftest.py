"""The cluster that tests of the kubelet play in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.kubelet.scene import Scene, playing


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with playing(tmp_path) as made:
        yield made
