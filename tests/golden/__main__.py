"""`python -m tests.golden [CASE…]`: rewrites the answers in every queries.txt, or in these."""

import asyncio
import sys

from tests.golden.case import ask, folders, parse
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
        after = "\n\n".join(block.text for block in blocks) + "\n"
        path.write_text(after)
        print(f"{folder.name}: {'as it was' if after == before else 'rewritten, review the diff'}")


if __name__ == "__main__":
    asyncio.run(rewrite(sys.argv[1:]))
