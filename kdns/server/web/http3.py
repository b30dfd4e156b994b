"""DNS over HTTP/3: streams become requests, as http2 has it; aioquic does the framing."""

from functools import partial
from http import HTTPStatus

from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent, StreamDataReceived

from kdns.server.web.quic import Exchange, QuicListener
from kdns.server.web.webservices import Doh, Refusal, Request, Response
from kdns.wire.proxied import Header

CANCELLED = 0x010C
"""H3_REQUEST_CANCELLED."""
EXCESSIVE_LOAD = 0x0107
"""H3_EXCESSIVE_LOAD."""
MAX_FIELDS = 1 << 17
"""Octets of a stream beside the body: fields, or what a connection says of itself all its life."""


class WebExchange(Exchange):
    """One client's connection."""

    def __init__(
        self, quic: QuicConnection, listener: QuicListener, header: Header, *, is_excess: bool
    ) -> None:
        super().__init__(quic, listener, header, is_excess=is_excess)
        self._http = H3Connection(quic)
        self._service = Doh("https3")
        self._requests: dict[int, Request] = {}
        self._heard: dict[int, int] = {}
        """Octets of each stream that has not ended."""

    def meet(self, event: QuicEvent) -> None:
        """Reads what came on a stream, unless it is more than any request needs."""
        if isinstance(event, StreamDataReceived):
            # aioquic keeps a frame of headers until it is whole, whatever length it says it has.
            heard = self._heard.get(event.stream_id, 0) + len(event.data)
            self._heard[event.stream_id] = heard
            if heard > self._service.max_body + MAX_FIELDS:
                self.end(EXCESSIVE_LOAD)
                return
        for one in self._http.handle_event(event):
            self._read(one)

    def forget(self, stream: int) -> None:
        """Waits for a stream no more, and answers nothing on it."""
        super().forget(stream)
        self._requests.pop(stream, None)
        self._heard.pop(stream, None)

    def reset(self, stream: int, code: int) -> None:
        """Abandons a stream."""
        self.asked.discard(stream)
        self._quic.reset_stream(stream, CANCELLED)

    def _read(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            if event.stream_id not in self._requests:  # else they are trailers
                self._requests[event.stream_id] = _request(event)
            octets = b""
        elif isinstance(event, DataReceived) and event.stream_id in self._requests:
            octets = event.data
        else:
            return
        stream = event.stream_id
        coming = self.gather(stream, octets, self._service.max_body)
        if coming is None:
            if stream in self.coming:
                self._refuse(stream)
            return
        if event.stream_ended:
            request = self._requests[stream]
            request.body = coming.octets
            self._serve(stream, request)

    def _refuse(self, stream: int) -> None:
        self.take(stream)
        self._respond(stream, self._service.refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))

    def _serve(self, stream: int, request: Request) -> None:
        self.take(stream)
        try:
            packet = self._service.query(request)
        except Refusal as refusal:
            self._respond(stream, refusal.response)
            return
        client, peer = self.client()
        self.listener.ask(packet, client, peer, partial(self._answered, stream))

    def _answered(self, stream: int, reply: bytes | None) -> None:
        self._respond(stream, self._service.response(reply))

    def _respond(self, stream: int, response: Response) -> None:
        if not self.is_owed(stream):
            return
        listener = self.listener
        self._service.count(listener.pipeline.counters, listener.terms.label, response)
        fields = [(":status", str(response.status)), *response.fields]
        fields.append(("content-length", str(len(response.body))))
        octets = [(name.encode(), value.encode()) for name, value in fields]
        self._http.send_headers(stream, octets, end_stream=not response.body)
        if response.body:
            self._http.send_data(stream, response.body, end_stream=True)
        self._transmit_soon()


def _request(event: HeadersReceived) -> Request:
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
    said = dict(reversed(fields))
    type_ = said.get("content-type", "").partition(";")[0].strip().lower()
    return Request(said.get(":method", ""), said.get(":path", ""), type_)
