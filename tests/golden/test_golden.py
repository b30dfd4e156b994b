"""Each case's answers are what its queries.txt says; `make golden` rewrites, people review."""

from pathlib import Path

import pytest

from tests.golden.case import Block, ask, folders, parse
from tests.socketless import Socketless


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
async def test_golden(folder: Path) -> None:
    expected = (folder / "queries.txt").read_text()
    blocks = parse(expected)
    async with Socketless(folder / "Corefile") as server:
        for block in blocks:
            if block.question:
                assert await ask(server, block.question) == block.answer, block.question


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
async def test_answers_stay_the_same_when_they_come_from_the_table(folder: Path) -> None:
    blocks = [one for one in parse((folder / "queries.txt").read_text()) if one.question]
    async with Socketless(folder / "Corefile") as server:
        for _ in range(3):
            for block in blocks:
                assert await ask(server, block.question) == block.answer, block.question


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_the_file_is_as_make_golden_writes_it(folder: Path) -> None:
    text = (folder / "queries.txt").read_text()
    assert "\n\n".join(block.text for block in parse(text)) + "\n" == text


async def test_a_wrong_answer_is_noticed() -> None:
    """The comparison can fail."""
    async with Socketless(folders()[0] / "Corefile") as server:
        right = next(
            one for one in parse((folders()[0] / "queries.txt").read_text()) if one.question
        )
        wrong = Block([], right.question, [*right.answer, "x. 5 IN A 192.0.2.1"])
        assert await ask(server, right.question) != wrong.answer
