"""`python -m tests.status.screenshots` draws the pictures of the README: the demo cluster at work."""

import asyncio
import random
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message

from kdns.lab import manifests
from kdns.lab.controllers.desk import Desk
from kdns.lab.lab import Lab
from kdns.lab.resources import DEPLOYMENTS
from tests.status.chromium import Page, start, tab
from tests.status.demo import DEMO, corefile

SHOTS = Path(__file__).parent / "shots"
SECONDS = 100
BURST = 120
NAMES = (
    "web.shop", "api.shop", "queue.shop", "mysql.shop", "mysql-0.mysql.shop", "web.staging",
    "kube-dns.kube-system", "kubernetes.default",
)  # fmt: skip
WRONG = ("wbe.shop", "redis.shop", "web.shop.svc.cluster.local.shop")


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[Lab, str, int]]:
    """The demo cluster; a kdns in a process of its own: its page, its port."""
    async with Lab() as lab:
        manifests.apply(lab.storage, manifests.read([DEMO]), Desk(lab.storage, random.randrange))
        port, status = _free(socket.SOCK_DGRAM), _free(socket.SOCK_STREAM)
        text = corefile(lab.kubeconfig(folder / "kubeconfig"))
        text = text.replace(".:0", f".:{port}").replace("127.0.0.1:0", f"127.0.0.1:{status}")
        (folder / "Corefile").write_text(text)
        command = (sys.executable, "-m", "kdns", "-conf", str(folder / "Corefile"))
        kdns = await asyncio.create_subprocess_exec(*command)
        try:
            yield lab, f"http://127.0.0.1:{status}/", port
        finally:
            kdns.terminate()
            await kdns.wait()


def _free(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _ask(port: int) -> None:
    """As pods would, by an uneven rate, for ever."""
    chance, pace = random.Random(7), 1.0
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
    )
    while True:
        pace = min(2.0, max(0.3, pace + chance.uniform(-0.2, 0.2)))
        for _ in range(int(BURST * pace)):
            usual = NAMES[min(int(chance.expovariate(0.5)), len(NAMES) - 1)]
            name = chance.choice(WRONG) if chance.random() < 0.06 else usual
            kind = chance.choice(("A", "AAAA"))
            packet = dns.message.make_query(f"{name}.svc.cluster.local.", kind).to_wire()
            transport.sendto(packet)
        await asyncio.sleep(0.1)


async def _change(lab: Lab) -> None:
    """Deployments grow and shrink, for ever."""
    while True:
        for name, replicas in (("web", 5), ("api", 3), ("web", 3), ("api", 2)):
            await asyncio.sleep(4)
            found = lab.storage.find(DEPLOYMENTS, "shop", name)
            assert found
            body = found | {"spec": found["spec"] | {"replicas": replicas}}
            lab.storage.update(DEPLOYMENTS, "shop", name, body)


async def _overview(page: Page) -> None:
    await page.look(width=1280, height=1060)
    await page.run("document.querySelector('#rows tr:nth-child(4) .open').click()")
    await page.run("document.activeElement.blur(), scrollTo(0, 0)")
    await asyncio.sleep(0.5)
    await page.shot(SHOTS / "overview.png")


async def _explained(page: Page) -> None:
    await page.look(width=1000, height=900, scheme="dark")
    await page.run(
        "at('ask-name').value = 'wbe.shop', at('ask-from').value = 'shop/mysql-0', at('ask').requestSubmit()"
    )
    await page.until("document.querySelector('#answer .steps')")
    await page.run("document.activeElement.blur(), scrollTo(0, 0)")
    await asyncio.sleep(0.5)
    tall = await page.run("at('explain').getBoundingClientRect().bottom + 16")
    await page.shot(SHOTS / "explain.png", x=0, y=0, width=1000, height=min(tall, 900))


async def _draw(folder: Path) -> None:
    async with _served(folder) as (lab, url, port), tab(folder) as page:
        work = [asyncio.create_task(_ask(port)), asyncio.create_task(_change(lab))]
        while await page.run("typeof at === 'undefined'"):
            await asyncio.sleep(0.2)
            await page.open(url)
        await page.says("#link", "Live")
        await asyncio.sleep(SECONDS)
        await _overview(page)
        await _explained(page)
        for task in work:
            task.cancel()


def main() -> None:
    SHOTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = start(Path(folder))
        try:
            asyncio.run(_draw(Path(folder)))
        finally:
            browser.terminate()
            browser.wait()
    for shot in sorted(SHOTS.glob("*.png")):
        print(shot.relative_to(Path.cwd()), f"{shot.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
