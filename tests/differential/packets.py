"""Hand-made packets, well formed and not, that a server must meet with a rule of its own.

Each is named for what is odd about it. The ID is always 0x1234 and the question, unless the packet
says otherwise, is `odd.example. A IN` with RD set.
"""

import struct

ID = 0x1234
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10
NAME = b"\x03odd\x07example\0"
A, NS, SOA, TXT, AAAA, OPT, TSIG, IXFR, AXFR, ANY = 1, 2, 6, 16, 28, 41, 250, 251, 252, 255


def opcode(code: int) -> int:
    """An opcode in its place among the flags."""
    return code << 11


def header(flags: int = RD, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    """Twelve octets with these flags and counts."""
    return struct.pack("!6H", ID, flags, qd, an, ns, ar)


def question(name: bytes = NAME, type_: int = A, cls: int = 1) -> bytes:
    """An entry of the question section."""
    return name + struct.pack("!2H", type_, cls)


def record(name: bytes, type_: int, cls: int, ttl: int, rdata: bytes) -> bytes:
    """A resource record."""
    return name + struct.pack("!2HIH", type_, cls, ttl, len(rdata)) + rdata


def opt(size: int = 1232, version: int = 0, flags: int = 0, options: bytes = b"") -> bytes:
    """An OPT record."""
    return record(b"\0", OPT, size, version << 16 | flags, options)


def option(code: int, value: bytes) -> bytes:
    """An EDNS option."""
    return struct.pack("!2H", code, len(value)) + value


ADDRESS = record(NAME, A, 1, 60, b"\x7f\0\0\1")
START = record(NAME, SOA, 1, 60, b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, 5))
Q = question()
ONE = header(ar=1) + Q
EVERY = RD | AA | TC | RA | Z | AD | CD | 7
COOKIE = option(10, b"12345678")
LONG = b"".join(b"\x3f" + b"x" * 63 for _ in range(4))

