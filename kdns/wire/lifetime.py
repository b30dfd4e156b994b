"""How long a message may be kept by who has no eye for DNS: an HTTP cache (RFC 8484 §5.1)."""

from kdns.wire import types


def lifetime(message: bytes) -> int:
    """The least TTL in a reply, in seconds; of a negative one what its SOA says (RFC 2308 §5).

    0 where there is nothing to go by, or where it is not as it should be.
    """
    try:
        return _least(message)
    except IndexError:
        return 0


def _least(message: bytes) -> int:
    at = 12
    for _ in range(_number(message, 4)):
        at = _after_name(message, at) + 4
    least: int | None = None
    for _ in range(_number(message, 6) + _number(message, 8) + _number(message, 10)):
        at = _after_name(message, at)
        type_, ttl = _number(message, at), int.from_bytes(message[at + 4 : at + 8], "big")
        end = at + 10 + _number(message, at + 8)
        if type_ == types.SOA and not _number(message, 6):
            ttl = min(ttl, int.from_bytes(message[end - 4 : end], "big"))
        if type_ != types.OPT:
            least = ttl if least is None else min(least, ttl)
        at = end
    return least or 0


def _number(message: bytes, at: int) -> int:
    return message[at] << 8 | message[at + 1]


def _after_name(message: bytes, at: int) -> int:
    while size := message[at]:
        if size >= 0xC0:
            return at + 2
        at += size + 1
    return at + 1
