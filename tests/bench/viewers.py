"""`python -m tests.bench.viewers`: what twenty viewers of the status page cost a busy server.

Hot names at 20,000 questions a second from a process of its own, with nobody watching and with
twenty that follow `/events`; alternately, for what else runs on the machine costs more than they do.
"""

import http.client
import multiprocessing
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from tests.bench.hot import Hot
from tests.running import Running, free_port

VIEWERS = 20
RATE = 20_000
SECONDS = 5.0
ROUNDS = 3
NAMES = 50


def main() -> int:
    """Prints a line a round; 1 when each with viewers lost more than one without did."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        hosts = "\n".join(f"10.0.0.{at} h{at}.example" for at in range(NAMES))
        corefile = Path(folder, "Corefile")
        corefile.write_text(
            f". {{\n bind 127.0.0.1\n status 127.0.0.1:{port}\n hosts {{\n{hosts}\n }}\n}}\n"
        )
        with Running(corefile) as running:
            running.wait()
            lost = [measure(running, port, count) for _ in range(ROUNDS) for count in (0, VIEWERS)]
    return int(min(lost[1::2]) > min(lost[::2]))


def measure(running: Running, port: int, count: int) -> int:
    """One round; gives how many questions were lost."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    viewers = context.Process(target=_view, args=(port, count, theirs), daemon=True)
    viewers.start()
    ours.recv()
    before, began = cpu_s(running), time.monotonic()
    with Hot(running.port, [f"h{at}.example" for at in range(NAMES)], RATE) as hot:
        time.sleep(SECONDS)
    cpu = (cpu_s(running) - before) / (time.monotonic() - began) * 100
    ours.send(None)
    heard = ours.recv()
    viewers.join()
    print(
        f"{count:2d} viewers  {hot.lost} of {len(hot.times) + hot.lost} lost"
        f"  p50 {hot.percentile(50):.2f} ms  p99 {hot.percentile(99):.2f} ms"
        f"  CPU {cpu:.1f} %  {heard} messages",
        flush=True,
    )
    return hot.lost


def cpu_s(running: Running) -> float:
    """CPU time of the server so far, all threads."""
    tasks = Path(f"/proc/{running.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _view(port: int, count: int, control: Connection) -> None:
    heard = [0] * count
    for at in range(count):
        Thread(target=_follow, args=(port, heard, at), daemon=True).start()
    time.sleep(1)
    control.send(None)
    control.recv()
    control.send(sum(heard))


def _follow(port: int, heard: list[int], at: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError):
        connection.request("GET", "/events")
        reply = connection.getresponse()
        while line := reply.readline():
            heard[at] += line.startswith(b"data: ")


if __name__ == "__main__":
    sys.exit(main())
