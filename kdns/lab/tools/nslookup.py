"""`nslookup [-type=T …] NAME [SERVER]`, as BIND's prints it; without words it reads lines."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kdns.lab.tools import pod as pods
from kdns.lab.tools.asking import resolv_of
from kdns.lab.tools.bind import (
    PORT,
    Client,
    How,
    Question,
    Said,
    UnreachedError,
    addresses_of,
    question,
    rdata,
    tries_of,
)
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain, plain
from kdns.wire import names, types

_WORDS = {
    "CNAME": "canonical name =", "PTR": "name =", "MX": "mail exchanger =", "TXT": "text =",
    "SRV": "service =", "NS": "nameserver =",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What options say."""

    type: int = 0
    """0: addresses of both families, or the name of an address."""
    server: str = ""
    port: int = PORT
    within_s: float = 0.0
    tries: int = 0
    """0 here: as resolv.conf says."""
    transport: str = "udp"
    searches: bool = True


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 1 when something could not be found or understood."""
    pod = pods.here()
    wishes = _Wishes()
    named: list[str] = []
    for word in words:
        if not word.startswith("-") or word == "-":
            named.append(word)
            continue
        try:
            wishes = _heed(wishes, word[1:])
        except ValueError:
            print(f"*** Invalid option: {plain(word[1:])}")
    if len(named) > 1:
        wishes = replace(wishes, server=named[1])
    if not named or named[0] == "-":
        return _converse(pod, wishes)
    return _answer(pod, named[0], wishes)


def _heed(wishes: _Wishes, option: str) -> _Wishes:
    """The wishes with one more; raises ValueError for what is unknown."""
    word, _, value = option.partition("=")
    if word in {"type", "querytype", "query", "q", "ty"}:
        return replace(wishes, type=types.parse_type(value))
    if word == "port":
        return replace(wishes, port=int(value))
    if word in {"timeout", "t"}:
        return replace(wishes, within_s=float(value))
    if word in {"retry", "ret"}:
        return replace(wishes, tries=int(value) + 1)
    flags = {
        "vc": {"transport": "tcp"}, "novc": {"transport": "udp"}, "search": {"searches": True},
        "nosearch": {"searches": False}, "debug": {}, "nodebug": {}, "recurse": {},
    }  # fmt: skip
    if option not in flags:
        raise ValueError(option)
    return replace(wishes, **flags[option])  # type: ignore[arg-type]  # each value is its field's


def _converse(pod: Pod, wishes: _Wishes) -> int:
    code = 0
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        words = line.split()
        if not line or words[:1] == ["exit"]:
            return code
        if not words:
            continue
        if words[0] == "server" and len(words) > 1:
            wishes = replace(wishes, server=words[1])
            print(f"Default server: {plain(words[1])}")
        elif words[0] == "set" and len(words) > 1:
            try:
                wishes = _heed(wishes, words[1])
            except ValueError:
                print(f"*** Invalid option: {plain(words[1])}")
        else:
            here = replace(wishes, server=words[1]) if len(words) > 1 else wishes
            code = _answer(pod, words[0], here)


def _answer(pod: Pod, name: str, wishes: _Wishes) -> int:
    try:
        servers = _servers(pod, wishes)
    except LookupError:
        complain(f"nslookup: couldn't get address for '{wishes.server}': not found")
        return 1
    resolv = resolv_of(pod)
    within_s, tries = wishes.within_s or resolv.timeout_s, wishes.tries or tries_of(resolv)
    how = How(servers, wishes.transport, within_s, tries)
    client = Client(pod, how)
    first = question(name, pod)
    if wishes.type and first.type != types.PTR:
        first = Question(name, wishes.type)
    asked = [first]
    if not wishes.type and first.type == types.A:
        asked.append(Question(name, types.AAAA))
    try:
        return _Talk(client, wishes).hold(name, asked)
    except UnreachedError:
        _worry(client)
        print(";; no servers could be reached\n")
        return 1
    except ValueError as error:
        print(f"nslookup: '{plain(name)}' is not a legal name ({error})")
        return 1


def _servers(pod: Pod, wishes: _Wishes) -> tuple[tuple[str, int], ...]:
    if wishes.server:
        return tuple((address, wishes.port) for address in addresses_of(pod, wishes.server))
    return tuple((address, wishes.port) for address, _ in resolv_of(pod).nameservers)


def _worry(client: Client) -> None:
    for line in client.worries:
        print(f";; {line}")
    client.worries.clear()


@dataclass(slots=True)
class _Talk:
    """What is printed of one word's questions."""

    client: Client
    wishes: _Wishes
    has_begun: bool = False
    has_answer: bool = False

    def hold(self, word: str, asked: Sequence[Question]) -> int:
        """Asks and prints; gives the exit code."""
        resolv = resolv_of(self.client.pod)
        if not self.wishes.searches or asked[0].type == types.PTR:
            resolv = replace(resolv, search=())
        for one in asked:
            said = self.client.search(one, resolv)
            _worry(self.client)
            if said.message.rcode == types.SERVFAIL:
                print(f";; Got SERVFAIL reply from {said.server[0]}")
            if one.type != types.PTR or self.wishes.type:
                self._begin(said)
            if said.message.rcode:
                self._refuse(word, one, said)
                return 1
            self._print(said, is_first=one is asked[0])
        if not self.has_answer:
            shown = asked[0].name.removesuffix(".")
            print(f"*** Can't find {plain(shown)}: No answer")
        print()
        return 0

    def _refuse(self, word: str, asked: Question, said: Said) -> None:
        """A name that is not there as it was typed, else as it was asked."""
        is_typed = said.message.rcode == types.NXDOMAIN and asked.type != types.PTR
        shown = word if is_typed else names.format(said.message.questions[0][0])
        shown = plain(shown).removesuffix(".")
        print(f"** server can't find {shown}: {types.rcode_name(said.message.rcode)}\n")

    def _begin(self, said: Said) -> None:
        """Who answered, once."""
        if self.has_begun:
            return
        self.has_begun = True
        host, port = said.server
        print(f"Server:\t\t{self.wishes.server or host}\nAddress:\t{host}#{port}\n")
        if not said.message.rcode and not said.message.flags & types.AA:
            print("Non-authoritative answer:")

    def _print(self, said: Said, *, is_first: bool) -> None:
        """The records; of the second reply, those that the first had not."""
        for rrset in said.message.answer:
            if not is_first and rrset.type != types.AAAA:
                continue
            self.has_answer = True
            owner = names.format(rrset.owner).removesuffix(".")
            kind = types.type_name(rrset.type)
            for text in rdata(rrset):
                if kind in {"A", "AAAA"}:
                    print(f"Name:\t{owner}\nAddress: {text}")
                else:
                    print(f"{owner}\t{_WORDS.get(kind, f'rdata_{rrset.type} =')} {text}")
