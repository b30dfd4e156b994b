"""SipHash-2-4: the keyed hash that DNS servers of one group make cookies with (RFC 9018 §4.4)."""

from struct import unpack

_ALL = (1 << 64) - 1


def siphash(key: bytes, octets: bytes) -> bytes:
    """The 8 octets of a text under a key of 16, as the reference code writes them."""
    k0, k1 = unpack("<QQ", key)
    state = (
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    )
    padded = octets + bytes(-(len(octets) + 1) % 8) + bytes((len(octets) & 0xFF,))
    for word in unpack(f"<{len(padded) // 8}Q", padded):
        a, b, c, d = _rounds(*state[:3], state[3] ^ word, count=2)
        state = (a ^ word, b, c, d)
    a, b, c, d = _rounds(*state[:2], state[2] ^ 0xFF, state[3], count=4)
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def _rounds(a: int, b: int, c: int, d: int, *, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        a = a + b & _ALL
        b = (b << 13 | b >> 51) & _ALL ^ a
        a = (a << 32 | a >> 32) & _ALL
        c = c + d & _ALL
        d = (d << 16 | d >> 48) & _ALL ^ c
        a = a + d & _ALL
        d = (d << 21 | d >> 43) & _ALL ^ a
        c = c + b & _ALL
        b = (b << 17 | b >> 47) & _ALL ^ c
        c = (c << 32 | c >> 32) & _ALL
    return a, b, c, d
