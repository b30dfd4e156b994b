"""Reads a MaxMind DB (format 2): addresses lead through a binary tree to records of plain values.

The octets may be a mapped file: only what is looked at is touched. Nothing in it is trusted: a
pointer out of it, or values nested without end, are MmdbError.
"""

from collections.abc import Callable
from struct import error as _LayoutError
from struct import unpack_from
from typing import Any

_MARK = b"\xab\xcd\xefMaxMind.com"
_METADATA_BYTES = 128 * 1024
_GAP = 16
"""Zeros between tree and data."""
_DEPTH = 32
_POINTER, _TEXT, _DOUBLE, _OCTETS, _MAP, _INT32, _LIST, _BOOL, _FLOAT = 1, 2, 3, 4, 7, 8, 11, 14, 15
_NUMBERS = frozenset((5, 6, 9, 10))
_MORE = {29: (1, 29), 30: (2, 285), 31: (3, 65821)}
"""Octets that hold the rest of a size, and what is added to it."""
_POINTERS = ((1, 0), (2, 2048), (3, 526336), (4, 0))


class MmdbError(ValueError):
    """The file is no MaxMind DB, or is damaged."""


class Mmdb:
    """One database."""

    def __init__(self, data: Any) -> None:  # Any: bytes, or a mapped file
        self._data = data
        mark = data.rfind(_MARK, max(len(data) - _METADATA_BYTES, 0))
        if mark < 0:
            raise MmdbError("no MaxMind DB")
        self._base = mark + len(_MARK)
        try:
            self.metadata = self._value(self._base, 0)[0]
            self.nodes = int(self.metadata["node_count"])
            self._bits = int(self.metadata["record_size"])
            version = int(self.metadata["ip_version"])
            self.type = str(self.metadata["database_type"])
        except (KeyError, TypeError, ValueError) as error:
            raise MmdbError("no MaxMind DB: its metadata is damaged") from error
        self._base = self.nodes * self._bits // 4 + _GAP
        if self._bits not in (24, 28, 32) or not 0 < self._base <= mark:
            raise MmdbError("no MaxMind DB: its tree is damaged")
        self._is_v6 = version == 6
        self._v4_root = self._walk(0, bytes(12)) if self._is_v6 else 0

    def find(self, address: bytes) -> int:
        """Where the record of a packed address is; 0 when there is none."""
        if len(address) == 16 and not self._is_v6:
            return 0
        node = self._walk(self._v4_root if len(address) == 4 else 0, address)
        return node - self.nodes - _GAP + self._base if node > self.nodes else 0

    def record(self, at: int) -> Any:  # Any: what a database holds
        """What stands at a place that `find` gave."""
        return self._value(at, 0)[0] if at else None

    def _walk(self, node: int, address: bytes) -> int:
        try:
            for octet in address:
                for shift in range(7, -1, -1):
                    if node >= self.nodes:
                        return node
                    node = self._next(node, octet >> shift & 1)
        except (IndexError, _LayoutError) as error:
            raise MmdbError("the tree ends too early") from error
        return node

    def _next(self, node: int, bit: int) -> int:
        data, at = self._data, node * self._bits // 4
        if self._bits == 24:
            at += 3 * bit
            return int.from_bytes(data[at : at + 3], "big")
        if self._bits == 32:
            return int(unpack_from("!I", data, at + 4 * bit)[0])
        high = int(data[at + 3])
        if bit:
            return (high & 0xF) << 24 | int.from_bytes(data[at + 4 : at + 7], "big")
        return high >> 4 << 24 | int.from_bytes(data[at : at + 3], "big")

    # Any: values of any type
    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        """A value, and where the next one begins."""
        if depth > _DEPTH:
            raise MmdbError("values are nested too deeply")
        try:
            control = self._data[at]
            kind, at = control >> 5, at + 1
            if kind == _POINTER:
                target, after = self._pointer(control, at)
                return self._value(target, depth + 1)[0], after
            if not kind:
                kind, at = 7 + self._data[at], at + 1
            size = control & 0x1F
            if size > 28:
                octets, more = _MORE[size]
                size = int.from_bytes(self._data[at : at + octets], "big") + more
                at += octets
            return self._sized(kind, size, at, depth)
        except (IndexError, _LayoutError, UnicodeError) as error:
            raise MmdbError("a value is damaged") from error

    def _pointer(self, control: int, at: int) -> tuple[int, int]:
        octets, more = _POINTERS[control >> 3 & 3]
        high = control & 7 if octets < 4 else 0
        offset = high << 8 * octets | int.from_bytes(self._data[at : at + octets], "big")
        return self._base + offset + more, at + octets

    # Any: as above
    def _sized(self, kind: int, size: int, at: int, depth: int) -> tuple[Any, int]:
        if kind == _MAP:
            mapping = {}
            for _ in range(size):
                key, at = self._value(at, depth + 1)
                mapping[str(key)], at = self._value(at, depth + 1)
            return mapping, at
        if kind == _LIST:
            values = []
            for _ in range(size):
                value, at = self._value(at, depth + 1)
                values.append(value)
            return values, at
        if kind == _BOOL:
            return size != 0, at
        octets, after = bytes(self._data[at : at + size]), at + size
        if len(octets) != size:
            raise MmdbError("a value ends too early")
        convert = _CONVERTED.get(kind)
        if convert is None:
            raise MmdbError(f"a value of the unknown type {kind}")
        return convert(octets), after


_CONVERTED: dict[int, Callable[[bytes], Any]] = {  # Any: as above
    _TEXT: bytes.decode,
    _OCTETS: bytes,
    _INT32: lambda octets: int.from_bytes(octets.rjust(4, b"\0"), "big", signed=True),
    _DOUBLE: lambda octets: unpack_from("!d", octets)[0],
    _FLOAT: lambda octets: unpack_from("!f", octets)[0],
    **{kind: lambda octets: int.from_bytes(octets, "big") for kind in _NUMBERS},
}
