"""One record as presentation text: `name [TTL] [CLASS] TYPE rdata…` becomes an RRset, and back.

Any type may be written as `\\#` with hex (RFC 3597 §5). In `parse_record` names without a last dot
are absolute and `@` is the root: there is no origin.
"""

from kdns.wire import fields, names, types
from kdns.wire.fields import Word, Words
from kdns.wire.message import RRset

_NEVER = frozenset((types.OPT, types.TSIG, types.IXFR, types.AXFR, types.ANY, 0))
DEFAULT_TTL = 3600


def parse_record(text: str) -> RRset:
    """The first record of some text; raises ValueError with what is wrong."""
    words = split(text)
    if not words:
        raise ValueError("there is no record")
    owner = names.ROOT if words[0].text == "@" else names.parse(words[0].text)
    ttl: int | None = None
    cls: int | None = None
    for at, word in enumerate(words[1:], 1):
        if word.text.upper() in types.TYPES or word.text.upper().startswith("TYPE"):
            type_ = types.parse_type(word.text)
            rdata = parse_rdata(type_, words[at + 1 :])
            rest = (types.IN if cls is None else cls,)
            return RRset(owner, type_, DEFAULT_TTL if ttl is None else ttl, (rdata,), *rest)
        if cls is None and _is_class(word.text):
            cls = types.parse_class(word.text)
        elif ttl is None:
            ttl = fields.parse_ttl(word.text)
        else:
            break
    raise ValueError(f"{text!r} has no record type behind its name")


def _is_class(word: str) -> bool:
    return word.upper() in types.CLASSES or word.upper().startswith("CLASS")


def split(text: str) -> list[Word]:
    """The words of the first record: quotes join, parentheses let it go on, `;` ends a line."""
    words: list[Word] = []
    depth = 0
    at = 0
    while at < len(text):
        char = text[at]
        if char in "()":
            depth += 1 if char == "(" else -1
        elif char == ";":
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
            continue
        elif char == "\n":
            if words and not depth:
                break
        elif not char.isspace():
            word, at = _word(text, at)
            words.append(word)
            continue
        at += 1
    if depth:
        raise ValueError("the parentheses do not match")
    return words


def _word(text: str, at: int) -> tuple[Word, int]:
    start = at
    out = []
    in_quotes = False
    while at < len(text):
        char = text[at]
        if char == "\\":
            out.append(text[at : at + 2])
            at += 2
            continue
        if char == '"':
            if in_quotes and text[start] == '"':
                return Word("".join(out), is_quoted=True), at + 1
            in_quotes = not in_quotes
        elif not in_quotes and (char.isspace() or char in "();"):
            break
        else:
            out.append(char)
        at += 1
    if in_quotes:
        raise ValueError("a quote is never closed")
    return Word("".join(out)), at


def parse_rdata(type_: int, words: list[Word], origin: bytes = names.ROOT) -> bytes:
    """Rdata from its words; raises ValueError with what is wrong."""
    name = types.type_name(type_)
    if type_ in _NEVER:
        raise ValueError(f"{name} is no type of a record")
    try:
        rdata = _parse_rdata(type_, words, origin)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if len(rdata) > 65535:
        raise ValueError(f"{name}: the record data is longer than 65535 octets")
    return rdata


def _parse_rdata(type_: int, words: list[Word], origin: bytes) -> bytes:
    if words and words[0] == Word("\\#"):
        rdata = _generic(words[1:])
        if type_ in fields.TABLE:
            fields.format(type_, rdata)  # RFC 3597 §4: it must be what the type says
        return rdata
    if type_ in fields.TABLE:
        return fields.parse(type_, Words(words, origin))
    raise ValueError(r"write its data as \# LENGTH HEX (RFC 3597)")


def _generic(words: list[Word]) -> bytes:
    if not words or not words[0].text.isdigit():
        raise ValueError(r"\# is followed by a length")
    rdata = bytes.fromhex("".join(word.text for word in words[1:]))
    if len(rdata) != int(words[0].text):
        raise ValueError(rf"\# {words[0].text} is followed by {len(rdata)} octets")
    return rdata


def format_rdata(type_: int, rdata: bytes) -> str:
    """The text of rdata; what cannot be read as its type is written in hex."""
    if type_ in fields.TABLE:
        try:
            return fields.format(type_, rdata)
        except (ValueError, OverflowError):
            pass  # every rdata can be written in hex
    return rf"\# {len(rdata)} {rdata.hex()}".rstrip()


def format_rrset(rrset: RRset) -> list[str]:
    """A line per record, as dig prints them."""
    head = f"{names.format(rrset.owner)}\t{rrset.ttl}\t{types.class_name(rrset.cls)}"
    name = types.type_name(rrset.type)
    return [f"{head}\t{name}\t{format_rdata(rrset.type, rdata)}" for rdata in rrset.rdatas]
