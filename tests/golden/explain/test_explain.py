"""Each broken cluster is explained with the right reason, in the words of its expected.txt.

`make golden` rewrites, people review.
"""

from pathlib import Path

import pytest

from kdns.explain.shapes import shaped
from kdns.explain.text import render
from tests.golden.explain.case import explained, folders

FOLDERS = folders()


def test_there_is_a_cluster_for_each_reason() -> None:
    assert len(FOLDERS) >= 40


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
async def test_explained_from_files(folder: Path) -> None:
    found = await explained(folder)
    text = render(found)
    assert folder.name.startswith(found.reasons[0].id), text
    assert text == (folder / "expected.txt").read_text()
    assert text.splitlines()[0] == found.reasons[0].says
    assert len(text.splitlines()) <= 42
    assert shaped(found).reasons[0].id == found.reasons[0].id


async def test_a_wrong_reason_is_noticed() -> None:
    """The comparison can fail."""
    one, other = FOLDERS[:2]
    assert render(await explained(one)) != (other / "expected.txt").read_text()
