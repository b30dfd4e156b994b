"""Names are strangers' text: whatever they hold, the page shows it and does nothing else."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kdns.explain.shapes import ExplanationShape
from kdns.status.shapes import (
    BlockShape,
    ChangeShape,
    Cluster,
    EndpointShape,
    ServiceShape,
    Upstream,
)
from tests.status.chromium import Page, tab
from tests.status.explained import NO_SUCH_SERVICE
from tests.status.fake import Fake

MARKUP = "<img src=x onerror=pwned=1>"
HOSTILE = {
    "markup": f"""{MARKUP}</script><script>pwned=1</script></style><svg onload=pwned=1>"""
    """"'`><b onmouseover=pwned=1>${pwned=1}""",
    "a link": "javascript:pwned=1",
    "signs": "web\u202egpj.exe\u2066\u200fa\u200bb\x00c\x1b[31m\u00ad\U000e0041",
    "long": "x" * 253,
    "words of JavaScript": "__proto__",
}
FOUND = "window.pwned ?? document.querySelectorAll('main img, main b, main [onload]').length"


def _everywhere(text: str) -> Fake:
    """A server in whose every word the text stands."""
    fake = Fake(explanation=_filled(NO_SUCH_SERVICE, text))
    status = fake.status
    status.version = text
    status.upstreams = [Upstream(text, text, True)]
    status.clusters = [Cluster(text, True, 1, failure=text, zones=[text])]
    status.blocks = [BlockShape([text], ["errors", f"{text} {text}\n{text}"])]
    status.pods = {"10.0.0.1": text, text: text}
    totals = status.totals
    totals.rcodes, totals.plugins, totals.transports = {text: 5}, {text: 5}, {text: 5}
    totals.names, totals.missing = [(text, 3), ("b", 2)], [(text, 3)]
    totals.clients = [("10.0.0.1", 3), (text, 1)]
    end = EndpointShape(text, True, text)
    fake.services = [ServiceShape(text, text, text, [text], [text], "", 1, 0, [end]),
                     ServiceShape(text, "z", "ExternalName", [], [], text)]  # fmt: skip
    fake.push(ChangeShape(0, 0, text, text, text, text))
    return fake


def _filled(found: ExplanationShape, text: str) -> Any:
    """The same explanation with every text but its identifiers replaced."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return text
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, dict):
            return {
                key: one if key in {"id", "nameserver"} else filled(one)
                for key, one in value.items()
            }
        return value

    return filled(msgspec.to_builtins(found))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_text_is_shown_and_does_nothing(page: Page, text: str) -> None:
    async with _everywhere(text) as fake:
        await page.open(fake.url)
        await page.says("#link", "Live")
        await page.until("document.querySelectorAll('#happened li').length")
        await page.until("document.querySelectorAll('#rows .row').length == 2")
        await page.run("document.querySelector('#rows .open').click()")
        await page.run("at('ask-name').value = 'x', at('ask').requestSubmit()")
        await page.until("document.querySelector('#answer .steps')")
        assert not await page.run(FOUND)
        shown = await page.run("document.body.textContent")
        for place in (
            "version",
            "names",
            "missing",
            "clients",
            "rows",
            "happened",
            "upstreams",
            "sources",
            "blocks",
            "answer",
        ):
            seen = await page.run(f"at('{place}').textContent")
            assert (text in seen) or "U+" in seen, (place, seen[:300])
        assert not await page.run(
            "/[\\u202a-\\u202e\\u2066-\\u2069\\u200b-\\u200f\\u0000\\u001b]/.test(document.body.textContent)"
        )
        assert ("U+202E" in shown) == ("\u202e" in text)
        for width in (1280, 360):
            await page.look(width=width)
            assert await page.run("document.documentElement.scrollWidth") <= width


async def test_a_command_with_unseen_characters_is_not_copied(page: Page) -> None:
    async with _everywhere("kubectl get\nrm -rf") as fake:
        await page.open(fake.url)
        await page.run("at('ask-name').value = 'x', at('ask').requestSubmit()")
        await page.says("#answer .commands", "has unseen characters")
        assert not await page.run("document.querySelector('#answer .commands button')")


async def test_an_error_is_text_too(page: Page) -> None:
    async with Fake(explanation={"reasons": []}) as fake:
        await page.open(fake.url)
        await page.says("#link", "Live")
        await page.run(
            "window.fetch = async () => new Response(JSON.stringify({error: '<img src=x onerror=pwned=1>'}), {status: 400})"
        )
        await page.run("at('ask-name').value = 'x', at('ask').requestSubmit()")
        await page.says("#answer .trouble", MARKUP)
        assert not await page.run(FOUND)


async def test_the_policy_would_stop_what_the_script_let_through(browser: Path) -> None:
    async with Fake() as fake, tab(browser) as page:
        await page.open(fake.url)
        with pytest.raises(AssertionError, match="TrustedHTML"):
            await page.run(f"document.body.innerHTML = {MARKUP!r}")
        with pytest.raises(AssertionError, match="TrustedScript"):
            await page.run("document.body.setAttribute('onclick', 'window.pwned = 1')")
        await page.run("document.body.setAttribute('style', 'color: red')")
        assert "255, 0, 0" not in await page.run("getComputedStyle(document.body).color")
        assert not await page.run("fetch('https://192.0.2.1/').then(() => true, () => false)")
        troubles = " ".join(await page.troubles())
        for directive in ("require-trusted-types-for", "style-src", "connect-src"):
            assert directive in troubles
