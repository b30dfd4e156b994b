"""`wget [-q] [-S] [-O FILE] [-T SECONDS] [--spider] URL`, with the words of BusyBox's."""

import http.client
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin

from kdns.lab.tools import pod as pods
from kdns.lab.tools.fetch import PORTS, Exchange, FetchError, Request, address_of, words_of
from kdns.lab.tools.options import Options, UsageError, read
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain

_LONG = {"quiet": "q", "server-response": "S", "output-document": "O", "timeout": "T",
         "user-agent": "U", "no-verbose": "q", "tries": "t"}  # fmt: skip
_MOST_MOVES = 5
_PIECE = 1 << 16


class WgetError(Exception):
    """Why there is nothing to save."""


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 1 for whatever went wrong."""
    pod = pods.here()
    try:
        options = read(
            words, flags={*"qSc", "spider", "no-check-certificate"},
            values={*"OTUt", "header", "post-data"}, long=_LONG,
        )  # fmt: skip
        run = _Run(pod, options)
        for text in options.words:
            run.fetch(text)
    except (UsageError, WgetError, ValueError) as error:
        complain(f"wget: {error}")
        return 1
    if not options.words:
        complain("wget: missing URL")
    return 0 if options.words else 1


@dataclass(slots=True)
class _Run:
    pod: Pod
    options: Options

    def fetch(self, text: str) -> None:
        """Saves what is there; raises WgetError."""
        for _ in range(_MOST_MOVES):
            request = self._request(text)
            try:
                reply = Exchange(self.pod, request, lambda _: None).reply()
            except FetchError as error:
                raise _refusal(request, error) from None
            with reply:
                moved = self._judge(reply)
                if not moved:
                    if "spider" not in self.options.flags:
                        self._save(request, reply)
                    return
            text = urljoin(request.url.geturl(), moved)
        raise WgetError("too many redirections")

    def _judge(self, reply: http.client.HTTPResponse) -> str:
        """Where to look instead, or nothing."""
        self._show(reply)
        if reply.status >= 400:
            raise WgetError(f"server returned error: HTTP/1.1 {reply.status} {reply.reason}")
        return reply.headers.get("Location", "") if reply.status // 100 == 3 else ""

    def _request(self, text: str) -> Request:
        url = address_of(text)
        if url.scheme not in PORTS:
            raise WgetError(f"not an http or ftp url: {text}")
        headers = {"Host": url.netloc, "User-Agent": self.options.last("U", "Wget"),
                   "Connection": "close"}  # fmt: skip
        for line in self.options.values.get("header", ()):
            name, _, value = line.partition(":")
            headers[name.strip()] = value.strip()
        body = None
        if "post-data" in self.options.values:
            body = self.options.last("post-data").encode()
            headers |= {"Content-Length": str(len(body)),
                        "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
        within_s = self.options.number("T")
        method = "POST" if body is not None else "GET"
        return Request(url, method, headers, body, total_s=within_s,
                       is_insecure="no-check-certificate" in self.options.flags)  # fmt: skip

    def _show(self, reply: http.client.HTTPResponse) -> None:
        if "S" in self.options.flags:
            complain(f"  HTTP/1.1 {reply.status} {reply.reason}")
            for name, text in reply.getheaders():
                complain(f"  {name}: {text}")

    def _save(self, request: Request, reply: http.client.HTTPResponse) -> None:
        name = self.options.last("O") or request.url.path.rpartition("/")[2] or "index.html"
        with self._opened(name) as out:
            try:
                while piece := reply.read1(_PIECE):
                    out.write(piece)
            except TimeoutError:
                raise WgetError("download timed out") from None
            except (OSError, http.client.HTTPException):
                raise WgetError("connection closed prematurely") from None

    def _opened(self, name: str) -> BinaryIO:
        if name == "-":
            return open(sys.stdout.fileno(), "wb", closefd=False)
        try:
            return open(self.pod.path(name), "wb")
        except OSError as error:
            raise WgetError(f"can't open '{name}': {error.strerror}") from None


def _refusal(request: Request, error: FetchError) -> WgetError:
    if isinstance(error.because, TimeoutError):
        return WgetError("download timed out")
    if error.stage == "resolve":
        return WgetError(f"bad address '{request.host}'")
    if error.stage == "connect":
        return WgetError(f"can't connect to remote host ({request.host}): "
                         f"{words_of(error.because)}")  # fmt: skip
    if isinstance(error.because, http.client.BadStatusLine):
        return WgetError("error getting response")
    return WgetError(words_of(error.because))
