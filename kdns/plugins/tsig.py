"""tsig: requests signed with a shared key are verified, and their replies signed (RFC 8945).

A request whose signature is wrong goes no further. What later plugins are told is the name of the
key (`query.signer`). Signed replies are never remembered; unsigned ones keep their own place in the
answer table.
"""

import binascii
import logging
import re
from base64 import b64decode
from collections.abc import Awaitable
from pathlib import Path
from typing import ClassVar

from kdns.corefile.options import Line, Settings, Shape, Syntax, text, zones
from kdns.plugins.base import SIGNED, Filter, Query, Result, Site, Soon, own_zones, zone_of
from kdns.wire import names, tsig, types
from kdns.wire.message import Answer, WireError
from kdns.wire.names import Key

log = logging.getLogger("kdns.tsig")

OPCODES = {"QUERY": 0, "IQUERY": 1, "STATUS": 2, "NOTIFY": 4, "UPDATE": 5}
PROHIBITED = 18
MISSING = Answer(
    types.REFUSED, ede=((PROHIBITED, "a signature (TSIG) is required"),), plugin="tsig"
)
MALFORMED = Answer(types.FORMERR, plugin="tsig")
_WORDS = re.compile(r'"[^"]*"|[{};]|[^\s{};"]+')
_COMMENT = re.compile(r'("[^"]*")|#[^\n]*|//[^\n]*|/\*.*?\*/', re.DOTALL)


class Tsig(Filter):
    """Verifies requests and signs replies."""

    name = "tsig"
    reads = frozenset((SIGNED,))
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={
            "secret": Shape((text, text), repeats=True),
            "secrets": Shape((text,), repeats=True),
            "require": Shape(rest=text, at_least=1),
            "require_opcode": Shape(rest=text, at_least=1),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.zones = own_zones(settings, site, settings.args)
        self._types = _required(settings, "require", types.TYPES)
        self._opcodes = _required(settings, "require_opcode", OPCODES)
        self._keys: dict[Key, bytes] = {}
        for line in settings.all("secret"):
            _enter(self._keys, line, *line.values)

    def look(self) -> None:
        """Reads the files of keys."""
        self._keys = self._all_keys()

    async def start(self) -> None:
        self.look()
        for key, secret in self._keys.items():
            if not secret:
                log.warning("the secret of %s is no base64: it verifies nothing", names.format(key))

    def _all_keys(self) -> dict[Key, bytes]:
        """The keys of the Corefile and of the files it names."""
        keys: dict[Key, bytes] = {}
        for line in self.settings.lines:
            if line.name == "secret":
                _enter(keys, line, *line.values)
            if line.name == "secrets":
                for name, secret in _read(line, Path(self.site.root) / line.values[0]):
                    _enter(keys, line, name, secret)
        return keys

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """Goes on where the signature is right, or is not there and need not be."""
        if query.depth or zone_of(query.key, self.zones) is None:
            return next_(query)
        packet = query.packet
        if packet[10:12] == bytes((0, query.question.has_opt)):
            found = None
        else:
            try:
                found = tsig.find(packet)
            except WireError:
                return MALFORMED
        if found is None:
            is_needed = _has(self._types, query.type) or _has(self._opcodes, query.opcode)
            return MISSING if is_needed else next_(query)
        return self._verified(query, found, next_)

    def _verified(self, query: Query, found: tsig.Tsig, next_: Soon) -> Result | Awaitable[Result]:
        """What a signed request gets: a signed reply, or what is wrong with the signature."""
        now, secret = int(self.site.wall()), self._keys.get(found.key)
        error = tsig.verify(query.packet, found, secret or None, now)
        if secret and error in {0, types.RCODES["BADTIME"]}:
            signer = tsig.Signer(found, secret, now, error)
            query.seal(signer.sign, room=signer.room)
            if not error:
                query.ledger.signer = found.key
                return next_(query)
        else:
            told = tsig.Tsig(
                0,
                found.key,
                found.algorithm,
                found.time,
                found.fudge,
                b"",
                found.original_id,
                error,
            )
            room = len(found.key) + len(found.algorithm) + 26
            query.seal(lambda reply: tsig.append(reply, told, b""), room=room)
        self.site.counters.add("kdns_tsig_failures_total", types.rcode_name(error))
        return Answer(types.RCODES["NOTAUTH"], plugin=self.name)


def _has(required: frozenset[int] | None, value: int) -> bool:
    return required is None or value in required


def _required(settings: Settings, option: str, table: dict[str, int]) -> frozenset[int] | None:
    """What needs a signature; None for all."""
    words = [str(word) for word in settings.values(option)]
    if words[:1] == ["all"]:
        return None
    if words in ([], ["none"]):
        return frozenset()
    for word in words:
        if word not in table:
            what = "opcode" if table is OPCODES else "type"
            raise settings.all(option)[-1].fail(f"tsig: {option}: {word!r} is no {what}")
    return frozenset(table[word] for word in words)


def _enter(keys: dict[Key, bytes], line: Line, name: str, secret: str) -> None:
    try:
        key = names.parse_key(name)
    except ValueError as error:
        raise line.fail(f"tsig: {name!r} is no name of a key: {error}") from error
    if key in keys:
        raise line.fail(f"tsig: key {name!r} is given again", "keep one of them")
    try:
        keys[key] = b64decode(secret, validate=True)
    except binascii.Error:
        keys[key] = b""  # CoreDNS takes it, and so no signature of this key


def _read(line: Line, path: Path) -> list[tuple[str, str]]:
    """The names and secrets of a file of `key` statements, as BIND writes them."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise line.fail(f"tsig: cannot read {path}: {why}") from error
    words = [word.strip('"') for word in _WORDS.findall(_COMMENT.sub(r"\1", content))]
    found = []
    while words:
        if len(words) < 3 or words[0] != "key" or words[2] != "{" or "}" not in words:
            hint = 'a file of keys has statements like key "NAME" { secret "BASE64"; };'
            raise line.fail(f"tsig: {path}: expected a key, found {words[0]!r}", hint)
        name, end = words[1], words.index("}")
        inside = dict(zip(words[3:end:3], words[4:end:3], strict=False))
        if not inside.get("secret"):
            raise line.fail(f"tsig: {path}: key {name!r} has no secret")
        for word in inside.keys() - {"secret", "algorithm"}:
            raise line.fail(f"tsig: {path}: key {name!r}: {word!r} is neither secret nor algorithm")
        found.append((name, inside["secret"]))
        words = words[end + 1 :]
        if words[:1] == [";"]:
            del words[0]
    return found
