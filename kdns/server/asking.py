"""Asks a pipeline for whoever has one packet at a time: the reply comes at once, or later."""

from collections.abc import Callable
from functools import partial

from kdns.plugins.base import Client
from kdns.server.drive import drive
from kdns.server.peers import Peer
from kdns.server.pipeline import Pipeline
from kdns.server.replies import Flow, Reply

Done = Callable[[bytes | None], None]
"""Takes a reply; None is silence."""


def ask(pipeline: Pipeline, packet: bytes, client: Client, peer: Peer, done: Done) -> None:
    """Has a packet answered; `peer` is the client as a socket would name it."""
    now = pipeline.clock()
    reply = recall(pipeline, packet, client, peer, now)
    if reply is not None:
        done(reply)
    else:
        answer(pipeline, packet, client, now, done)


def recall(
    pipeline: Pipeline, packet: bytes, client: Client, peer: Peer, now: float
) -> bytes | None:
    """The reply that the table remembers, told to whom it concerns."""
    reply = pipeline.recall(packet, peer, now, is_v6=len(client.address) == 16)
    if reply is not None:
        router = pipeline.router
        if router.wants_each:
            pipeline.recalled(packet, peer, client, reply, now)
        pipeline.served(1, now, client.address if router.wants_callers else b"")
        pipeline.tell_due()
    return reply


def answer(pipeline: Pipeline, packet: bytes, client: Client, now: float, done: Done) -> None:
    """Has a packet answered that the table does not know."""
    found = pipeline.reply(packet, client, now)
    if found is None or isinstance(found, bytes):
        _told(pipeline, done, found)
    else:
        drive(found, partial(_told, pipeline, done))


def _told(pipeline: Pipeline, done: Done, reply: Reply) -> None:
    pipeline.tell_due()
    # Plugins give transfers to those who can take them alone; of no other would it be whole.
    done(None if isinstance(reply, Flow) else reply)
