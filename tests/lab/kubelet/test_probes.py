"""Probes: thresholds by a clock of the test's own, and each kind of attempt on the wire."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from kdns.lab.controllers.bodies import is_ready
from kdns.lab.errors import Obj
from kdns.lab.kubelet import probing
from kdns.lab.kubelet.probing import Gauge, Probing, Verdict
from tests.lab.kubelet.scene import Scene

GOOD, BAD = Verdict(is_good=True), Verdict(is_good=False, said="bad")


class Timed:
    """Probing by a clock that moves when somebody waits; verdicts by the second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, container: Obj) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.bad: dict[str, range] = {}
        self._waits: list[tuple[float, asyncio.Future[None]]] = []
        monkeypatch.setattr(probing, "sleep", self._sleep)
        monkeypatch.setattr(probing.time, "monotonic", lambda: self.now)
        self.probing = Probing(container, self._ask, lambda kind, _: self._tell(f"{kind} failed"))

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.now:g} {what}")

    async def _sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waits.append((self.now + seconds, future))
        await future

    async def _ask(self, probe: Obj) -> Verdict:
        return BAD if int(self.now) in self.bad.get(probe["kind"], ()) else GOOD

    async def run(self, until: float) -> list[str]:
        """What happened, and when."""
        self.probing.begin(
            lambda: self._tell(f"ready={self.probing.is_ready}"),
            lambda one: self._tell(f"kill {one}"),
        )
        while True:
            for _ in range(5):
                await asyncio.sleep(0)
            self._waits.sort(key=lambda one: one[0])
            if not self._waits or self._waits[0][0] > until:
                break
            self.now, future = self._waits.pop(0)
            future.set_result(None)
        self.probing.end()
        await asyncio.sleep(0)
        return self.told


def probe(kind: str, **words: int) -> Obj:
    return {"kind": kind, "periodSeconds": 10, **words}


async def test_readiness_goes_and_comes_by_its_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    one = probe("r", initialDelaySeconds=5, failureThreshold=2, successThreshold=2)
    timed = Timed(monkeypatch, {"readinessProbe": one})
    timed.bad["r"] = range(30, 50)
    assert await timed.run(80) == [
        "15 ready=True", "35 Readiness failed", "45 Readiness failed", "45 ready=False",
        "65 ready=True",
    ]  # fmt: skip


async def test_one_failure_between_passes_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, {"livenessProbe": probe("l", failureThreshold=2)})
    timed.bad["l"] = range(20, 21)
    assert await timed.run(60) == ["20 Liveness failed"]


async def test_liveness_kills_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, {"livenessProbe": probe("l", initialDelaySeconds=3)})
    timed.bad["l"] = range(100)
    assert await timed.run(100) == [
        "3 Liveness failed", "13 Liveness failed", "23 Liveness failed", "23 kill liveness",
    ]  # fmt: skip


async def test_others_wait_for_the_startup_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, {
        "startupProbe": probe("s", failureThreshold=5), "readinessProbe": probe("r"),
        "livenessProbe": probe("l", failureThreshold=1),
    })  # fmt: skip
    timed.bad = {"s": range(20), "l": range(20), "r": range(20)}
    assert not timed.probing.has_started
    told = await timed.run(40)
    assert told == ["0 Startup failed", "10 Startup failed", "20 ready=False", "20 ready=True"]
    assert timed.probing.has_started


async def test_a_startup_probe_that_never_passes_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, {"startupProbe": probe("s", failureThreshold=2)})
    timed.bad["s"] = range(100)
    assert await timed.run(100) == ["0 Startup failed", "10 Startup failed", "10 kill startup"]


def test_a_gauge_counts_in_rows() -> None:
    gauge = Gauge(2, 3, is_good=False)
    seen = []
    for one in "+-++--+---":
        gauge.note(is_good=one == "+")
        seen.append(gauge.is_good)
    assert seen == [False] * 3 + [True] * 6 + [False]


