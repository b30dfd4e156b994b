"""The status page as a reader in Chromium sees it: what it shows, how it follows, what it survives."""

import re
import time
from importlib.resources import files

import msgspec

from kdns.status.page import POLICY
from kdns.status.page import page as document
from kdns.status.shapes import BlockShape, ChangeShape, Cluster, Upstream
from tests.status.chromium import Page
from tests.status.explained import NO_SUCH_SERVICE
from tests.status.fake import Fake, service

EDGE = """(() => {
  const box = document.querySelector("#rate-plot svg").getBoundingClientRect();
  return {x: box.right - 1, y: box.top + 9};
})()"""
"""Where a chart ends."""


def test_the_page_is_one_document_without_outside_assets() -> None:
    text = document().decode()
    assert "{{" not in text
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert "url(" not in text
    assert text.count("</script") == text.count("</style") == 1
    assert len(document()) < 100_000


def test_the_script_makes_no_markup_out_of_text() -> None:
    script = "".join(
        file.read_text()
        for file in (files("kdns.status") / "web").iterdir()
        if file.name[-3:] == ".js"
    )
    assert "function el(" in script
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", script
    )


def test_the_policy_allows_only_the_pages_own_script_and_style() -> None:
    words = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert words["default-src"] == words["base-uri"] == words["form-action"] == "'none'"
    assert words["connect-src"] == "'self'"
    assert words["script-src"].startswith("'sha256-")
    assert words["style-src"].startswith("'sha256-")
    assert "unsafe" not in POLICY


async def test_it_shows_what_the_server_says_of_itself(page: Page) -> None:
    async with Fake() as fake:
        fake.status.upstreams = [Upstream("192.0.2.1:53", ".", False, failures=7)]
        fake.status.clusters = [
            Cluster("https://api", True, 0.2, zones=["cluster.local"], services=3)
        ]
        fake.status.blocks = [BlockShape([".:53"], ["errors", "forward . 192.0.2.1"])]
        fake.status.pods = {"10.244.1.5": "shop/web-0"}
        fake.status.totals.clients = [("10.244.1.5", 9)]
        fake.status.totals.names = [("web.shop.svc.cluster.local.", 12)]
        await page.open(fake.url)
        await page.says("#link", "Live")
        await page.says("#version", "1.2.3")
        await page.says("#health", "The cluster is followed live: 3 services, 0 endpoints.")
        await page.says("#upstreams", "down")
        await page.says("#sources", "3 services")
        await page.says("#blocks", "forward . 192.0.2.1")
        await page.says("#clients", "shop/web-0")
        await page.says("#names", "web.shop.svc.cluster.local.")
        await page.says("#tiles", "90 % since the start")


async def test_old_data_is_told_in_words(page: Page) -> None:
    async with Fake() as fake:
        fake.status.clusters = [Cluster("https://api", True, 90, failure="connection refused")]
        await page.open(fake.url)
        await page.says(
            "#health", "The cluster was last heard of 1 min 30 s ago: connection refused."
        )


async def test_rate_and_latency_are_drawn_and_said(page: Page) -> None:
    async with Fake() as fake:
        await page.open(fake.url)
        await page.says("#link", "Live")
        fake.status.totals.queries += 500
        fake.status.totals.latency[2] += 500  # of 0.5 to 1 ms
        await page.until("Number(at('rate-now').textContent) > 1")
        await page.says("#latency-now", "half under 750 µs")
        await page.says("#latency-now", "99 % under 995 µs")
        fake.status.totals.latency[0] += 10_000  # of which no more is known than its bound
        await page.says("#latency-now", "half under 250 µs")
        await page.call("Input.dispatchMouseEvent", type="mouseMoved", **await page.run(EDGE))
        await page.until(
            r"/^[\d:]{8}  [\d,.]+$/.test(document.querySelector('#rate-plot .spot').textContent)"
        )
        assert await page.run(
            "document.querySelectorAll('#rate-plot .stroke[d*=L], #rate-plot .stroke[d^=M]').length"
        )


async def test_a_change_is_seen_within_a_second(page: Page) -> None:
    async with Fake(services=[service("web")]) as fake:
        await page.open(fake.url)
        await page.says("#rows", "2 ready")
        took = [await _seen_after(page, fake, ready=1)]
        await page.says("#happened", "10.244.0.2 web-1")
        await page.says("#happened", "after 120 ms, 3 ms here")
        await page.says("#said", "shop/web endpoint 10.244.0.2 not ready")
        while min(took) >= 1 and len(took) < 12:  # others share the machine
            took.append(await _seen_after(page, fake, ready=1 + len(took)))
        assert min(took) < 1, took


async def _seen_after(page: Page, fake: Fake, *, ready: int) -> float:
    """How long it takes until a service with so many ready endpoints of five is shown, in s."""
    fake.services = [service("web", ready=ready, unready=5 - ready)]
    fake.push(ChangeShape(0, 0, "shop/web", "not ready", "10.244.0.2", "web-1", 0.12, 0.003))
    began = time.monotonic()
    await page.says("#rows", f"{ready} of 5 ready")
    await page.says("#happened", "not ready")
    return time.monotonic() - began