PACKETS: dict[str, bytes] = {
    # plain
    "plain": header() + Q,
    "no-rd": header(0) + Q,
    "ad": header(RD | AD) + Q,
    "cd": header(RD | CD) + Q,
    "aa-tc-ra-z-set": header(RD | AA | TC | RA | Z) + Q,
    "rcode-set": header(RD | 5) + Q,
    "mixed-case": header() + question(b"\x03oDd\x07eXAMple\0"),
    "root-ns": header() + question(b"\0", NS),
    "label-63": header() + question(b"\x3f" + b"x" * 63 + b"\0"),
    "odd-octets": header() + question(b"\x05\0 .\\\xff\0"),
    # sections and counts
    "qr": header(QR | RD) + Q,
    "qr-garbage": header(QR | RD)[:12] + b"\xff\xff\xff",
    "qd-0": header(qd=0),
    "qd-0-with-question": header(qd=0) + Q,
    "qd-0-opt": header(qd=0, ar=1) + opt(),
    "qd-2": header(qd=2) + Q + question(type_=AAAA),
    "qd-2-one-there": header(qd=2) + Q,
    "qd-1-none-there": header(),
    "an-1": header(an=1) + Q + ADDRESS,
    "an-1-none-there": header(an=1) + Q,
    "an-2": header(an=2) + Q + ADDRESS + ADDRESS,
    "ns-1": header(ns=1) + Q + START,
    "ns-2": header(ns=2) + Q + START + START,
    "ar-1-not-opt": ONE + ADDRESS,
    "ar-1-none-there": ONE,
    "ar-2": header(ar=2) + Q + ADDRESS + opt(),
    "ar-3": header(ar=3) + Q + ADDRESS + ADDRESS + opt(),
    "all-zero-counts": header(qd=0),
    # short and damaged
    "empty": b"",
    "1-octet": b"\x12",
    "2-octets": b"\x12\x34",
    "11-octets": header()[:11],
    "name-cut": header() + b"\x03od",
    "name-without-end": header() + b"\x03odd\x07example",
    "type-missing": header() + NAME,
    "class-missing": header() + NAME + b"\0\1",
    "trailing-octet": header() + Q + b"\0",
    "trailing-junk": header() + Q + b"\xde\xad\xbe\xef" * 4,
    "trailing-junk-after-opt": ONE + opt() + b"\xde\xad\xbe\xef",
    "opt-cut": ONE + opt()[:7],
    "opt-rdlength-beyond": ONE + opt()[:-2] + b"\0\x09",
    "pointer-to-itself": header() + b"\xc0\x0c" + b"\0\1\0\1",
    "pointer-forward": header() + b"\xc0\x20" + b"\0\1\0\1",
    "pointer-into-header": header() + b"\xc0\x04" + b"\0\1\0\1",
    "pointer-after-label": header() + b"\x03odd\xc0\x0c" + b"\0\1\0\1",
    "label-type-01": header() + b"\x43odd\0" + b"\0\1\0\1",
    "label-type-10": header() + b"\x83odd\0" + b"\0\1\0\1",
    "name-256": header() + question(LONG + b"\0"),
    "name-255": header() + question(LONG[:192] + b"\x3d" + b"x" * 61 + b"\0"),
    # opcodes
    **{f"opcode-{code}": header(RD | opcode(code)) + Q for code in (1, 2, 3, 6, 15)},
    "notify": header(opcode(4)) + question(type_=SOA),
    "notify-aa": header(opcode(4) | AA) + question(type_=SOA),
    "notify-an-1": header(opcode(4) | AA, an=1) + question(type_=SOA) + START,
    "notify-a": header(opcode(4)) + Q,
    "update": header(opcode(5)) + question(type_=SOA),
    "update-ns-1": header(opcode(5), ns=1) + question(type_=SOA) + ADDRESS,
    "update-opt": header(opcode(5), ar=1) + question(type_=SOA) + opt(),
    "opcode-2-qd-0": header(RD | opcode(2), qd=0),
    "opcode-2-opt": header(RD | opcode(2), ar=1) + Q + opt(),
    "opcode-2-qr": header(QR | RD | opcode(2)) + Q,
    "opcode-5-qd-2": header(opcode(5), qd=2) + Q + Q,
    # EDNS
    "edns": ONE + opt(),
    "edns-do": ONE + opt(flags=0x8000),
    "edns-z": ONE + opt(flags=0x7FFF),
    "edns-size-0": ONE + opt(0),
    "edns-size-511": ONE + opt(511),
    "edns-size-512": ONE + opt(512),
    "edns-size-65535": ONE + opt(65535),
    "edns-version-1": ONE + opt(version=1),
    "edns-version-1-do": ONE + opt(4096, version=1, flags=0x8000),
    "edns-version-255": ONE + opt(version=255),
    "edns-version-1-cookie": ONE + opt(version=1, options=COOKIE),
    "edns-ext-rcode": ONE + record(b"\0", OPT, 1232, 1 << 24, b""),
    "edns-unknown-option": ONE + opt(options=option(65001, b"hi")),
    "edns-cookie": ONE + opt(options=COOKIE),
    "edns-cookie-bad": ONE + opt(options=option(10, b"123")),
    "edns-nsid": ONE + opt(options=option(3, b"")),
    "edns-subnet": ONE + opt(options=option(8, b"\0\1\x18\0\x7f\0\0")),
    "edns-subnet-bad": ONE + opt(options=option(8, b"\0\x09\x18\0\x7f\0\0")),
    "edns-keepalive": ONE + opt(options=option(11, b"")),
    "edns-padding": ONE + opt(options=option(12, b"\0" * 20)),
    "edns-option-cut": ONE + opt(options=b"\0\x0a\0\x08123"),
    "edns-option-header-cut": ONE + opt(options=b"\0\x0a\0"),
    "edns-twice": header(ar=2) + Q + opt() + opt(),
    "edns-twice-versions": header(ar=2) + Q + opt() + opt(version=1),
    "edns-owner-not-root": ONE + record(NAME, OPT, 1232, 0, b""),
    "edns-in-answer": header(an=1) + Q + opt(),
    "edns-in-authority": header(ns=1) + Q + opt(),
    "tsig": ONE + record(
        b"\3key\0", TSIG, 255, 0,
        b"\x0bhmac-sha256\0" + b"\0\0\x5f\0\0\0" + b"\1\x2c" + b"\0\x20" + b"k" * 32
        + b"\x12\x34\0\0\0\0",
    ),
    # classes and types
    "class-ch": header() + question(b"\x07version\x04bind\0", TXT, 3),
    "class-ch-a": header() + question(cls=3),
    "class-hs": header() + question(cls=4),
    "class-none": header() + question(cls=254),
    "class-any": header() + question(cls=255),
    "class-0": header() + question(cls=0),
    "class-ch-edns": ONE[:-2] + b"\0\3" + opt(),
    **{
        f"type-{code}": header() + question(type_=code)
        for code in (0, 3, 13, 41, 43, 46, 64, 65, 128, 249, 250, 251, 252, 253, 254, 255, 65280)
    },
    "axfr": header(0) + question(type_=AXFR),
    "ixfr": header(0, ns=1) + question(type_=IXFR) + START,
    "ixfr-without-soa": header(0) + question(type_=IXFR),
    # flags of replies that no plugin made, and options with rules of their own
    "formerr-all-flags": header(EVERY, qd=0),
    "notimp-all-flags": header(EVERY | opcode(2)) + Q,
    "bad-opt-all-flags": header(EVERY, ar=1) + Q + opt()[:7],
    "badvers-all-flags": header(EVERY, ar=1) + Q + opt(version=3),
    "badvers-notify": header(opcode(4), ar=1) + question(type_=SOA) + opt(version=1),
    "badvers-class-ch": ONE[:-2] + b"\0\3" + opt(version=1),
    "plain-all-flags": header(EVERY) + Q,
    "notify-all-flags": header(EVERY | opcode(4)) + question(type_=SOA),
    "notify-edns": header(opcode(4), ar=1) + question(type_=SOA) + opt(),
    "notify-qd-0": header(opcode(4), qd=0),
    "mixed-case-bad-opt": ONE[:12] + question(b"\x03oDd\x07eXAMple\0") + opt()[:7],
    "opt-owner-bad-pointer": ONE + b"\xc0\xff" + opt()[1:],
    "soa-cut": header(ns=1) + Q + START[:-3],
    "soa-rdlength-3": header(ns=1) + Q + record(NAME, SOA, 1, 60, b"\0\0\1"),
    "a-rdlength-3": ONE + record(NAME, A, 1, 60, b"\1\2\3"),
    "a-rdlength-0": ONE + record(NAME, A, 1, 60, b""),
    "unknown-type-record": ONE + record(NAME, 65333, 1, 60, b"xyz"),
    "txt-beyond": ONE + record(NAME, TXT, 1, 60, b"\x09a"),
    "owner-and-rdata-pointers": ONE + record(b"\xc0\x0c", NS, 1, 60, b"\xc0\x0c"),
    "opt-then-a": header(ar=2) + Q + opt() + ADDRESS,
    "ecs-family-0": ONE + opt(options=option(8, b"\0\0\0\0")),
    "ecs-v4-mask-33": ONE + opt(options=option(8, b"\0\1\x21\0\1\2\3\4")),
    "ecs-short": ONE + opt(options=option(8, b"\0\1")),
    "ecs-v4-too-long": ONE + opt(options=option(8, b"\0\1\x18\0\1\2\3\4\5")),
    "ecs-v6": ONE + opt(options=option(8, b"\0\2\x38\0\x20\1\x0d\xb8\0\0\0")),
    "ecs-scope-set": ONE + opt(options=option(8, b"\0\1\x18\x18\1\2\3")),
    "keepalive-1-octet": ONE + opt(options=option(11, b"\0")),
    "keepalive-2-octets": ONE + opt(options=option(11, b"\0\1")),
    "expire-1-octet": ONE + opt(options=option(9, b"\0")),
    "expire-4-octets": ONE + opt(options=option(9, b"\0\0\0\1")),
    "nsid-with-value": ONE + opt(options=option(3, b"abc")),
    "cookie-empty": ONE + opt(options=option(10, b"")),
    "ede-short": ONE + opt(options=option(15, b"\0")),
    "ede": ONE + opt(options=option(15, b"\0\1x")),
    "llq-short": ONE + opt(options=option(1, b"\0")),
    "ul-short": ONE + opt(options=option(2, b"\0")),
    "dau": ONE + opt(options=option(5, b"\1\2")),
    "chain": ONE + opt(options=option(13, b"\3foo\0")),
    "report-channel": ONE + opt(options=option(18, b"\3foo\0")),
    "report-channel-bad": ONE + opt(options=option(18, b"\x09foo")),
    "zoneversion-empty": ONE + opt(options=option(19, b"")),
    "option-0": ONE + opt(options=b"\0\0\0\0"),
    "class-missing-opt-promised": header(ar=1) + NAME + b"\0\1",
    "type-half": header() + NAME + b"\0",
    "class-half": header() + NAME + b"\0\1\0",
    "nothing-but-promises": header(ar=1),
    "opt-in-place-of-question": header(ar=1) + opt(),
    "a-in-place-of-question": header(an=1) + ADDRESS,
    "iquery": header(opcode(1), qd=0, an=1) + ADDRESS,
    "pointer-into-own-name": header() + b"\xc0\x0d\0\1\0\1",
    "512-octets": ONE + opt(options=option(12, b"\0" * (512 - len(ONE) - 15))),
    "513-octets": ONE + opt(options=option(12, b"\0" * (513 - len(ONE) - 15))),
    "1400-octets": ONE + opt(options=option(12, b"\0" * (1400 - len(ONE) - 15))),
}  # fmt: skip
"""Every packet by the name of its oddity."""
