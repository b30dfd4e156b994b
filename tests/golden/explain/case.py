"""A folder: cluster.yaml as kubectl prints it, ask.txt with the arguments, expected.txt the text.

Its name begins with the id of the reason that must come first. A Corefile stands beside them where
the usual one will not do, and server.yaml where the case is what a server says of itself. Times
are those of the dump, questions take none.
"""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from kdns.client.search import Walk
from kdns.explain.answer import Question, explain
from kdns.explain.facts import Facts, ServerFact
from kdns.explain.said import Explanation
from kdns.explain.scenes import Gather, of_corefile, of_files

CASES = Path(__file__).parent
USUAL = """cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests cluster.yaml
    }
}
.:53 {
    template ANY ANY {
        rcode NXDOMAIN
    }
}
"""
"""An internet without names."""


def folders() -> list[Path]:
    """Every case."""
    return sorted(path.parent for path in CASES.glob("*/cluster.yaml"))


def corefile(folder: Path) -> str:
    """The Corefile of a case, which reads its cluster.yaml."""
    own = folder / "Corefile"
    text = own.read_text() if own.exists() else USUAL
    return text.replace("manifests cluster.yaml", f'manifests "{folder / "cluster.yaml"}"')


def question(folder: Path) -> Question:
    """What ask.txt asks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("type", nargs="?", default="")
    parser.add_argument("--from", dest="asker", default="")
    asked = parser.parse_args(shlex.split((folder / "ask.txt").read_text()))
    return Question(asked.name, asked.type, asked.asker)


async def explained(folder: Path) -> Explanation:
    """The case explained from its files."""
    path = str(folder / "Corefile")
    async with of_corefile(corefile(folder), path, _gather(folder)) as scene:
        return timeless(await explain(question(folder), scene))


def timeless(found: Explanation) -> Explanation:
    """The same, as if every question had taken a third of a millisecond."""
    return replace(found, walks=tuple(_timeless(walk) for walk in found.walks))


def _timeless(walk: Walk) -> Walk:
    asked = (
        replace(one, heard=replace(one.heard, took_s=0.0003)) if one.heard.reply else one
        for one in walk.asked
    )
    return replace(walk, asked=tuple(asked))


def _gather(folder: Path) -> Gather:
    """What the files say, and what the server of the case says of itself."""
    gather = of_files([str(folder / "cluster.yaml")])
    says = folder / "server.yaml"
    server = ServerFact(**yaml.safe_load(says.read_text())) if says.exists() else ServerFact()

    async def gathered(names: Sequence[str], asker: str) -> Facts:
        known = await gather(names, asker)
        return replace(known, server=server)

    return gathered
