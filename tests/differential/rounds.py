"""A seed becomes one round: two servers, one Corefile, the same objects and questions."""

import asyncio
import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.differential import clusters, corefiles, peer, questions
from tests.differential.api import Api
from tests.differential.ask import ask
from tests.differential.clusters import Cluster
from tests.differential.compare import Case
from tests.differential.corefiles import Config
from tests.differential.upstream import Upstream

OF_A_PAIR = 40
AT_ONCE = 12
"""Questions in flight: fewer than would make a two-core machine time out. A cache is asked one by
one, since what it keeps depends on who came first."""

Start = Callable[[str], peer.Peer]
"""Starts a server on a Corefile."""


@dataclass
class Round:
    """What one round asks, and of what."""

    seed: str
    kind: str
    config: Config
    cluster: Cluster | None
    asked: list[questions.Asked]


def make(seed: str, count: int) -> Round:
    """The round of a seed: about a cluster, plugins alone, odd packets; each other one about a pair.

    The pairs come in an order of the run's seed, so that a long run has them all.
    """
    rng = Random(seed)
    run, _, number = seed.rpartition(".")
    if number.isdigit() and int(number) % 2:
        order = Random(run).sample(corefiles.PAIRS, len(corefiles.PAIRS))
        return _pair(rng, seed, *order[int(number) // 2 % len(order)], min(count, OF_A_PAIR))
    kind = rng.choices(("cluster", "plugins", "packets"), (6, 3, 0.8))[0]
    cluster = clusters.generate(rng) if kind != "plugins" else None
    config = corefiles.plugins_config(rng) if cluster is None else corefiles.cluster_config(rng)
    if kind == "packets":
        return Round(seed, kind, config, cluster, questions.odd_packets(rng, count))
    return Round(seed, kind, config, cluster, questions.generate(rng, cluster, config, count))


def _pair(rng: Random, seed: str, centre: str, name: str, count: int) -> Round:
    config = corefiles.pair_config(rng, centre, name)
    cluster = clusters.generate(rng) if centre == "kubernetes" else None
    asked = questions.generate(rng, cluster, config, count)
    if "cache" in config.words:
        asked = questions.again(rng, asked)
    return Round(seed, "pair", config, cluster, asked)


async def run(this: Round, ours: Start, source: str) -> list[Case]:
    """Asks both servers everything; raises PeerError when one does not start.

    `source` is the line by which ours finds the objects, with URL or FILE in it.
    """
    upstream = Upstream()
    port = await upstream.start()
    objects = this.cluster.objects if this.cluster else []
    with ExitStack() as stack:
        stack.callback(upstream.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="differential-")))
        api = stack.enter_context(Api(map(clusters.defaulted, objects)))
        (folder / "objects.json").write_text(
            json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )
        for name, text in corefiles.FILES.items():
            (folder / name).write_text(text)
        fill = {
            "SOURCE": source,
            "URL": api.url,
            "FILE": str(folder / "objects.json"),
            "UPSTREAM": f"127.0.0.1:{port}",
            "FOLDER": str(folder),
        }
        theirs = filled(this.config.text, {**fill, "SOURCE": "endpoint URL"})
        jobs = [
            asyncio.to_thread(peer.start_coredns, theirs),
            asyncio.to_thread(ours, filled(this.config.text, fill)),
        ]
        started = await asyncio.gather(*jobs, return_exceptions=True)
        for each in started:
            if isinstance(each, peer.Peer):
                stack.callback(each.stop)
        failed = [each for each in started if isinstance(each, BaseException)]
        if failed:
            raise failed[0]
        return await _ask_all(this, [each.port for each in started if isinstance(each, peer.Peer)])


async def _ask_all(this: Round, ports: list[int]) -> list[Case]:
    gate = asyncio.Semaphore(1 if "cache" in this.config.words else AT_ONCE)

    async def one(asked: questions.Asked) -> Case:
        async with gate:
            await asyncio.sleep(asked.after_s)
            theirs, ours = await ask(
                asked.packet, ports, tcp=asked.tcp, wait_s=1.0, client=asked.client
            )
        return Case(asked, this.config, this.cluster, theirs, ours)

    return list(await asyncio.gather(*[one(asked) for asked in this.asked]))


def filled(text: str, values: dict[str, str]) -> str:
    """A Corefile with its stand-ins replaced."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text
