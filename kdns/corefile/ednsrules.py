"""The words of a `rewrite edns0` rule become an Edit: what to do to which EDNS option."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdns.wire import edns

NSID, SUBNET = 3, 8
ACTIONS = ("set", "append", "replace", "unset")
_OCTAL = re.compile(r"0_?[0-7][0-7_]*")
VARIABLES = ("qname", "qtype", "client_ip", "client_port", "protocol", "server_ip", "server_port")


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the options of a query."""

    action: str
    code: int
    value: bytes = b""
    variable: str = ""
    """A variable or metadata label that the value is read from."""
    bits: tuple[int, int] | None = None
    """Length of the asker's subnet for IPv4 and IPv6."""
    reverts: bool = False
    """The reply shows what the asker sent."""
    is_local: bool = False

    @property
    def is_about_asker(self) -> bool:
        """The value may tell askers apart, whom an upstream may then answer differently."""
        return self.variable in {"client_ip", "client_port"} or "/" in self.variable


@dataclass(frozen=True, slots=True)
class Subnets:
    """Puts addresses into one class for each subnet, which is named by its EDNS option."""

    bits: tuple[int, int]

    def classify(self, address: bytes) -> bytes:
        """The option's value."""
        return edns.subnet(address, self.bits[len(address) == 16])


def parse(words: Sequence[str]) -> Edit:
    """Reads `local|nsid|subnet ACTION … [revert]`; raises ValueError with what is wrong."""
    if len(words) < 2:
        raise ValueError("expected local, nsid or subnet, and set, append, replace or unset")
    kind, action, rest = words[0].lower(), words[1].lower(), list(words[2:])
    if action not in ACTIONS:
        raise ValueError(f"expected set, append, replace or unset, found {words[1]!r}")
    reverts = action != "unset" and bool(rest) and rest[-1] == "revert"
    if reverts:
        rest.pop()
    if kind == "nsid":
        _expect(rest, 0, "nsid takes no value")
        return Edit(action, NSID, reverts=reverts)
    if kind == "subnet":
        if action == "unset":
            _expect(rest, 0, "subnet unset takes no value")
            return Edit(action, SUBNET)
        _expect(rest, 2, "subnet takes a prefix length for IPv4 and one for IPv6")
        bits = (_number(rest[0], 32), _number(rest[1], 128))
        return Edit(action, SUBNET, bits=bits, reverts=reverts)
    if kind == "local":
        return _local(action, rest, reverts=reverts)
    raise ValueError(f"expected local, nsid or subnet, found {words[0]!r}")


def _local(action: str, words: list[str], *, reverts: bool) -> Edit:
    if action == "unset":
        _expect(words, 1, "local unset takes the code of the option")
        return Edit(action, _code(words[0]), is_local=True)
    _expect(words, 2, f"local {action} takes a code and a value")
    code, word = _code(words[0]), words[1]
    if word.startswith("{") and word.endswith("}"):
        variable = word[1:-1]
        if variable not in VARIABLES and not _is_label(variable):
            raise ValueError(f"{word} is no variable: there are {', '.join(VARIABLES)}")
        return Edit(action, code, variable=variable, reverts=reverts, is_local=True)
    value = word.encode()
    if word.startswith("0x"):
        try:
            value = bytes.fromhex(word[2:])
        except ValueError:
            raise ValueError(f"{word!r} is no hex of whole octets") from None
    return Edit(action, code, value, reverts=reverts, is_local=True)


def _is_label(text: str) -> bool:
    plugin, _, name = text.partition("/")
    return bool(plugin and name)


def _expect(words: list[str], count: int, why: str) -> None:
    if len(words) != count:
        raise ValueError(why)


def _code(word: str) -> int:
    return _number(word, 65535)


def _number(word: str, most: int) -> int:
    try:
        # Go: a leading zero means octal.
        number = int(word, 8 if _OCTAL.fullmatch(word) else 0)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise ValueError(f"expected a number from 0 to {most}, found {word!r}")
    return number
