"""The page by keyboard, by screen reader, on a phone, in either scheme."""

from itertools import pairwise

import pytest

from kdns.status.shapes import BlockShape, ChangeShape, Cluster, Upstream
from tests.status.chromium import Page
from tests.status.explained import NO_SUCH_SERVICE
from tests.status.fake import Fake, service

CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "menuitem", "DisclosureTriangle"}
FOCUS = """(() => {
  const one = document.activeElement, style = getComputedStyle(one);
  if (one === document.body) return null;
  window.focused ??= new Set();
  const isKnown = focused.has(one);
  focused.add(one);
  const all = [...document.querySelectorAll("*")];
  return {place: all.indexOf(one), isKnown, what: `${one.tagName} ${one.id} ${one.textContent.slice(0, 30)}`,
    isSeen: parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none"};
})()"""
CONTRAST = """(() => {
  const numbers = text => {
    const found = text.match(/[\\d.]+/g).map(Number), scale = text.startsWith("color(") ? 255 : 1;
    return [...found.slice(0, 3).map(one => one * scale), found[3] ?? 1];
  };
  const over = (top, under) => top.slice(0, 3).map((one, place) => one * top[3] + under[place] * (1 - top[3]));
  const light = colour => {
    const [r, g, b] = colour.map(one => one / 255).map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = (x, y) => document.elementsFromPoint(x, y).map(one => numbers(getComputedStyle(one).backgroundColor))
    .reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  const judged = [];
  const judge = (one, colour, box, words) => {
    for (const part of [0.05, 0.5, 0.95]) {
      const x = box.x + box.width * part, y = box.y + box.height / 2;
      const hit = document.elementFromPoint(x, y);
      if (!hit || !(one.contains(hit) || hit.contains(one))) continue;
      const back = behind(x, y);
      judged.push([ratio(over(numbers(colour), back), back), words]);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; text = walker.nextNode();) {
    if (!text.data.trim() || text.parentElement.closest(".unseen, script, option")) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const box of range.getClientRects()) if (box.width > 1) judge(text.parentElement, getComputedStyle(text.parentElement).color, box, text.data.slice(0, 40));
  }
  for (const input of document.querySelectorAll("input"))
    judge(input, getComputedStyle(input, "::placeholder").color, input.getBoundingClientRect(), `placeholder of ${input.id}`);
  return judged;
})()"""


def full() -> Fake:
    """A server with a bit of everything."""
    ends = [service("cart", ready=1, unready=1), service("db", ready=0), service("web")]
    fake = Fake(services=ends, explanation=NO_SUCH_SERVICE)
    status = fake.status
    status.upstreams = [
        Upstream("192.0.2.1:53", ".", True),
        Upstream("192.0.2.2:53", ".", False, 3),
    ]
    status.clusters = [Cluster("https://api", True, 0.2, zones=["cluster.local"], services=3)]
    status.blocks = [
        BlockShape([".:53"], ["errors", "kubernetes cluster.local\n    pods insecure"])
    ]
    status.totals.names = status.totals.missing = [("web.shop.svc.cluster.local.", 9), ("b.", 3)]
    status.totals.clients = [("10.0.0.1", 3)]
    status.totals.rcodes["SERVFAIL"] = 400
    for what in ("added", "ready", "not ready", "removed", "changed"):
        fake.push(ChangeShape(0, 0, "shop/web", what, "10.244.0.1", "web-0", 0.2, 0.001))
    return fake


async def shown(page: Page, fake: Fake) -> None:
    """Everything that the page can show is shown."""
    await page.open(fake.url)
    await page.says("#happened", "changed")
    fake.status.totals.rcodes = {"NOERROR": 5000, "SERVFAIL": 5000}
    fake.status.totals.latency[3] += 100
    fake.push()
    await page.run("at('ask-name').value = 'wbe', at('ask').requestSubmit()")
    await page.until("document.querySelector('#answer .steps')")
    await page.until("document.querySelector('#rows .open')")
    await page.run("document.querySelector('#rows .open').click()")


async def test_a_keyboard_reaches_everything_in_order_and_leaves_again(page: Page) -> None:
    async with full() as fake:
        await shown(page, fake)
        await page.run(
            "document.body.tabIndex = -1, document.body.focus(), document.body.removeAttribute('tabindex')"
        )
        visited = []
        while len(visited) < 120:
            await page.press("Tab")
            one = await page.run(FOCUS)
            if one is None or one["isKnown"]:
                break
            visited.append(one)
        words = [one["what"] for one in visited]
        assert words[0].startswith("A  Skip to the content")
        for control in (
            "INPUT ask-name",
            "SELECT ask-type",
            "BUTTON  Explain",
            "INPUT search",
            "BUTTON  cart",
            "BUTTON pause",
            "DIV services-scroll",
            "BUTTON  Why?",
        ):
            assert any(word.startswith(control) for word in words), (control, words)
        assert [one["place"] for one in visited] == sorted(one["place"] for one in visited)
        assert [one["what"] for one in visited if not one["isSeen"]] == []


