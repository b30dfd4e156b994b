"""`curl [OPTION …] URL …` for http and https, with curl's words and exit codes."""

import http.client
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO
from urllib.parse import urljoin

from kdns.lab.tools import pod as pods
from kdns.lab.tools.curl_words import FLAGS, LONG, VALUES, request_of, written
from kdns.lab.tools.fetch import PORTS, Exchange, FetchError, Request, address_of, words_of
from kdns.lab.tools.options import Options, UsageError, read
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain, plain

_MOST_MOVES = 50
_MOVED = {301, 302, 303, 307, 308}
_PIECE = 1 << 16


class CurlError(Exception):
    """An exit code, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def main(words: Sequence[str]) -> int:
    """Exit codes are curl's: 6 no such host, 7 no connection, 28 too late, 22 an HTTP error …"""
    pod = pods.here()
    try:
        options = read(words, flags=FLAGS, values=VALUES, long=LONG)
    except UsageError as error:
        complain(f"curl: {error}")
        return 2
    if not options.words:
        complain("curl: no URL specified")
        return 2
    code = 0
    for text in options.words:
        try:
            _Run(pod, options).fetch(text)
        except CurlError as error:
            code = error.code
            if "s" not in options.flags or "S" in options.flags:
                complain(f"curl: ({code}) {error}")
    return code


@dataclass(slots=True)
class _Run:
    """One URL."""

    pod: Pod
    options: Options

    def fetch(self, text: str) -> None:
        """Fetches and prints it; raises CurlError."""
        request = self._request(text)
        for _ in range(_MOST_MOVES):
            exchange = Exchange(self.pod, request, self._note)
            try:
                with self._reply(exchange) as reply:
                    moved = reply.headers.get("Location") if reply.status in _MOVED else None
                    if not (moved and "L" in self.options.flags):
                        self._show(exchange, reply)
                        return
            except FetchError as error:
                raise _refusal(request, error) from None
            request = self._moved(request, reply.status, moved)
        raise CurlError(47, f"Maximum ({_MOST_MOVES}) redirects followed")

    def _request(self, text: str) -> Request:
        try:
            url = address_of(text)
        except ValueError as error:
            raise CurlError(3, f"URL using bad/illegal format or missing URL: {error}") from None
        if url.scheme not in PORTS:
            raise CurlError(1, f'Protocol "{url.scheme}" not supported')
        try:
            return request_of(self.options, url, self.pod)
        except UsageError as error:
            raise CurlError(2, str(error)) from None
        except OSError as error:
            raise CurlError(26, f"Failed to open {error.filename}") from None

    def _moved(self, request: Request, status: int, to: str) -> Request:
        url = address_of(urljoin(request.url.geturl(), to))
        self._note(f"Issue another request to this URL: '{url.geturl()}'")
        headers = {**request.headers, "Host": url.netloc}
        if status < 307 and request.method == "POST":
            for name in ("Content-Length", "Content-Type"):
                headers.pop(name, None)
            return replace(request, url=url, headers=headers, method="GET", body=None)
        return replace(request, url=url, headers=headers)

    def _note(self, text: str) -> None:
        if "v" in self.options.flags:
            complain(f"* {text}")

    def _reply(self, exchange: Exchange) -> http.client.HTTPResponse:
        reply = exchange.reply()
        if "v" in self.options.flags:
            request = exchange.request
            lines = [f"{request.method} {request.target} HTTP/1.1"]
            lines += [f"{name}: {text}" for name, text in request.headers.items()]
            for line in (*lines, ""):
                complain(f"> {line}")
            for line in _head(reply):
                complain(f"< {line}")
        return reply

    def _show(self, exchange: Exchange, reply: http.client.HTTPResponse) -> None:
        flags = self.options.flags
        is_refused = "f" in flags and reply.status >= 400
        size = 0 if is_refused else self._write(exchange, reply)
        if form := self.options.last("w"):
            sys.stdout.flush()
            print(written(form, exchange, reply, size), end="")
        if is_refused:
            raise CurlError(22, f"The requested URL returned error: {reply.status}")
        self._note(f"Connection #0 to host {exchange.request.host} left intact")

    def _write(self, exchange: Exchange, reply: http.client.HTTPResponse) -> int:
        flags, size = self.options.flags, 0
        with self._opened(exchange.request) as out:
            if "i" in flags or "I" in flags:
                out.write("".join(f"{line}\r\n" for line in _head(reply)).encode())
            try:
                while piece := reply.read1(_PIECE):
                    size += len(piece)
                    out.write(piece)
                    out.flush()
            except (OSError, http.client.HTTPException) as error:
                raise FetchError("body", error, exchange.took_s) from None
        return size

    def _opened(self, request: Request) -> BinaryIO:
        name = self.options.last("o")
        if "O" in self.options.flags:
            name = request.url.path.rpartition("/")[2]
        if not name or name == "-":
            return open(sys.stdout.fileno(), "wb", closefd=False)
        try:
            return open(self.pod.path(name), "wb")
        except OSError as error:
            raise CurlError(23, f"Failed to open the file {name}: {error.strerror}") from None


def _head(reply: http.client.HTTPResponse) -> list[str]:
    version = "1.1" if reply.version == 11 else "1.0"
    lines = [f"HTTP/{version} {reply.status} {reply.reason}"]
    return [*(plain(line) for line in lines),
            *(plain(f"{name}: {text}") for name, text in reply.getheaders()), ""]  # fmt: skip


def _refusal(request: Request, error: FetchError) -> CurlError:
    """The exit code and words for what went wrong."""
    because, milliseconds = error.because, round(error.took_s * 1000)
    if isinstance(because, TimeoutError):
        what = {"resolve": "Resolving", "connect": "Connection"}.get(error.stage, "Operation")
        return CurlError(28, f"{what} timed out after {milliseconds} milliseconds")
    if error.stage == "resolve":
        return CurlError(6, f"Could not resolve host: {request.host}")
    if error.stage == "connect":
        where = f"{request.host} port {request.port} after {milliseconds} ms"
        return CurlError(7, f"Failed to connect to {where}: Couldn't connect to server")
    if isinstance(because, ssl.SSLCertVerificationError):
        return CurlError(60, f"SSL certificate problem: {because.verify_message}")
    if error.stage == "tls":
        return CurlError(35, f"TLS connect error: {words_of(because)}")
    if isinstance(because, http.client.RemoteDisconnected):
        return CurlError(52, "Empty reply from server")
    if isinstance(because, http.client.BadStatusLine):
        return CurlError(1, "Received HTTP/0.9 when not allowed")
    if isinstance(because, http.client.IncompleteRead):
        return CurlError(18, "transfer closed with outstanding read data remaining")
    return CurlError(56, f"Recv failure: {words_of(because)}")
