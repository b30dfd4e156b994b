"""`python -m tests.status.screenshots` draws the pictures of the README: the demo cluster at work."""

import asyncio
import random
import tempfile
from pathlib import Path

import dns.message

from tests.status.chromium import Page, start, tab
from tests.status.demo import Demo, demo

SHOTS = Path(__file__).parent / "shots"
SECONDS = 100
BURST = 120
NAMES = (
    "web.shop", "api.shop", "queue.shop", "mysql.shop", "mysql-0.mysql.shop", "web.staging",
    "kube-dns.kube-system", "kubernetes.default",
)  # fmt: skip
WRONG = ("wbe.shop", "redis.shop", "web.shop.svc.cluster.local.shop")


async def _ask(scene: Demo) -> None:
    """As pods would, by an uneven rate, for ever."""
    port, chance = scene.serving.port(), random.Random(7)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
    )
    pace = 1.0
    while True:
        pace = min(2.0, max(0.3, pace + chance.uniform(-0.2, 0.2)))
        for _ in range(int(BURST * pace)):
            wrong = chance.random() < 0.06
            name = f"{chance.choice(WRONG if wrong else NAMES)}.svc.cluster.local."
            weighted = (
                name
                if wrong
                else f"{NAMES[min(int(chance.expovariate(0.5)), 7)]}.svc.cluster.local."
            )
            transport.sendto(
                dns.message.make_query(weighted, chance.choice(("A", "AAAA"))).to_wire()
            )
        await asyncio.sleep(0.1)


async def _change(scene: Demo) -> None:
    """Deployments grow and shrink, for ever."""
    while True:
        for name, replicas in (("shop/web", 5), ("shop/api", 3), ("shop/web", 3), ("shop/api", 2)):
            await asyncio.sleep(4)
            await scene.scale(name, replicas)


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
    async with demo(folder) as scene, tab(folder) as page:
        work = [asyncio.create_task(_ask(scene)), asyncio.create_task(_change(scene))]
        await page.open(scene.url)
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
