"""Runs in a pod, or beside the lab: connects to a service again and again, and writes what came of it.

    python -m tests.play.knocks WAY NAME PORT [THREADS]    until its standard input ends

WAY is http (a new connection each time), udp (a new socket each time), or dns (the name is looked up).
Each line written is JSON: when it began and ended (the monotonic clock), which pod answered, or what
went wrong. Where pods see no files of their own (loopback), names are looked up as kdns's tools do.
"""

import json
import re
import socket
import sys
import threading
import time

from kdns.lab.tools import lookup
from kdns.lab.tools.pod import Pod, here

ANSWERED = re.compile(r"Hello from (\S+)")
WITHIN_S = 4.0
PAUSE_S = 0.002


def addresses(pod: Pod, name: str) -> list[str]:
    """What a name leads to."""
    if pod.address:
        return list(lookup.find(pod, name, "A").addresses)
    found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


def fetched(pod: Pod, name: str, port: int) -> str:
    """What a new connection is told."""
    place = pod.place(addresses(pod, name)[0], port)
    with pod.socket(place, socket.SOCK_STREAM) as one:
        one.settimeout(WITHIN_S)
        one.connect(place)
        one.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        text = b""
        while piece := one.recv(65536):
            text += piece
    return text.decode()


def sent(pod: Pod, name: str, port: int) -> str:
    """What a datagram from a new socket is answered; a lost one is sent once again."""
    place = pod.place(addresses(pod, name)[0], port)
    with pod.socket(place, socket.SOCK_DGRAM) as one:
        one.connect(place)
        for within_s in (0.5, WITHIN_S):
            one.settimeout(within_s)
            try:
                one.send(b"hello")
                return one.recv(65536).decode()
            except (TimeoutError, ConnectionRefusedError):
                continue
    raise TimeoutError("no answer to two datagrams")


def looked_up(pod: Pod, name: str, port: int) -> str:
    """The addresses, in the shape of an answer."""
    del port
    return f"Hello from {','.join(sorted(addresses(pod, name)))}"


WAYS = {"http": fetched, "udp": sent, "dns": looked_up}


def main(way: str, name: str, port: str, threads: str = "3") -> None:
    """Knocks with several threads."""
    pod, act, ended, lock = here(), WAYS[way], threading.Event(), threading.Lock()

    def loop() -> None:
        while not ended.is_set():
            began, who, why = time.monotonic(), "", ""
            try:
                text = act(pod, name, int(port))
                found = ANSWERED.search(text)
                who, why = (found[1], "") if found else ("", f"said {text[:80]!r}")
            except (OSError, LookupError) as error:
                why = f"{type(error).__name__}: {error}"
            line = json.dumps([began, time.monotonic(), who, why])
            with lock:
                print(line, flush=True)
            time.sleep(PAUSE_S)

    running = [threading.Thread(target=loop) for _ in range(int(threads))]
    for one in running:
        one.start()
    sys.stdin.read()
    ended.set()
    for one in running:
        one.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
