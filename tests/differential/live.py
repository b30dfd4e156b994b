"""A seed becomes changes to a cluster that both servers watch, with the same questions after each.

A step changes several objects on the API: some go, some are new, some are replaced. When the step
has settled both are asked; what differs is asked again until it is equal or its time is up, since
the two need not learn of an event in the same moment.
"""

import asyncio
import copy
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.differential import clusters, corefiles, peer, questions
from tests.differential.api import Api
from tests.differential.ask import ask
from tests.differential.clusters import Cluster, Object
from tests.differential.compare import Case
from tests.differential.expected import explain
from tests.differential.report import Report
from tests.differential.rounds import Round, Start, filled
from tests.differential.upstream import Upstream

STEPS = 6
SETTLED_S = 30.0
"""An endpoint that seems to move between slices is held for 5 s at the most; others share the machine."""
Key = tuple[str, str, str]


@dataclass
class Step:
    """What one step does to the API."""

    puts: list[Object]
    deletes: list[Key]


def make(seed: str) -> tuple[Round, list[Step]]:
    """A first cluster, a Corefile without a cache, and the steps that follow."""
    rng = Random(seed)
    cluster = clusters.generate(rng)
    config = corefiles.cluster_config(rng)
    while "cache" in config.words:  # CoreDNS's keeps cluster names beyond any patience
        config = corefiles.cluster_config(rng)
    current = {key_of(each): each for each in cluster.objects}
    return Round(seed, "live", config, cluster, []), list(_steps(rng, current))


def _steps(rng: Random, start: dict[Key, Object]) -> Iterator[Step]:
    current = dict(start)
    for _ in range(STEPS):
        step = Step([], [])
        others = clusters.generate(rng).objects
        for each in rng.sample(others, min(len(others), rng.randint(1, 8))):
            if each["kind"] != "Namespace" and not _clashes(each, current):
                step.puts.append(each)
        known = [key for key in current if key[0] != "Namespace"]
        for key in rng.sample(known, min(len(known), rng.randint(0, 5))):
            if rng.random() < 0.5:
                step.deletes.append(key)
            else:
                step.puts.append(_changed(rng, current[key]))
        deleted = set(step.deletes)
        step.puts = [each for each in step.puts if key_of(each) not in deleted]
        for key in deleted:
            current.pop(key)
        current |= {key_of(each): each for each in step.puts}
        yield step


def _clashes(each: Object, current: dict[Key, Object]) -> bool:
    """Whether its addresses belong to another service: an API server gives no address twice, and
    whom CoreDNS names then is chance."""
    mine = addresses(each)
    return any(mine & addresses(one) for key, one in current.items() if key != key_of(each))


def addresses(each: Object) -> set[str]:
    """The addresses that a service or import was given."""
    spec = each.get("spec") or {}
    given = {*spec.get("clusterIPs", ()), *spec.get("ips", ()), spec.get("clusterIP")}
    return given - {"None", None}


def _changed(rng: Random, each: Object) -> Object:
    """The object with other labels or other endpoints."""
    new = copy.deepcopy(each)
    endpoints = new.get("endpoints")
    if endpoints and rng.random() < 0.8:
        rng.shuffle(endpoints)
        one = endpoints[0]
        one["conditions"] = {"ready": not (one.get("conditions") or {}).get("ready", True)}
        if rng.random() < 0.3:
            endpoints.pop()
    elif each["kind"] in ("Service", "Pod"):
        labels = {**rng.choice(clusters.LABELS)}
        new["metadata"].pop("labels", None)
        if labels:
            new["metadata"]["labels"] = labels
    return new


def key_of(each: Object) -> Key:
    """Kind, namespace, name."""
    meta = each["metadata"]
    return each["kind"], meta.get("namespace", ""), meta["name"]


async def run(seed: str, ours: Start, count: int, report: Report) -> int:
    """One round of steps: fills the report, returns how many questions were asked."""
    this, steps = make(seed)
    assert this.cluster
    upstream = Upstream()
    port = await upstream.start()
    with ExitStack() as stack:
        stack.callback(upstream.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="differential-")))
        for name, text in corefiles.FILES.items():
            (folder / name).write_text(text)
        api = stack.enter_context(Api(map(clusters.defaulted, this.cluster.objects)))
        fill = {"SOURCE": "endpoint URL", "URL": api.url, "FOLDER": str(folder)}
        text = filled(this.config.text, {**fill, "UPSTREAM": f"127.0.0.1:{port}"})
        started = await asyncio.gather(
            *[asyncio.to_thread(start, text) for start in (peer.start_coredns, ours)],
            return_exceptions=True,
        )
        stack.callback(lambda: [each.stop() for each in started if isinstance(each, peer.Peer)])
        failed = [each for each in started if isinstance(each, BaseException)]
        if failed:
            raise failed[0]
        ports = [each.port for each in started if isinstance(each, peer.Peer)]
        rng, asked = Random(f"{seed} questions"), 0
        for number, step in enumerate([Step([], []), *steps]):
            _apply(step, api, this.cluster)
            await asyncio.sleep(0.15)
            of = replace(this, seed=f"{seed} step {number}", cluster=this.cluster)
            of.asked = questions.generate(rng, this.cluster, this.config, count)
            for case in await _ask_all(of, ports):
                report.add(of, case)
            asked += len(of.asked)
        return asked


def _apply(step: Step, api: Api, cluster: Cluster) -> None:
    for key in step.deletes:
        api.delete(*key)
    for each in step.puts:
        api.put(clusters.defaulted(each))
    current = {key_of(each): each for each in cluster.objects}
    for key in step.deletes:
        current.pop(key, None)
    current |= {key_of(each): each for each in step.puts}
    cluster.objects = list(current.values())


async def _ask_all(this: Round, ports: list[int]) -> list[Case]:
    deadline = time.monotonic() + SETTLED_S
    gate = asyncio.Semaphore(12)

    async def one(asked: questions.Asked) -> Case:
        while True:
            async with gate:
                theirs, ours = await ask(asked.packet, ports, tcp=asked.tcp, wait_s=1.0)
            case = Case(asked, this.config, this.cluster, theirs, ours)
            if not explain(case)[0] or time.monotonic() > deadline:
                return case
            await asyncio.sleep(0.2)

    return list(await asyncio.gather(*[one(asked) for asked in this.asked]))