async def test_changes_are_held_while_paused(page: Page) -> None:
    async with Fake() as fake:
        await page.open(fake.url)
        await page.says("#link", "Live")
        await page.click("#pause")
        fake.push(ChangeShape(0, 0, "shop/web", "added"), ChangeShape(0, 0, "shop/cart", "added"))
        await page.says("#pause", "Resume (2 new)")
        assert await page.text("#happened") == ""
        await page.click("#pause")
        await page.says("#happened", "shop/cart")
        assert (await page.text("#pause")) == "Pause"


async def test_services_are_searched_paged_and_opened(page: Page) -> None:
    async with Fake(services=[service(f"s{n:03}") for n in range(250)]) as fake:
        await page.open(fake.url)
        await page.says("#found", "1–100 of 250 services")
        await page.click("#next")
        await page.says("#found", "101–200 of 250")
        await page.click("#next")
        await page.says("#found", "201–250 of 250")
        assert await page.run("at('next').disabled")
        await page.click("#back")
        await page.says("#found", "101–200 of 250")
        await page.click("#search")
        await page.type("s24")
        await page.says("#found", "1–10 of 10 services")
        await page.click("#rows .row:nth-child(3) .open")
        await page.says("#rows .inside", "10.244.0.2")
        assert await page.run("document.querySelectorAll('#rows .inside').length") == 1
        await page.click("#rows .row:nth-child(3) .open")
        assert await page.run("document.querySelectorAll('#rows .inside').length") == 0


async def test_an_explanation_begins_with_its_reason(page: Page) -> None:
    async with Fake(explanation=NO_SUCH_SERVICE) as fake:
        await page.open(fake.url)
        await page.click("#ask-name")
        await page.type("wbe.shop")
        await page.press("Enter")
        await page.says("#answer .verdict", "no service")
        said = await page.text("#answer")
        for words in (
            "What it is concluded from",
            "kubectl get services -n shop",
            "NXDOMAIN",
            "kubernetes",
        ):
            assert words in said
        await page.click("#answer .commands button")
        await page.says("#answer .commands button", "Copied")
        assert await page.run("navigator.clipboard.readText()") == "kubectl get services -n shop"


async def test_what_cannot_be_explained_is_said(page: Page) -> None:
    async with Fake() as fake:
        await page.open(fake.url)
        await page.run("at('ask-name').value = 'web', at('ask').requestSubmit()")
        await page.says("#answer .trouble", "this server offers no explanations")


async def test_a_name_of_a_list_is_explained_by_its_button(page: Page) -> None:
    async with Fake(explanation=NO_SUCH_SERVICE) as fake:
        fake.status.totals.missing = [("wbe.shop.svc.cluster.local.", 3)]
        await page.open(fake.url)
        await page.says("#missing", "wbe")
        await page.click("#missing button")
        await page.says("#answer .verdict", "no service")
        assert await page.run("at('ask-name').value") == "wbe.shop.svc.cluster.local."


async def test_a_server_that_went_away_is_followed_again(page: Page) -> None:
    async with Fake(services=[service("web")]) as fake:
        await page.open(fake.url)
        await page.says("#link", "Live")
    await page.says("#link", "Lost, next try in")
    await page.says("#health", "Not connected: the server does not answer.")
    fake.status = msgspec.structs.replace(fake.status, started=time.time(), version="1.2.4")
    async with fake:
        await page.click("#again")
        await page.says("#link", "Live")
        await page.says("#version", "1.2.4")
        await page.says("#happened", "started anew")


async def test_a_server_that_stays_away_is_tried_ever_more_rarely(page: Page) -> None:
    async with Fake() as fake:
        await page.open(fake.url)
        await page.says("#link", "Live")
    first = await page.until("/next try in (.*)/.exec(at('link').textContent)?.[1]")
    await page.until(f"!at('link').textContent.includes({first!r}) && at('link').textContent")
    assert re.search(r"in (0\.9|[1-9])", await page.text("#link"))


async def test_a_viewer_too_many_is_told(page: Page) -> None:
    async with Fake(services=[service("web")], is_full=True) as fake:
        await page.open(fake.url)
        await page.says("#health", "has as many viewers as it takes")
        await page.says("#rows", "web")
        fake.is_full = False
        await page.says("#link", "Live")
        await page.says("#health", "No cluster is served.")


async def test_a_token_is_asked_for_and_kept_for_the_tab(page: Page) -> None:
    async with Fake(token="open sesame") as fake:
        await page.open(fake.url)
        await page.until("at('door').open")
        await page.type("wrong")
        await page.press("Enter")
        await page.says("#door-why", "not accepted")
        await page.type("open sesame")
        await page.press("Enter")
        await page.says("#link", "Live")
        assert not await page.run("at('door').open")
        await page.open(fake.url)
        await page.says("#link", "Live")
        assert await page.run("localStorage.length + document.cookie.length") == 0