async def test_the_keyboard_alone_explains_a_name_and_opens_a_service(page: Page) -> None:
    async with full() as fake:
        await page.open(fake.url)
        await page.until("document.querySelector('#rows .open')")
        await page.press("Tab")
        await page.press("Enter")
        assert await page.run("document.activeElement.id") == "main"
        await page.press("Tab")
        await page.type("wbe.shop")
        await page.press("Enter")
        await page.says("#answer .verdict", "no service")
        assert await page.run("document.activeElement.id") == "answer"
        while await page.run("!document.activeElement.matches('#rows .open')"):
            await page.press("Tab")
        await page.press("Enter")
        await page.says("#rows .inside", "10.244.0.2")
        assert await page.run("document.activeElement.getAttribute('aria-expanded')") == "true"
        await page.press("Space")
        assert await page.run("document.activeElement.getAttribute('aria-expanded')") == "false"


async def test_the_focus_stays_where_it_is_while_a_row_changes(page: Page) -> None:
    async with full() as fake:
        await page.open(fake.url)
        await page.until("document.querySelector('#rows .open')")
        await page.run("document.querySelector('#rows .open').focus()")
        fake.services[0] = service("cart", ready=2)
        fake.push(ChangeShape(0, 0, "shop/cart", "ready", "10.244.0.2"))
        await page.says("#rows .row", "✓ 2 ready")
        await page.until("document.activeElement.textContent.startsWith('cart')")


async def test_a_dialog_is_left_by_escape(page: Page) -> None:
    async with Fake(token="secret") as fake:
        await page.open(fake.url)
        await page.until("at('door').open")
        assert await page.run("document.activeElement.id") == "token"
        await page.press("Escape")
        await page.until("!at('door').open")
        await page.click("#again")
        await page.until("at('door').open")


async def test_every_control_and_landmark_has_a_name(page: Page) -> None:
    async with full() as fake:
        await shown(page, fake)
        nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
        heard = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]
        controls = [(role, name) for role, name in heard if role in CONTROLS]
        assert len(controls) > 20
        assert [role for role, name in controls if not name.strip()] == []
        roles = [role for role, _ in heard]
        for landmark in ("banner", "main", "navigation", "contentinfo", "search"):
            assert roles.count(landmark) == 1, landmark
        regions = [name for role, name in heard if role == "region"]
        assert all(regions)
        assert len(set(regions)) == len(regions) >= 7
        for head in ("Service", "Endpoints", "Server"):
            assert ("columnheader", head) in heard


async def test_headings_make_an_outline(page: Page) -> None:
    async with full() as fake:
        await shown(page, fake)
        levels = await page.run(
            "[...document.querySelectorAll('h1,h2,h3,h4')].filter(one => one.checkVisibility()).map(one => Number(one.tagName[1]))"
        )
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 360])
async def test_text_stands_out_from_its_ground(page: Page, width: int) -> None:
    async with full() as fake:
        await page.look(width=width, height=6000)
        await shown(page, fake)
        await page.says("#rcodes", "SERVFAIL")
        grounds = set()
        for scheme in ("light", "dark"):
            await page.look(width=width, height=6000, scheme=scheme)
            judged = await page.run(CONTRAST)
            assert len(judged) > 300
            assert sorted({words for ratio, words in judged if ratio < 4.5}) == [], scheme
            grounds.add(await page.run("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2


async def test_low_contrast_would_be_noticed(page: Page) -> None:
    async with full() as fake:
        await page.open(fake.url)
        await page.run("at('health').style.color = '#999'")
        assert min(await page.run(CONTRAST))[0] < 4.5


async def test_a_phone_needs_no_sideways_scrolling(page: Page) -> None:
    async with full() as fake:
        await page.look(width=360, height=740)
        await shown(page, fake)
        assert await page.run("document.documentElement.scrollWidth") == 360
        small = await page.run(
            "[...document.querySelectorAll('button, input, select')].filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 24).map(one => one.textContent)"
        )
        assert small == []


async def test_nothing_moves_for_who_wishes_so(page: Page) -> None:
    async with full() as fake:
        await shown(page, fake)
        assert await page.run("document.getAnimations().length") == 0
        await page.call("Emulation.setEmulatedMedia", features=[])
        await page.until("document.getAnimations().length")
