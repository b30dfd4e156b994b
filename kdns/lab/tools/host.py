"""`host [-t TYPE] NAME [SERVER]`, as BIND's prints it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

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
)
from kdns.lab.tools.options import UsageError, read
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain, plain
from kdns.wire import names, types

_WORDS = {
    "A": "has address", "AAAA": "has IPv6 address", "CNAME": "is an alias for",
    "PTR": "domain name pointer", "MX": "mail is handled by", "NS": "name server",
    "TXT": "descriptive text",
}  # fmt: skip
_FIRST = (types.A, types.AAAA, types.MX)
"""What is asked where no type is named."""


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 1 when the name was not found."""
    try:
        found = read(words, flags="Tv", values="tpWR")
        kinds = tuple(map(types.parse_type, found.values.get("t", ())))
        named = found.words[:2]
        if not named:
            complain("Usage: host [-T] [-t TYPE] [-p PORT] NAME [SERVER]")
            return 1
        return _answer(pods.here(), named, kinds, How(
            (), "tcp" if "T" in found.flags else "udp", float(found.last("W", "5")),
            int(found.last("R", "1")) + 1,
        ), int(found.last("p", str(PORT))))  # fmt: skip
    except (UsageError, ValueError) as error:
        complain(f"host: {error}")
        return 1


def _answer(pod: Pod, named: Sequence[str], kinds: tuple[int, ...], how: How, port: int) -> int:
    resolv = resolv_of(pod)
    servers = [one for one, _ in resolv.nameservers]
    if len(named) > 1:
        try:
            servers = list(addresses_of(pod, named[1]))
        except LookupError:
            complain(f"host: couldn't get address for '{named[1]}': not found")
            return 1
    client = Client(pod, replace(how, servers=tuple((one, port) for one in servers)))
    first = question(named[0], pod)
    if first.type == types.PTR:
        resolv = replace(resolv, search=())
    asked = [Question(first.name, one) for one in kinds] or [first]
    if not kinds and first.type != types.PTR:
        asked = [Question(first.name, one) for one in _FIRST]
    try:
        for at, one in enumerate(asked):
            said = client.search(one, resolv)
            if not at and len(named) > 1:
                host, real = said.server
                print(
                    f"Using domain server:\nName: {named[1]}\nAddress: {host}#{real}\nAliases: \n"
                )
            if not _print(one, said, has_more=len(asked) > 1):
                return 1
            # what follows is asked for the name that was found
            end = _end(said)
            asked[at + 1 :] = [Question(end, rest.type) for rest in asked[at + 1 :]]
    except UnreachedError:
        for line in client.worries:
            print(f";; {line}")
        print(";; no servers could be reached")
        return 1
    return 0


def _end(said: Said) -> str:
    """The name to which aliases lead from the one that was asked for."""
    from kdns.client.search_replies import aliases  # noqa: PLC0415  (time to start)

    name, answer = said.message.questions[0][0], said.message.answer
    is_alias = any(rrset.type == types.CNAME for rrset in answer)
    return names.format(aliases(name, answer) if is_alias else name)


def _print(asked: Question, said: Said, *, has_more: bool) -> bool:
    """Prints a reply; False for one that says no."""
    code = said.message.rcode
    found = names.format(said.message.questions[0][0])
    if code:
        name = asked.name if code == types.NXDOMAIN else found.removesuffix(".")
        print(f"Host {plain(name)} not found: {code}({types.rcode_name(code)})")
        return False
    lines = list(_lines(said))
    if not lines and not has_more:
        print(f"{found.removesuffix('.')} has no {types.type_name(asked.type)} record")
    for line in lines:
        print(line)
    return True


def _lines(said: Said) -> Iterator[str]:
    for rrset in said.message.answer:
        owner = names.format(rrset.owner).removesuffix(".")
        kind = types.type_name(rrset.type)
        for text in rdata(rrset):
            yield f"{owner} {_WORDS.get(kind, f'has {kind} record')} {text}"
