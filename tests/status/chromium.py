"""Debian's Chromium, driven by its own DevTools protocol: what a page test sees, presses and measures.

The protocol is JSON over a websocket, which aiohttp speaks already; playwright would bring a Node
runtime of 130 MB for the same few calls.
"""

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]  # Any: the protocol's messages

FLAGS = (
    "--headless=new", "--remote-debugging-port=0", "--no-first-run", "--no-default-browser-check",
    "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
    "--mute-audio", "--hide-scrollbars", "about:blank",
)  # fmt: skip
WATCH = """
window.seen = {violations: [], tasks: [], shifts: 0};
addEventListener("securitypolicyviolation", event =>
  seen.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
new PerformanceObserver(list => list.getEntries().forEach(task => seen.tasks.push(task.duration)))
  .observe({type: "longtask", buffered: true});
"""
SPOT = """(async () => {
  const spot = document.querySelector(SELECTOR);
  const middle = () => {
    spot.scrollIntoView({block: "center", behavior: "instant"});
    const box = spot.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const frame = () => new Promise(requestAnimationFrame), before = middle();
  await frame();
  await frame();
  const after = middle();
  const isThere = spot.contains(document.elementFromPoint(...after));
  return isThere && String(before) === String(after) ? after : null;
})()"""
"""Where an element's middle is, once the page has come to rest and nothing covers it."""
KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " "), "Escape": (27, ""), "Backspace": (8, ""),
    "ArrowDown": (40, ""),
}  # fmt: skip


def where() -> str | None:
    """Chromium's path, or None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """A browser of its own, whose profile is this folder."""
    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with (folder / "chromium.log").open("wb") as log:
        return subprocess.Popen(
            [str(where()), f"--user-data-dir={folder}", *sandbox, *FLAGS], stdout=log, stderr=log
        )


class Wire:
    """The websocket to the browser: calls and their answers, and events by session."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: dict[str, list[Json]] = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}

    async def read(self) -> None:
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            else:
                self.heard.setdefault(said.get("sessionId", ""), []).append(said)

    async def call(self, method: str, session: str = "", **params: Any) -> Json:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        call = {"id": number, "method": method, "params": params}
        await self.socket.send_json(call | ({"sessionId": session} if session else {}))
        said = await asyncio.wait_for(answer, 60)
        assert "error" not in said, f"{method}: {said['error']}"
        return said["result"]


class Page:
    """A tab."""

    def __init__(self, wire: Wire, session: str) -> None:
        self._wire = wire
        self._session = session

    async def call(self, method: str, **params: Any) -> Json:
        return await self._wire.call(method, self._session, **params)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """What an expression, or the promise it is, comes to."""
        said = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    async def until(self, claim: str, within_s: float = 40) -> Any:
        """Waits for an expression to become true."""
        end = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                seen = f"(async value => await value instanceof Node ? true : value)({claim})"
                if value := await self.run(seen):
                    return value
            except AssertionError:  # the page is being replaced, or lacks what is looked for
                pass
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"not so within {within_s} s: {claim}")
            await asyncio.sleep(0.01)

    async def text(self, selector: str) -> str:
        return await self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    async def says(self, selector: str, text: str, within_s: float = 40) -> None:
        """Waits until an element holds this text."""
        spot, words = json.dumps(selector), json.dumps(text)
        try:
            await self.until(
                f"document.querySelector({spot}).textContent.includes({words})", within_s
            )
        except AssertionError:
            raise AssertionError(
                f"{selector} says {await self.text(selector)!r}, not {text!r}"
            ) from None

    async def click(self, selector: str) -> None:
        """With the mouse, in the element's middle."""
        x, y = await self.until(SPOT.replace("SELECTOR", json.dumps(selector)))
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def press(self, key: str, *, shift: bool = False) -> None:
        code, text = KEYS[key]
        of_key = {
            "key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code,
            "modifiers": 8 if shift else 0,
        }  # fmt: skip
        await self.call("Input.dispatchKeyEvent", type="keyDown", **of_key, text=text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **of_key)

    async def type(self, text: str) -> None:
        """Into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """The reader's screen and wishes."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=width < 600,
        )  # fmt: skip
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def shot(self, path: Path, **clip: float) -> None:
        """A picture of what is seen, or of a part: x, y, width, height."""
        part: Json = {"clip": clip | {"scale": 1}} if clip else {}
        said = await self.call("Page.captureScreenshot", format="png", **part)
        path.write_bytes(base64.b64decode(said["data"]))

    async def troubles(self) -> list[str]:
        """What broke the policy, threw, or was complained of; that a server is gone is not counted."""
        found = list(await self.run("seen.violations"))
        for said in self._wire.heard.get(self._session, []):
            params = said["params"]
            if said["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            elif said["method"] == "Runtime.consoleAPICalled" and params["type"] in {
                "error",
                "warning",
            }:
                found.append(str(params["args"]))
            elif said["method"] == "Log.entryAdded" and params["entry"]["source"] != "network":
                found.append(params["entry"]["text"])
        return found


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Page]:
    """A new tab with storage of its own, in the browser whose profile is this folder."""
    async with asyncio.timeout(60):
        while not (file := folder / "DevToolsActivePort").exists() or "\n" not in file.read_text():
            await asyncio.sleep(0.02)
    port, path = file.read_text().split()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
    ):
        wire = Wire(socket)
        reading = asyncio.create_task(wire.read())
        context = (await wire.call("Target.createBrowserContext"))["browserContextId"]
        target = await wire.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await wire.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        await wire.call(
            "Browser.grantPermissions", browserContextId=context, permissions=["clipboardReadWrite"]
        )
        page = Page(wire, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await page.call(f"{domain}.enable")
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        await page.look()
        yield page
        await wire.call("Target.disposeBrowserContext", browserContextId=context)
        reading.cancel()
