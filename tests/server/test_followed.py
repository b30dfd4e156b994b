"""HTTP addresses that are not for everybody, and endpoints that are followed as they change."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kdns.plugins.base import Endpoint, Guard, HttpReply
from kdns.server import http
from kdns.server.http import HttpListener, Offer
from kdns.server.workers.adding import added

TOKEN = "0123456789abcdef"
POLICY = "default-src 'none'"


class Told:
    """Something that changes: each `say` is a number more."""

    def __init__(self) -> None:
        self.number = 0
        self.afters: list[str] = []

    async def serve(self, query: Mapping[str, str]) -> HttpReply:
        self.afters.append(query.get("after", ""))
        return HttpReply(200, b"{}", "application/json", mark=str(self.number))


class Site:
    """A guarded listener with a page and something to follow."""

    def __init__(self, token: Path | None = None) -> None:
        self.told = Told()
        guard = Guard(POLICY, str(token or ""), ("/",))
        self.routes = {
            path: Endpoint("127.0.0.1", 0, path, self.told.serve, guard=guard, follows_s=follows_s)
            for path, follows_s in (("/", 0.0), ("/status", 0.0), ("/events", 0.01))
        }
        self.listener = HttpListener(("127.0.0.1", 0), Offer("status", self.routes))

    async def __aenter__(self) -> "Site":
        await self.listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop(1)

    async def open(
        self, path: str, *headers: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        lines = [f"GET {path} HTTP/1.1", *(headers or (f"Host: 127.0.0.1:{self.listener.port}",))]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return reader, writer

    async def status(self, path: str, *headers: str) -> int:
        reader, writer = await self.open(path, *headers)
        try:
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Host: 127.0.0.1:80",), 200),
        (("Host: [::1]:80",), 200),
        (("Host: localhost",), 200),
        (("Host: evil.example",), 403),
        (("Host: 127.0.0.1.evil.example",), 403),
        (("Host: [bad",), 403),
        (("X: no host at all",), 403),
        (("Host: 127.0.0.1:80", "Origin: http://127.0.0.1:80"), 200),
        (("Host: 127.0.0.1:80", "Origin: http://evil.example"), 403),
        (("Host: 127.0.0.1:80", "Origin: null"), 403),
        (("Host: 127.0.0.1:80", "Sec-Fetch-Site: same-origin"), 200),
        (("Host: 127.0.0.1:80", "Sec-Fetch-Site: none"), 200),
        (("Host: 127.0.0.1:80", "Sec-Fetch-Site: cross-site"), 403),
        (("Host: 127.0.0.1:80", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"), 403),
        (("Host: 127.0.0.1:80", "Origin: http://["), 403),
        (("Host: 0.0.0.0:80",), 403),
        (("Host: evil.example@127.0.0.1",), 403),
        (("Host: 127.0.0.1", "Host: evil.example"), 400),
        (("Host: 127.0.0.1", "User-Agent: Mozilla/5.0 (one that tells no Fetch Metadata)"), 403),
        (("Host: 127.0.0.1", "User-Agent: Mozilla/5.0", "X-Kdns: page"), 200),
        (("Host: 127.0.0.1", "User-Agent: Mozilla/5.0", "Sec-Fetch-Site: same-origin"), 200),
    ],
)
async def test_other_sites_pages_read_nothing(headers: tuple[str, ...], status: int) -> None:
    async with Site() as site:
        assert await site.status("/status", *headers) == status
        assert await site.status("/events", *headers) == status


async def test_a_link_may_lead_to_the_page() -> None:
    fields = ("Host: 127.0.0.1", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    async with Site() as site:
        assert await site.status("/", *fields) == 200


async def test_a_token_opens_all_but_the_page_that_asks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    async with Site(file) as site:
        assert await site.status("/", "Host: kdns.example") == 200
        for given, status in (("", 401), ("wrong", 401), (TOKEN + "x", 401), (TOKEN, 200)):
            fields = ("Host: kdns.example", f"Authorization: Bearer {given}")
            assert await site.status("/status", *fields) == status
            assert await site.status("/events", *fields) == status
        assert await site.status("/status", "Host: x", f"Authorization: Basic {TOKEN}") == 401
        file.write_text("another-token-of-ours")
        assert await site.status("/status", "Host: x", f"Authorization: Bearer {TOKEN}") == 401
        file.unlink()
        assert await site.status("/status", "Host: x", f"Authorization: Bearer {TOKEN}") == 503


async def test_a_file_that_is_just_being_written_opens_nothing(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    async with Site(file) as site:
        host = f"Host: 127.0.0.1:{site.listener.port}"
        for given in ("Authorization: Bearer", "Authorization: Bearer ", "X: y"):
            assert await site.status("/status", host, given) == 503


async def test_a_token_cut_short_a_pipe_and_a_file_of_anything_open_nothing(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with Site(file) as site, asyncio.timeout(40):
        file.write_text(TOKEN[:-1])
        fields = ("Host: x", f"Authorization: Bearer {TOKEN[:-1]}")
        assert await site.status("/status", *fields) == 503
        with file.open("wb") as large:
            large.truncate(1 << 33)
        assert await site.status("/status", *fields) == 503
        file.unlink()
        os.mkfifo(file)
        assert await site.status("/status", *fields) == 503


async def test_a_guarded_reply_may_not_be_framed_kept_or_read_from_elsewhere() -> None:
    async with Site() as site:
        for path in ("/status", "/events", "/nothing"):
            reader, writer = await site.open(path)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            writer.close()
            assert f"Content-Security-Policy: {POLICY}\r\n" in head
            assert "X-Content-Type-Options: nosniff\r\n" in head
            assert "Cache-Control: no-store\r\n" in head


async def events(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    return [await reader.readuntil(b"\n\n") for _ in range(count)]


async def test_a_follower_hears_what_is_new_and_nothing_twice() -> None:
    async with Site() as site, asyncio.timeout(40):
        reader, writer = await site.open("/events")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Type: text/event-stream" in head
        assert b"Content-Length" not in head
        assert await events(reader, 1) == [b"id: 0\ndata: {}\n\n"]
        site.told.number = 7
        assert await events(reader, 1) == [b"id: 7\ndata: {}\n\n"]
        site.told.afters.clear()
        while len(site.told.afters) < 3:
            await asyncio.sleep(0.01)
        assert set(site.told.afters) == {"7"}
        writer.close()
        while site.listener.followers:
            await asyncio.sleep(0.01)


async def test_a_follower_goes_on_behind_what_it_heard_last() -> None:
    async with Site() as site, asyncio.timeout(40):
        site.told.number = 9
        reader, writer = await site.open("/events", "Host: localhost", "Last-Event-ID: 5")
        await reader.readuntil(b"\r\n\r\n")
        assert await events(reader, 1) == [b"id: 9\ndata: {}\n\n"]
        assert site.told.afters[0] == "5"
        writer.close()


async def test_followers_are_bounded_and_others_still_served() -> None:
    async with Site() as site, asyncio.timeout(40):
        writers = []
        for _ in range(http.MAX_FOLLOWERS):
            reader, writer = await site.open("/events")
            assert b" 200 " in await reader.readline()
            writers.append(writer)
        assert await site.status("/events") == 503
        assert await site.status("/status") == 200
        writers.pop().close()
        while await site.status("/events") != 200:
            await asyncio.sleep(0.01)
        for writer in writers:
            writer.close()


async def test_a_new_guard_lets_no_follower_stay_that_it_has_not_seen(tmp_path: Path) -> None:
    async with Site() as site, asyncio.timeout(40):
        reader, writer = await site.open("/events")
        await reader.readuntil(b"\r\n\r\n")
        guard = Guard(POLICY, str(tmp_path / "token"))
        site.listener.routes = {
            path: replace(one, guard=guard) for path, one in site.routes.items()
        }
        await reader.read()
        writer.close()


async def test_followers_do_not_hold_up_the_stop_or_a_reload() -> None:
    async with Site() as site, asyncio.timeout(40):
        reader, writer = await site.open("/events")
        await reader.readuntil(b"\r\n\r\n")
        site.listener.routes = {}
        await reader.read()
        writer.close()
    async with Site() as site:
        reader, writer = await site.open("/events")
        await reader.readuntil(b"\r\n\r\n")
        began = asyncio.get_running_loop().time()
        await site.listener.stop(60)
        assert asyncio.get_running_loop().time() - began < 30
        writer.close()


def test_what_workers_counted_is_added_up_and_the_rest_is_the_leads() -> None:
    one = {
        "version": "1",
        "totals": {"queries": 3, "rcodes": {"NOERROR": 3}, "names": [["a.", 2], ["b.", 1]],
                   "latency": [1, 2]},
        "status": {"totals": {"queries": 1}, "age": 5},
    }  # fmt: skip
    two = {
        "version": "2",
        "totals": {"queries": 4, "rcodes": {"NXDOMAIN": 4}, "names": [["b.", 5]],
                   "latency": [1, 0, 9]},
        "status": {"totals": {"queries": 1}, "age": 6},
    }  # fmt: skip
    assert json.loads(added([json.dumps(each).encode() for each in (one, two)])) == {
        "version": "1",
        "totals": {"queries": 7, "rcodes": {"NOERROR": 3, "NXDOMAIN": 4},
                   "names": [["b.", 6], ["a.", 2]], "latency": [2, 2, 9]},
        "status": {"totals": {"queries": 2}, "age": 5},
    }  # fmt: skip
