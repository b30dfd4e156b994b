"""Which services have an address: an index that says what it moved."""

from collections.abc import Hashable, Iterable


class Owners:
    """Keys of services by packed address, each in the order of their names."""

    def __init__(self) -> None:
        self._keys: dict[bytes, tuple[str, ...]] = {}

    def at(self, address: bytes) -> tuple[str, ...]:
        """Whose an address is."""
        return self._keys.get(address, ())

    def move(self, key: str, old: Iterable[bytes], new: Iterable[bytes]) -> set[Hashable]:
        """Changes what a service has; the addresses that differ."""
        before, after = set(old), set(new)
        if before == after:
            return set()
        for address in before - after:
            left = tuple(other for other in self._keys.pop(address) if other != key)
            if left:
                self._keys[address] = left
        for address in after - before:
            others = self._keys.get(address)
            self._keys[address] = (key,) if others is None else tuple(sorted((*others, key)))
        return set(before ^ after)
