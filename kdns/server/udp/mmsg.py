"""Many datagrams per system call: recvmmsg and sendmmsg through ctypes, in memory laid out once.

A Slots owns all the memory its kernel calls read and write, and is held by whoever makes them. An
answer is written into the slot its packet came in, so that the header it was received with sends
it back. `refusal` says where the layouts do not hold; nothing here knows what is in a packet.
"""

import ctypes
import errno
import mmap
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial

COUNT = 64
"""Slots: datagrams per system call."""
SIZE = 65535
"""What fits into a slot, which is whatever UDP carries. Only memory that was used is real."""

_STRIDE = 65536 + 128
"""perf: two cache lines more than a power of two, or all slots would share one set of the cache."""
_HEADER = struct.Struct("@P I4x P N P N i4x I4x")
"""struct mmsghdr of 64-bit Linux; musl's int and padding lie where glibc has its size_t."""
_VECTOR = struct.Struct("@PN")
_NAME = 32
_CONTROL = 64
_HEADERS = 0
_VECTORS = _HEADERS + COUNT * _HEADER.size
_NAMES = _VECTORS + COUNT * _VECTOR.size
_CONTROLS = _NAMES + COUNT * _NAME
_DATA = 4 * mmap.PAGESIZE
_LEVEL_AT, _ADDRESS4_AT, _INDEX4_AT, _ADDRESS6_AT, _INDEX6_AT = 8, 20, 16, 16, 32
"""In a control buffer: struct cmsghdr, then in_pktinfo (index, address) or in6_pktinfo."""
_MAPPED = b"\0\0\xff\xff"
_MAPPED_PREFIX = bytes(8) + _MAPPED
_MAPPED_WORD = int.from_bytes(_MAPPED, sys.byteorder)
_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0x40)
_NONE_WAITS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class Slots:
    """Room for a batch of datagrams of one socket.

    `receive` fills slots from 0 on; `put` or a write into `data` and `lengths` answers a packet in
    its slot, `skip` leaves it without an answer; `send` sends; `restore` is owed before the next.
    One datagram alone is `receive_one`, into slot 0, `send_one` and `restore_one`.
    """

    def __init__(self, sock: socket.socket, *, with_control: bool = False) -> None:
        self.data = _memory(_DATA + COUNT * _STRIDE)
        """perf: an mmap gives bytes for a slice at once, a memoryview only through a copy of it."""
        self.starts = tuple(_DATA + at * _STRIDE for at in range(COUNT))
        """Where datagrams begin in `data`."""
        self.names = tuple(_NAMES + at * _NAME for at in range(COUNT))
        """Where the senders' sockaddr_in or sockaddr_in6 begin."""
        whole = memoryview(self.data)
        wide, narrow = whole.cast("Q"), whole.cast("I")
        self.sizes = narrow[(_HEADERS + 56) // 4 : _VECTORS // 4 : _HEADER.size // 4]
        """How long the received datagrams are."""
        self.lengths = wide[(_VECTORS + 8) // 8 : _NAMES // 8 : _VECTOR.size // 8]
        """How long the answers are."""
        words = narrow[_NAMES // 4 : _CONTROLS // 4]
        self._upper = [words[at :: _NAME // 4] for at in (2, 3, 4)]
        """Twelve octets of each IPv6 address: what tells those that are IPv4 inside."""
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self.data))
        self._is_v6 = sock.family == socket.AF_INET6
        self._with_control = with_control
        self._control_lengths = wide[(_HEADERS + 40) // 8 : _VECTORS // 8 : _HEADER.size // 8]
        at = _CONTROLS + (_INDEX6_AT if self._is_v6 else _INDEX4_AT)
        self._indexes = narrow[at // 4 : _DATA // 4 : _CONTROL // 4][:COUNT]
        prefixes = whole.cast("H")[(_CONTROLS + _ADDRESS6_AT) // 2 : _DATA // 2 : _CONTROL // 2]
        self._prefixes = prefixes[:COUNT]
        self._zeros = memoryview(bytes(4 * COUNT)).cast("I")
        self._skipped: set[int] = set()
        self._headers = whole[_HEADERS:_NAMES]
        self._restored = self._template()
        self.restore()
        # perf: without argtypes and with arguments made once a call costs 0.4 µs, not 0.7; and
        # PyDLL keeps the lock, which a busy thread would give back only 5 ms later.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        self._fd, self._none = ctypes.c_int(sock.fileno()), ctypes.c_void_p(None)
        self._first = ctypes.c_void_p(self._address)
        # perf: paced. Nor is errno kept, which is 0.1 µs: who gets -1 asks by the other calls.
        libc, call = ctypes.PyDLL(None), (sock.fileno(), self._first, _DONTWAIT)
        self.receive_one: Callable[[], int] = partial(libc.recvmsg, *call)
        """Reads a datagram into slot 0; its length, -1 where none waits or for an error."""
        self.send_one: Callable[[], int] = partial(libc.sendmsg, *call)
        """Sends the answer in slot 0; -1 where that failed or there was no room."""

    def receive(self, most: int = COUNT) -> int:
        """How many datagrams were read; 0 where none waits, -1 for an error without one."""
        count: int = self._recvmmsg(self._fd, self._first, most, _DONTWAIT, self._none)
        if count >= 0:
            return count
        return 0 if ctypes.get_errno() in _NONE_WAITS else -1

    def packet(self, slot: int) -> bytes:
        """What was received."""
        at = self.starts[slot]
        return self.data[at : at + self.sizes[slot]]

    def name(self, slot: int) -> bytes:
        """The sender, as the bytes of a sockaddr_in or sockaddr_in6."""
        at = self.names[slot]
        return self.data[at : at + (28 if self._is_v6 else 16)]

    def asked(self, slot: int) -> bytes:
        """Our address the datagram was sent to; empty where the kernel did not say."""
        if not self._with_control:
            return b""
        at = _CONTROLS + slot * _CONTROL
        if self._is_v6:
            return self.data[at + _ADDRESS6_AT : at + _ADDRESS6_AT + 16]
        return self.data[at + _ADDRESS4_AT : at + _ADDRESS4_AT + 4]

    def are_v6(self, count: int) -> list[bool] | None:
        """Which senders have an IPv6 address that is not IPv4 inside; None when none has."""
        if not self._is_v6:
            return None
        first, second, third = [part[:count].tobytes() for part in self._upper]
        if first == second == bytes(4 * count) and third == _MAPPED * count:
            return None
        parts = zip(*[part[:count].tolist() for part in self._upper], strict=True)
        return [bool(a or b or c != _MAPPED_WORD) for a, b, c in parts]

    def is_v6(self, slot: int) -> bool:
        """Whether one of them has."""
        at = self.names[slot]
        return self._is_v6 and self.data[at + 8 : at + 20] != _MAPPED_PREFIX

    def control(self, slot: int) -> list[tuple[int, int, bytes]]:
        """The same as the ancillary data that `socket.sendmsg` takes to answer from there."""
        if not self._with_control:
            return []
        self.turn(slot + 1)
        at = _CONTROLS + slot * _CONTROL
        level, kind = struct.unpack_from("@ii", self.data, at + _LEVEL_AT)
        size = 20 if self._is_v6 else 12
        return [(level, kind, self.data[at + 16 : at + 16 + size])]

    def origin(self, slot: int) -> tuple[bytes, bytes]:
        """Who sent a packet, and the control data it came with: what an answer needs to go back."""
        if not self._with_control:
            return self.name(slot), b""
        at = _CONTROLS + slot * _CONTROL
        return self.name(slot), self.data[at : at + self._control_lengths[slot]]

    def place(self, slot: int, origin: tuple[bytes, bytes], answer: bytes) -> None:
        """Puts an answer to a packet that is no longer in a slot into this one."""
        name, control = origin
        at = self.names[slot]
        self.data[at : at + len(name)] = name
        if self._with_control:
            at = _CONTROLS + slot * _CONTROL
            self.data[at : at + len(control)] = control
            self._control_lengths[slot] = len(control)
        self.put(slot, answer)

    def put(self, slot: int, answer: bytes) -> None:
        """Answers a packet."""
        at = self.starts[slot]
        self.data[at : at + len(answer)] = answer
        self.lengths[slot] = len(answer)

    def skip(self, slot: int) -> None:
        """Leaves a packet without an answer."""
        self._skipped.add(slot)

    def send(self, count: int) -> tuple[int, list[int]]:
        """Sends the answers in the first slots.

        Says how many failed, and the slots the kernel has no room for now. One answer that cannot
        be sent is not the next one's loss.
        """
        if self._with_control:
            self.turn(count)
        if self._skipped:
            slots = [slot for slot in range(count) if slot not in self._skipped]
            self._close_up(slots)
            return self._send_all(slots, 0) if slots else (0, [])
        done: int = self._sendmmsg(self._fd, self._first, count, _DONTWAIT)
        return (0, []) if done == count else self._send_all(range(count), max(done, 0))

    def _send_all(self, slots: Sequence[int], sent: int) -> tuple[int, list[int]]:
        failed, last = 0, len(slots)
        while sent < last:
            done = self._sendmmsg(self._fd, self._header(sent), last - sent, _DONTWAIT)
            if done > 0:
                sent += done
                continue
            error = ctypes.get_errno()
            if error == errno.EINTR:
                continue
            if error in _NONE_WAITS:
                return failed, list(slots[sent:])
            failed += 1
            sent += 1
        return failed, []

    def restore(self) -> None:
        """Makes every slot ready to receive, whatever became of what was in it."""
        self._headers[:] = self._restored
        if self._skipped:
            self._skipped.clear()

    def restore_one(self) -> None:
        """The same where slot 0 alone was used."""
        self.lengths[0] = SIZE
        if self._with_control:
            self._control_lengths[0] = _CONTROL

    def turn_one(self) -> None:
        """The same as `turn` for slot 0."""
        at = _CONTROLS + _ADDRESS6_AT
        if not self._is_v6 or self.data[at : at + 2] != b"\xfe\x80":
            self._indexes[0] = 0

    def turn(self, count: int) -> None:
        """Turns "sent to" into "send from", the interface left to routing unless link-local."""
        if self._is_v6 and b"\xfe\x80" in self._prefixes[:count].tobytes():
            for slot in range(count):
                if self.asked(slot)[:2] != b"\xfe\x80":
                    self._indexes[slot] = 0
            return
        self._indexes[:count] = self._zeros[:count]

    def answer(self, slot: int) -> bytes:
        """What was put into a slot."""
        at = self.starts[slot]
        return self.data[at : at + self.lengths[slot]]

    def _template(self) -> bytes:
        base = self._address
        control = _CONTROL if self._with_control else 0
        headers = b"".join(
            _HEADER.pack(
                base + _NAMES + at * _NAME,
                28 if self._is_v6 else 16,
                base + _VECTORS + at * _VECTOR.size,
                1,
                base + _CONTROLS + at * _CONTROL if control else 0,
                control,
                0,
                0,
            )
            for at in range(COUNT)
        )
        return headers + b"".join(_VECTOR.pack(base + start, SIZE) for start in self.starts)

    def _header(self, place: int) -> ctypes.c_void_p:
        if not place:
            return self._first
        return ctypes.c_void_p(self._address + _HEADERS + place * _HEADER.size)

    def _close_up(self, slots: Sequence[int]) -> None:
        """Moves the headers of these slots to the front: one call then sends them all."""
        size, headers = _HEADER.size, self._headers
        for place, slot in enumerate(slots):
            if place != slot:
                moved = headers[slot * size : (slot + 1) * size]
                headers[place * size : (place + 1) * size] = moved


def _memory(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)  # or the first packet makes 2 MB of it real
    return memory


@cache
def refusal() -> str:
    """Why datagrams cannot be moved in batches here; empty when they can, which was tried."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return "not 64-bit Linux"
    try:
        return "" if _echoes() else "the structures are laid out differently"
    except (OSError, AttributeError, ValueError) as error:
        return str(error)


def _echoes() -> bool:
    """True when datagrams come out of a pair of sockets and go back as the layouts say."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, ours:
        theirs.setblocking(False)
        slots = Slots(ours)
        sent = [bytes([size & 255]) * size for size in (3, 900, 0, 5000)]
        for packet in sent:
            theirs.send(packet)
        found = [slots.data[_DATA : _DATA + slots.receive_one()]]
        slots.put(0, b"alone")
        is_sent = slots.send_one() == len(b"alone")
        slots.restore_one()
        count = slots.receive()
        found += [slots.packet(at) for at in range(count)]
        if found != sent or count != 3:
            return False
        slots.put(0, b"first")
        slots.skip(1)
        slots.put(2, b"third")
        if slots.send(count) != (0, []):
            return False
        slots.restore()
        answers = [theirs.recv(99) for _ in range(2 + is_sent)]
        return answers == [b"alone", b"first", b"third"] and not slots.receive()
