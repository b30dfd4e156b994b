"""Cases become a table of what was asked and a list of what nobody expected, ready to repeat."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.differential.accepted import named
from tests.differential.compare import Case
from tests.differential.expected import EXPECTED, explain
from tests.differential.reasons import labels_name
from tests.differential.rounds import Round


@dataclass
class Report:
    """The tally of a run."""

    asked: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    unexpected: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    has_all: bool = False
    """Whether every Corefile was tried, so that each reason must have been seen."""

    def add(self, this: Round, case: Case) -> None:
        """Counts a case."""
        kind = f"{this.kind}/{case.asked.kind}"
        self.asked[kind] += 1
        if not case.differing:
            self.equal[kind] += 1
            return
        left, names = explain(case)
        self.expected.update(names)
        if left:
            self.unexpected[f"{kind} {' '.join(sorted(left))}"].append(repro(this, case, left))

    def fail(self, kind: str, text: str) -> None:
        """Counts what could not even be asked, or a Corefile the two disagree on."""
        self.unexpected[kind].append(text)

    def accept(self, kind: str) -> None:
        """Counts a Corefile on which both agree."""
        self.asked[kind] += 1
        self.equal[kind] += 1

    @property
    def has_failed(self) -> bool:
        """True when anything is unexpected."""
        return any(self.unexpected.values())

    def table(self) -> str:
        """One line per kind, then the expected differences, the dead ones among them named."""
        lines = [f"{'kind':24}{'asked':>8}{'equal':>8}{'unexpected':>12}"]
        wrong: Counter[str] = Counter()
        for kind, found in self.unexpected.items():
            wrong[kind.split()[0]] += len(found)
        for kind in sorted({*self.asked, *wrong}):
            row = (self.asked[kind], self.equal[kind], wrong[kind])
            lines.append(f"{kind:24}{row[0]:8}{row[1]:8}{row[2]:12}")
        lines.append(f"{'all':24}{self.asked.total():8}{self.equal.total():8}"
                     f"{wrong.total():12}")  # fmt: skip
        lines.append("expected differences:")
        reasons = [(each.name, each.reason) for each in EXPECTED]
        reasons += [one for one in named().items() if self.has_all or self.expected[one[0]]]
        for name, reason in reasons:
            seen = self.expected[name]
            lines.append(f"  {name:22}{seen:8}  {reason}" if seen else f"  {name}: DEAD")
        return "\n".join(lines)


def repro(this: Round, case: Case, left: set[str]) -> str:
    """All one needs to see a difference again."""
    lines = [f"round {this.seed}: {case.asked.text}", f"packet {case.asked.packet.hex()}"]
    for name in sorted(left):
        lines += [f"  {name}:", f"    CoreDNS {case.their_fields.get(name)}"]
        lines.append(f"    kdns    {case.our_fields.get(name)}")
    rcodes = [
        fields.get("rcode", fields["reply"]) for fields in (case.their_fields, case.our_fields)
    ]
    lines.append(f"  rcodes: {' / '.join(rcodes)}")
    lines += ["  " + line for line in this.config.text.splitlines()]
    if this.cluster:
        lines += ["  " + json.dumps(each) for each in _near(case, this.cluster.objects)]
    return "\n".join(lines)


def _near(case: Case, objects: list[dict]) -> list[dict]:
    """The objects a question is likely about: those whose namespace and name it contains."""
    text = case.asked.text.lower().split()[0].split(".")
    answers = str(case.their_fields.get("answer")) + str(case.our_fields.get("answer"))

    def is_near(each: dict) -> bool:
        meta = each["metadata"]
        name = labels_name(meta) or meta["name"]
        space = meta.get("namespace", meta["name"])
        return (name in text and space in text) or f"{name}.{space}." in answers

    return [each for each in objects if is_near(each)]
