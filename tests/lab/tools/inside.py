"""Runs in namespaces of its own: a DNS and an HTTP server on addresses of the lab, and commands.

Each line of standard input is a command with the /etc/resolv.conf that it sees, as JSON; each line
of standard output says what it printed and its exit code.
"""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.clients.inside import raise_loopback
from tests.lab.tools.naming import naming
from tests.lab.tools.web import Pages

FILES = {
    "resolv.conf": "",
    "nsswitch.conf": "hosts: files dns\n",
    "hosts": "127.0.0.1\tlocalhost\n127.244.1.9\tmypod.sub.default.svc.cluster.local\tmypod\n"
    "127.244.7.7\tWritten written-too # a comment\n",
}


def cover(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)


def run(environ: dict[str, str], argv: list[str]) -> dict[str, object]:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env=environ,
        check=False,
    )  # fmt: skip
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def main(folder: Path) -> None:
    raise_loopback()
    cover(folder)
    web = ThreadingHTTPServer(("127.96.1.2", 80), Pages)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    environ = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "HOME": "/nonexistent"}
    with naming("127.96.0.10", 53).serving(), ThreadPoolExecutor() as pool:
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            (folder / "resolv.conf").write_text(asked["resolv"])
            print(json.dumps(list(pool.map(partial(run, environ), asked["argvs"]))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
