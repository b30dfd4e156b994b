"""curl's command line becomes a request, and its -w format a line about the reply."""

import http.client
import re
import sys
from urllib.parse import SplitResult

from kdns.lab.tools.fetch import Exchange, Request
from kdns.lab.tools.options import Options, UsageError
from kdns.lab.tools.pod import Pod

AGENT = "curl/8.0 (kdns)"
FLAGS = {*"sSiIvkfLOg46N#"}
VALUES = {*"omHXdwAu", "connect-timeout", "resolve", "cacert", "max-redirs", "retry", "json"}
LONG = {
    "silent": "s", "show-error": "S", "include": "i", "head": "I", "verbose": "v",
    "insecure": "k", "fail": "f", "location": "L", "remote-name": "O", "globoff": "g",
    "output": "o", "max-time": "m", "header": "H", "request": "X", "data": "d", "data-raw": "d",
    "data-binary": "d", "write-out": "w", "user-agent": "A", "ipv4": "4", "ipv6": "6",
    "no-buffer": "N", "progress-bar": "#", "user": "u",
}  # fmt: skip
_ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\\\": "\\"}


def request_of(options: Options, url: SplitResult, pod: Pod) -> Request:
    """What to ask for; raises UsageError, and OSError for a file that cannot be read."""
    if options.values.get("u"):
        raise UsageError("option -u: is unknown to this one; use -H 'Authorization: …'")
    body, kind = _body(options, pod)
    method = "POST" if body is not None else "HEAD" if "I" in options.flags else "GET"
    headers = {"Host": url.netloc.rpartition("@")[2], "User-Agent": options.last("A", AGENT),
               "Accept": "*/*"}  # fmt: skip
    if body is not None:
        headers |= {"Content-Length": str(len(body)), "Content-Type": kind}
    for line in options.values.get("H", ()):
        name, _, text = line.partition(":")
        same = next((one for one in headers if one.lower() == name.strip().lower()), name.strip())
        headers.pop(same, None)
        if text.strip():
            headers[same] = text.strip()
    return Request(
        url, options.last("X", method), headers, body,
        connect_s=options.number("connect-timeout"), total_s=options.number("m"),
        is_insecure="k" in options.flags, authority=pod.path(options.last("cacert")),
        known=_known(options),
    )  # fmt: skip


def _body(options: Options, pod: Pod) -> tuple[bytes | None, str]:
    if given := options.values.get("json"):
        return _read(given[-1], pod), "application/json"
    pieces = options.values.get("d")
    if pieces is None:
        return None, ""
    return b"&".join(_read(one, pod) for one in pieces), "application/x-www-form-urlencoded"


def _read(text: str, pod: Pod) -> bytes:
    if text == "@-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        with open(pod.path(text[1:]), "rb") as file:
            return file.read()
    return text.encode()


def _known(options: Options) -> dict[tuple[str, int], str]:
    """`--resolve HOST:PORT:ADDRESS`."""
    found = {}
    for text in options.values.get("resolve", ()):
        host, _, rest = text.partition(":")
        port, _, address = rest.partition(":")
        if not (port.isdecimal() and address):
            raise UsageError(f"couldn't parse CURLOPT_RESOLVE entry '{text}'")
        found[host.lower(), int(port)] = address.strip("[]")
    return found


def written(form: str, exchange: Exchange, reply: http.client.HTTPResponse, size: int) -> str:
    """What -w asks for."""
    values = {
        "http_code": f"{reply.status:03}", "response_code": f"{reply.status:03}",
        "remote_ip": exchange.peer[0], "remote_port": str(exchange.peer[1]),
        "local_ip": exchange.source, "url_effective": exchange.request.url.geturl(),
        "size_download": str(size), "content_type": reply.headers.get("Content-Type", ""),
        "time_total": f"{exchange.took_s:.6f}", "time_namelookup": f"{exchange.found_s:.6f}",
    }  # fmt: skip

    def value(found: re.Match[str]) -> str:
        return values.get(found[1], "") if found[1] else _ESCAPES.get(found[0], "%")

    return re.sub(r"%\{(\w+)\}|%%|\\[nrt\\]", value, form)
