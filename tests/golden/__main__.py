"""`python -m tests.golden [CASE…]`: rewrites all that is expected, or that of these cases.

The answers in every queries.txt, the texts in every expected.txt of explain.
"""

import asyncio
import sys
from pathlib import Path

from kdns.explain.text import render
from tests.golden.case import ask, folders, parse
from tests.golden.explain import case as explain
from tests.socketless import Socketless


async def rewrite(only: list[str]) -> None:
    """Asks every question and writes down what comes."""
    for folder in folders():
        if only and folder.name not in only:
            continue
        path = folder / "queries.txt"
        before = path.read_text()
        blocks = parse(before)
        async with Socketless(folder / "Corefile") as server:
            for block in blocks:
                if block.question:
                    block.answer = await ask(server, block.question)
        _write(path, "\n\n".join(block.text for block in blocks) + "\n", folder.name)
    for folder in explain.folders():
        if not only or folder.name in only:
            text = render(await explain.explained(folder))
            _write(folder / "expected.txt", text, f"explain/{folder.name}")


def _write(path: Path, after: str, title: str) -> None:
    before = path.read_text() if path.exists() else ""
    path.write_text(after)
    print(f"{title}: {'as it was' if after == before else 'rewritten, review the diff'}")


if __name__ == "__main__":
    asyncio.run(rewrite(sys.argv[1:]))
