"""`kdns query`."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    raise NotImplementedError
