"""A case folder: Corefile, manifests.yaml, and queries.txt with questions and the answers to them.

queries.txt is blocks between blank lines; lines with `#` are for the reader and stay. A block's
first line asks: `NAME TYPE [+tcp] [+edns[=SIZE]] [+do] [@CLIENT]`. Below stand the rcode with the
flags of the reply, then its records sorted, those of the other sections behind `;; AUTHORITY` and
`;; ADDITIONAL`; `;; no reply` is silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from tests.socketless import Socketless

CASES = Path(__file__).parent


@dataclass
class Block:
    """One question, the notes above it, and the answer below it."""

    notes: list[str] = field(default_factory=list)
    question: str = ""
    answer: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As it stands in the file."""
        asked = [self.question] if self.question else []
        return "\n".join([*self.notes, *asked, *self.answer])


def folders() -> list[Path]:
    """Every case."""
    return sorted(path.parent for path in CASES.glob("*/queries.txt"))


def parse(text: str) -> list[Block]:
    """The blocks of a queries.txt."""
    blocks = []
    for part in text.strip("\n").split("\n\n"):
        block = Block()
        for line in part.splitlines():
            if line.startswith("#"):
                block.notes.append(line)
            elif not block.question:
                block.question = line
            else:
                block.answer.append(line)
        blocks.append(block)
    return blocks


async def ask(server: Socketless, question: str) -> list[str]:
    """The answer to a question line."""
    name, type_, *words = question.split()
    query = dns.message.make_query(name, type_)
    query.id = 1
    client, tcp = "10.244.0.99", False
    for word in words:
        key, _, value = word.partition("=")
        if word.startswith("@"):
            client = word[1:]
        elif word == "+tcp":
            tcp = True
        elif key == "+edns":
            query.use_edns(0, payload=int(value or 1232))
        elif word == "+do":
            query.want_dnssec()
        else:
            raise ValueError(f"{question!r}: what is {word!r}?")
    reply = await server.ask(query.to_wire(), tcp=tcp, client=client)
    return [";; no reply"] if reply is None else format_reply(dns.message.from_wire(reply))


def format_reply(reply: dns.message.Message) -> list[str]:
    """A reply as its block shows it."""
    flags = dns.flags.to_text(reply.flags).lower()
    edns = f", edns {reply.payload}{' do' if reply.ednsflags & dns.flags.DO else ''}"
    shown = f";; {dns.rcode.to_text(reply.rcode())}, {flags}{edns if reply.edns >= 0 else ''}"
    lines = [shown, *_records(reply.answer)]
    for title, section in (("AUTHORITY", reply.authority), ("ADDITIONAL", reply.additional)):
        if section:
            lines += [f";; {title}", *_records(section)]
    return lines


def _records(section: Iterable[dns.rrset.RRset]) -> list[str]:
    return sorted(
        f"{rrset.name} {rrset.ttl} IN {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in section
        for rdata in rrset
    )