# On the wire


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes come more often than a manifest can say."""
    monkeypatch.setattr(probing, "_period_s", lambda _: 0.1)


def http(path: str = "/healthz", **words: object) -> Obj:
    return {
        "httpGet": {"path": path, "port": 80, **words},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }


@pytest.mark.usefixtures("hurry")
async def test_an_http_probe_that_fails_takes_the_pod_out_and_in_again(scene: Scene) -> None:
    scene.service()
    scene.pod("web", readinessProbe=http(), ports=[{"containerPort": 80, "name": "http"}])
    await scene.until(lambda: scene.endpoints() == [scene.address()])
    node = scene.get()["status"]["hostIP"]
    await scene.until(lambda: scene.log().startswith(f"{node} - - ["))
    assert '"kube-probe/1.34"' in scene.log()
    scene.annotate(fails="/healthz")
    await scene.until(lambda: not scene.endpoints())
    told = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")
    await scene.until(lambda: told in scene.events())
    ready = {one["type"]: one for one in scene.get()["status"]["conditions"]}["Ready"]
    assert ready["reason"] == "ContainersNotReady"
    assert ready["message"] == "containers with unready status: [main]"
    assert scene.container()["restartCount"] == 0
    scene.annotate(fails="")
    await scene.until(lambda: scene.endpoints() == [scene.address()])


@pytest.mark.usefixtures("hurry")
async def test_an_exec_probe_reads_what_is_in_the_pod(scene: Scene, tmp_path: Path) -> None:
    flag = tmp_path / "healthy"
    flag.touch()
    look = {"exec": {"command": ["cat", str(flag)]}, "periodSeconds": 1, "failureThreshold": 1}
    scene.pod("web", readinessProbe=look)
    await scene.ready()
    flag.unlink()
    await scene.until(lambda: not is_ready(scene.get()))
    said = dict(scene.events())["Unhealthy"]
    assert said.startswith("Readiness probe failed: ")
    assert "No such file or directory" in said


@pytest.mark.usefixtures("hurry")
async def test_an_exec_probe_has_its_time(scene: Scene) -> None:
    slow = {"exec": {"command": ["sleep", "60"]}, "periodSeconds": 1, "timeoutSeconds": 1}
    scene.pod("web", readinessProbe=slow)
    said = 'Readiness probe failed: command "sleep 60" timed out'
    await scene.until(lambda: ("Unhealthy", said) in scene.events())


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ({"tcpSocket": {"port": 81}}, "dial tcp {ip}:81: connect: connection refused"),
        ({"tcpSocket": {"port": "web"}}, 'the container has no port of the name "web"'),
        ({"httpGet": {"port": 81, "path": "/a b"}},
         'Get "http://{ip}:81/a%20b": dial tcp {ip}:81: connect: connection refused'),
        ({"httpGet": {"port": 80, "scheme": "HTTPS"}}, 'Get "https://{ip}:80/": '),
        ({"httpGet": {"port": 80, "path": "/status/404"}}, "HTTP probe failed with statuscode: 404"),
        ({"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b\r\nc: d"}]}},
         'Get "http://{ip}:80/": a header of the probe has more than one line'),
    ],
)  # fmt: skip
async def test_failures_are_told_in_the_kubelets_words(scene: Scene, way: Obj, said: str) -> None:
    scene.pod("web", readinessProbe={**way, "periodSeconds": 1})
    await scene.until(lambda: "Unhealthy" in dict(scene.events()))
    found = dict(scene.events())["Unhealthy"]
    assert found.startswith("Readiness probe failed: " + said.format(ip=scene.address()))


async def test_a_silent_server_is_not_waited_for(scene: Scene) -> None:
    look = {"httpGet": {"port": 3306}, "periodSeconds": 1, "timeoutSeconds": 1}
    scene.pod("web", image="redis", ports=[{"containerPort": 3306}],
              readinessProbe={**look, "httpGet": {"port": 3306}})  # fmt: skip
    await scene.until(lambda: "Unhealthy" in dict(scene.events()))


@pytest.mark.usefixtures("hurry")
async def test_https_is_asked_without_looking_at_the_certificate(scene: Scene) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readline()).startswith(b"GET /up HTTP/1.1")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    scene.pod("web", image="none", annotations={"lab.kdns.io/program": "none"},
              readinessProbe={"httpGet": {"port": 8443, "scheme": "HTTPS", "path": "/up"},
                              "periodSeconds": 1, "timeoutSeconds": 5})  # fmt: skip
    await scene.until(scene.address)
    uid = scene.get()["metadata"]["uid"]
    listener = scene.ground.listen(scene.address(), 8443, "TCP", at=uid)
    server = await asyncio.start_server(serve, sock=listener.socket.dup(), ssl=context)
    await scene.ready()
    server.close()
    await server.wait_closed()


async def test_what_is_not_run_counts_as_passed_and_is_told(scene: Scene) -> None:
    scene.pod("web", readinessProbe={"grpc": {"port": 1}})
    await scene.ready()
    assert "a gRPC probe is not run" in dict(scene.events())["ProbeWarning"]


@pytest.mark.parametrize("trusted", [True, False])
async def test_only_the_admin_may_name_another_host(scene: Scene, trusted: bool) -> None:
    scene.pod("other")
    await scene.ready("other")
    way = http("/probed", host=scene.address("other"))
    scene.pod("web", trusted=trusted, readinessProbe=way)
    await scene.ready()
    assert ("/probed" in scene.log("other")) is trusted
    assert ("ProbeWarning" in dict(scene.events())) is not trusted


async def test_nobody_may_name_a_host_outside_the_lab(scene: Scene) -> None:
    scene.pod("web", readinessProbe=http("/probed", host="127.0.0.1"))
    await scene.ready()
    assert "/probed" in scene.log()
    assert "is not asked" in dict(scene.events())["ProbeWarning"]
