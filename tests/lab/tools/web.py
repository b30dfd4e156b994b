"""Pages for what fetches them in these tests: they say who asked, and for what."""

import json
from http.server import BaseHTTPRequestHandler


class Pages(BaseHTTPRequestHandler):
    """`/` and `/echo` answer, `/moved` points to `/`, `/cut` ends early, all else is missing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(size).decode()
        if self.path == "/cut":
            self.close_connection = True
            return
        if self.path == "/moved":
            self._say(302, "", {"Location": "/"})
        elif self.path == "/echo":
            told = {"method": self.command, "body": sent, "peer": self.client_address[0]}
            self._say(200, json.dumps({**told, "headers": dict(self.headers)}), {})
        elif self.path == "/":
            self._say(200, "hello\n", {})
        else:
            self._say(404, "missing\n", {})

    do_HEAD = do_POST = do_PUT = do_GET

    def _say(self, code: int, text: str, headers: dict[str, str]) -> None:
        self.send_response(code)
        body = text.encode()
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "pages"

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return "then"

    def log_message(self, *args: object) -> None:
        del args
