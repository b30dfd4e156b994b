"""The web server of pods, on the wire."""

import asyncio
import shutil

import pytest

from kdns.lab.kubelet.programs import serving
from kdns.lab.storage import Deletion
from tests.lab.kubelet.scene import Scene


async def test_it_says_who_answered_and_who_asked(scene: Scene) -> None:
    scene.pod("web")
    await scene.ready()
    code, text = await scene.fetch(path="/shop?a=1")
    assert code == 200
    assert text.startswith(f"Hello from web ({scene.address()})\n")
    assert f"Asked by:  {scene.client}\n" in text
    assert "Request:   GET /shop?a=1\n" in text
    assert f"Node:      {scene.get()['spec']['nodeName']}\n" in text
    assert "Host: web\n" in text
    await scene.until(scene.log)
    line = scene.log()
    assert line.startswith(f"{scene.client} - - [")
    assert line.endswith(f'"GET /shop?a=1 HTTP/1.1" 200 {len(text)} "-" "t"')


PATHS = [
    ("/healthz", 200, "ok\n"), ("/ready", 200, "ok\n"), ("/status/503", 503, "503\n"),
    ("/status/999", 400, "no such code\n"), ("/broken", 500, "/broken fails"),
]  # fmt: skip


async def test_paths_with_a_meaning(scene: Scene) -> None:
    scene.pod("web", annotations={"lab.kdns.io/fails": "/broken, /other"})
    await scene.ready()
    for path, code, text in PATHS:
        found, said = await scene.fetch(path=path)
        assert found == code
        assert said.startswith(text)


async def test_an_annotation_counts_at_any_time(scene: Scene) -> None:
    scene.pod("web", annotations={"lab.kdns.io/answers": "one"})
    await scene.ready()
    assert await scene.fetch() == (200, "one\n")
    scene.annotate(answers="two")
    assert await scene.fetch() == (200, "two\n")


async def test_http_echo_says_its_text_on_its_port(scene: Scene) -> None:
    scene.pod("web", image="docker.example/hashicorp/http-echo:1.0@sha256:00", args=["-text=hey"])
    await scene.ready()
    assert await scene.fetch(5678) == (200, "hey\n")


async def test_one_of_which_nothing_is_known_is_found_where_most_are(scene: Scene) -> None:
    scene.pod("web", image="shop/web:2")
    containers = [{"name": name, "image": f"shop/{name}"} for name in ("one", "other")]
    scene.pod("pair", containers=containers)
    await scene.ready("web")
    await scene.ready("pair")
    for port in (80, 8080):
        assert (await scene.fetch(port))[0] == 200
        with pytest.raises(ConnectionRefusedError):
            await scene.fetch(port, name="pair")


async def test_every_declared_port_is_served_and_no_other(scene: Scene) -> None:
    ports = [{"name": "a", "containerPort": 8080}, {"containerPort": 9000, "protocol": "TCP"}]
    scene.pod("web", image="shop/web:2", ports=ports)
    await scene.ready()
    for port in (8080, 9000):
        assert (await scene.fetch(port))[0] == 200
    with pytest.raises(ConnectionRefusedError):
        await scene.connect(80)


PIPELINED = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
    b"HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n"
    b"PUT /c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour"
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)


async def test_requests_may_follow_each_other_at_once(scene: Scene) -> None:
    scene.pod("web")
    await scene.ready()
    answer = (await scene.say(80, PIPELINED)).decode()
    assert answer.count("HTTP/1.1 200 OK\r\n") == 4
    assert "Request:   POST /a" in answer
    assert "\nabcde\n" in answer
    assert "HEAD /b" not in answer  # has no body
    assert "\nfour\n" in answer
    assert answer.endswith("\r\n\r\nok\n")


REFUSED = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
    (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n", 431),
]


async def test_what_could_be_read_in_two_ways_is_refused(scene: Scene) -> None:
    scene.pod("web")
    await scene.ready()
    follower = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    for request, code in REFUSED:
        answer = await scene.say(80, request + follower)
        assert answer.startswith(b"HTTP/1.1 %d " % code), request
        assert answer.count(b"Server: kdns-lab") == 1, request


async def test_a_clients_words_make_no_second_line_of_the_log(scene: Scene) -> None:
    scene.pod("web")
    await scene.ready()
    await scene.say(80, b'GET /"\x1b[2J HTTP/1.0\r\nUser-Agent: a"\x07b\r\n\r\n')
    await scene.until(scene.log)
    assert '"GET /\\x22\\x1b[2J HTTP/1.0" 200' in scene.log()
    assert scene.log().endswith('"a\\x22\\x07b"')


async def test_a_connection_that_began_ends_in_the_grace_period(scene: Scene) -> None:
    scene.pod("web", annotations={"lab.kdns.io/stop-after": "60s"})
    scene.service()
    await scene.ready()
    await scene.until(lambda: scene.endpoints() == [scene.address()])
    reader, writer = await asyncio.open_connection(sock=await scene.connect(80))
    scene.delete()
    await scene.until(lambda: not scene.endpoints())
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert (await scene.fetch())[0] == 200
    scene.storage.delete(scene.pods, "default", "web", Deletion(grace_s=0))
    await scene.until(lambda: not scene.ground.listeners.open)
    writer.close()


async def test_a_pod_deleted_by_force_comes_to_the_end_of_its_sentence(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_REST_S", 30.0)  # whoever is slow here is this test
    scene.pod("web")
    await scene.ready()
    reader, writer = await asyncio.open_connection(sock=await scene.connect(80))
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    scene.storage.delete(scene.pods, "default", "web", Deletion(grace_s=0))
    assert not scene.storage.find(scene.pods, "default", "web")
    await asyncio.sleep(0.1)  # whoever follows has learnt of it
    writer.write(b"Host: a\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await scene.until(lambda: not scene.ground.listeners.open)
    writer.close()


async def test_curl_reads_it(scene: Scene) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    scene.pod("web", ports=[{"containerPort": 8080}])
    await scene.ready()
    url = f"http://{scene.address()}:8080/"
    words = ["curl", "-sS", "-d", "a=b", "--max-time", "30", url, url]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert said.count(b"Hello from web") == 2
