"""The numbers of DNS and their names: record types, classes, response codes, opcodes, EDE codes."""

A, NS, CNAME, SOA, PTR, HINFO, MX, TXT, AAAA, SRV = 1, 2, 5, 6, 12, 13, 15, 16, 28, 33
NAPTR, DNAME, OPT, DS, RRSIG, NSEC, DNSKEY, NSEC3, SVCB, HTTPS = (
    35,
    39,
    41,
    43,
    46,
    47,
    48,
    50,
    64,
    65,
)
TSIG, IXFR, AXFR, ANY, CAA = 250, 251, 252, 255, 257

IN, CH, HS, NONE, ANY_CLASS = 1, 3, 4, 254, 255

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
BADVERS, BADCOOKIE = 16, 23

QUERY, NOTIFY, UPDATE = 0, 4, 5

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010

TYPES = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10,
    "WKS": 11, "PTR": 12, "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18,
    "X25": 19, "ISDN": 20, "RT": 21, "NSAP-PTR": 23, "SIG": 24, "KEY": 25, "PX": 26, "GPOS": 27,
    "AAAA": 28, "LOC": 29, "NXT": 30, "EID": 31, "NIMLOC": 32, "SRV": 33, "ATMA": 34, "NAPTR": 35,
    "KX": 36, "CERT": 37, "DNAME": 39, "OPT": 41, "APL": 42, "DS": 43, "SSHFP": 44, "IPSECKEY": 45,
    "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52,
    "SMIMEA": 53, "HIP": 55, "NINFO": 56, "RKEY": 57, "TALINK": 58, "CDS": 59, "CDNSKEY": 60,
    "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63, "SVCB": 64, "HTTPS": 65, "SPF": 99, "UINFO": 100,
    "UID": 101, "GID": 102, "UNSPEC": 103, "NID": 104, "L32": 105, "L64": 106, "LP": 107,
    "EUI48": 108, "EUI64": 109, "NXNAME": 128, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252,
    "MAILB": 253, "MAILA": 254, "ANY": 255, "URI": 256, "CAA": 257, "AVC": 258, "AMTRELAY": 260,
    "NSAP": 22, "RESINFO": 261, "TA": 32768, "DLV": 32769,
}  # fmt: skip
CLASSES = {"IN": 1, "CS": 2, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}
RCODES = {
    "NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5,
    "YXDOMAIN": 6, "YXRRSET": 7, "NXRRSET": 8, "NOTAUTH": 9, "NOTZONE": 10, "STATEFUL": 11,
    "BADVERS": 16, "BADKEY": 17, "BADTIME": 18, "BADMODE": 19, "BADNAME": 20, "BADALG": 21,
    "BADTRUNC": 22, "BADCOOKIE": 23,
}  # fmt: skip

_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_CLASS_NAMES = {number: name for name, number in CLASSES.items()}
_RCODE_NAMES = {number: name for name, number in RCODES.items()}

EDE_STALE_ANSWER, EDE_BLOCKED, EDE_FILTERED, EDE_NOT_READY, EDE_NETWORK_ERROR = 3, 15, 17, 14, 23
EDE_PROHIBITED = 18
EDE_OTHER, EDE_STALE_NXDOMAIN, EDE_NOT_AUTHORITATIVE, EDE_NOT_SUPPORTED, EDE_NO_REACHABLE = (
    0,
    19,
    20,
    21,
    22,
)


def type_name(number: int) -> str:
    """The mnemonic of a record type, TYPEnnn where it has none (RFC 3597 §5)."""
    return _TYPE_NAMES.get(number) or f"TYPE{number}"


def class_name(number: int) -> str:
    """The mnemonic of a class, CLASSnnn where it has none."""
    return _CLASS_NAMES.get(number) or f"CLASS{number}"


def rcode_name(number: int) -> str:
    """The mnemonic of a response code, its number where it has none."""
    return _RCODE_NAMES.get(number) or str(number)


def parse_type(text: str) -> int:
    """The number of a type mnemonic or TYPEnnn; ValueError when it is neither."""
    return _parse(text, TYPES, "TYPE", "record type")


def parse_class(text: str) -> int:
    """The number of a class mnemonic or CLASSnnn; ValueError when it is neither."""
    return _parse(text, CLASSES, "CLASS", "class")


def _parse(text: str, table: dict[str, int], prefix: str, what: str) -> int:
    word = text.upper()
    if word in table:
        return table[word]
    digits = word.removeprefix(prefix)
    if digits != word and digits.isdigit() and int(digits) <= 0xFFFF:
        return int(digits)
    raise ValueError(f"a {what}")
