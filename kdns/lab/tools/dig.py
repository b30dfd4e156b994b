"""`dig`, as BIND's prints it: whole replies, +short, or the sections that are asked for."""

import time
from collections.abc import Iterator, Sequence

from kdns.client.search_terms import Resolv
from kdns.lab.tools import pod as pods
from kdns.lab.tools.asking import resolv_of
from kdns.lab.tools.bind import Client, Question, Said, UnreachedError, addresses_of, rdata
from kdns.lab.tools.dig_words import Asked, Words, WordsError, words_of
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain, plain
from kdns.wire import names, types
from kdns.wire.message import RRset

_COLUMNS = (24, 32, 40, 48)
"""Where TTL, class, type and data begin; a tab has 8."""
_UNREACHED, _USAGE, _FAILED = 9, 1, 1


def main(words: Sequence[str]) -> int:
    """Exit code 0 when replies came, 9 when no server gave one, 1 for a bad command line."""
    pod = pods.here()
    resolv = resolv_of(pod)
    try:
        asked = words_of(words, pod)
    except WordsError as error:
        complain(f";; {error}")
        return _USAGE
    code = 0
    for at, one in enumerate(asked):
        code = _answer(pod, resolv, one, None if at else " ".join(words)) or code
    return code


def _answer(pod: Pod, resolv: Resolv, asked: Asked, line: str | None) -> int:
    words = asked.words
    try:
        servers = addresses_of(pod, asked.server) if asked.server else ()
    except LookupError:
        complain(f"dig: couldn't get address for '{asked.server}': not found")
        return _FAILED
    client = Client(pod, words.how(servers, resolv))
    question = asked.question
    said = None
    try:
        if words.searches and question.type != types.PTR:
            said = client.search(question, words.resolv(resolv))
        else:
            said = client.ask(Question(_absolute(question.name), question.type, question.cls))
    except UnreachedError:
        pass
    except ValueError as error:
        complain(f"dig: '{question.name}' is not a legal name ({error})")
        return _FAILED
    for worry in client.worries:
        is_shown = words.shows("comments") and not words.is_short
        if is_shown or not worry.startswith("Truncated"):
            print(f";; {worry}")
    if words.shows("cmd") and not words.is_short and line is not None:
        _print_command(line, len(servers))
    if said is None:
        print(";; no servers could be reached")
        return _UNREACHED
    for text in _short(said) if words.is_short else _whole(said, words):
        print(text)
    return 0


def _absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _print_command(line: str, servers: int) -> None:
    print(f"\n; <<>> DiG of kdns <<>>{line and f' {plain(line)}'}")
    if servers:
        print(f"; ({servers} server{'s' if servers > 1 else ''} found)")
    print(";; global options: +cmd")


def _short(said: Said) -> Iterator[str]:
    for rrset in said.message.answer:
        yield from rdata(rrset)


def _whole(said: Said, words: Words) -> Iterator[str]:
    message = said.message
    if words.shows("comments"):
        yield from _head(said)
    if words.shows("question"):
        yield from _question(said, has_title=words.shows("comments"))
    sections = {
        "answer": message.answer,
        "authority": message.authority,
        "additional": message.additional,
    }
    for title, rrsets in sections.items():
        if rrsets and words.shows(title):
            yield from _section(title, rrsets, has_title=words.shows("comments"))
    if words.shows("stats"):
        yield from _stats(said)


def _head(said: Said) -> Iterator[str]:
    from kdns.wire.shown import flags  # noqa: PLC0415  (time to start: +short needs it not)

    message = said.message
    yield ";; Got answer:"
    if any(names.format(one[0]).lower().endswith(".local.") for one in message.questions):
        yield ";; WARNING: .local is reserved for Multicast DNS"
        yield ";; You are currently testing what happens when an mDNS query is leaked to DNS"
    status = types.rcode_name(message.rcode)
    yield f";; ->>HEADER<<- opcode: QUERY, status: {status}, id: {message.id}"
    counts = [_count(one) for one in (message.answer, message.authority, message.additional)]
    yield (
        f";; flags: {flags(message)}; QUERY: {len(message.questions)}, ANSWER: {counts[0]}, "
        f"AUTHORITY: {counts[1]}, ADDITIONAL: {counts[2] + message.has_opt}"
    )
    if message.flags & types.RD and not message.flags & types.RA:
        yield ";; WARNING: recursion requested but not available"
    yield ""
    if message.has_opt:
        yield ";; OPT PSEUDOSECTION:"
        do = " do" if message.do else ""
        yield f"; EDNS: version: {message.version}, flags:{do}; udp: {message.size}"


def _count(rrsets: Sequence[RRset]) -> int:
    return sum(len(one.rdatas) for one in rrsets)


def _question(said: Said, *, has_title: bool) -> Iterator[str]:
    if has_title:
        yield ";; QUESTION SECTION:"
    for name, kind, cls in said.message.questions:
        line = _to(names.format(name), 32) + types.class_name(cls)
        yield ";" + _to(line, 40) + types.type_name(kind)
    if has_title:
        yield ""


def _section(title: str, rrsets: Sequence[RRset], *, has_title: bool) -> Iterator[str]:
    if has_title:
        yield f";; {title.upper()} SECTION:"
    for rrset in rrsets:
        for text in rdata(rrset):
            line = names.format(rrset.owner)
            parts = (str(rrset.ttl), types.class_name(rrset.cls), types.type_name(rrset.type), text)
            for column, part in zip(_COLUMNS, parts, strict=True):
                line = _to(line, column) + part
            yield line
    if has_title:
        yield ""


def _to(line: str, column: int) -> str:
    """The line up to a column, by tabs; to the next one where it is longer already."""
    at = len(line.expandtabs(8))
    to = max(column, at + 1)
    tabs = to // 8 - at // 8
    return line + "\t" * tabs + " " * (to - (to // 8 * 8 if tabs else at))


def _stats(said: Said) -> Iterator[str]:
    host, port = said.server
    yield f";; Query time: {said.took_s * 1000:.0f} msec"
    yield f";; SERVER: {host}#{port}({host}) ({said.transport.upper()})"
    yield time.strftime(";; WHEN: %a %b %d %H:%M:%S %Z %Y")
    yield f";; MSG SIZE  rcvd: {said.size}"
    yield ""
